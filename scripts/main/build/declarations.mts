/** Types without what nobody gets to see of them. */

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as path from "node:path";

type Texts = ReadonlyMap<string, string>;

/** What is exported by a file, and offered by an entry: by name, or all of it. */
type Offered = Map<string, Set<string> | "all">;

/**
 * Removes every file of declarations that the entries do not lead to, and the comments of whatever they do not offer.
 * Imports name the files that are there.
 */
export function trimDeclarations(folder: string, entries: readonly string[]): void {
  const texts = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = readFileSync(path.join(folder, file), "utf8");
    texts.set(file, text.replaceAll(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"'));
    rmSync(path.join(folder, file));
  }
  const reached = new Set(entries);
  for (const file of reached) {
    for (const [, specifier = ""] of textOf(texts, file).matchAll(/(?:from |import\()"(\.[^"]+)"/g)) {
      reached.add(targetOf(file, specifier));
    }
  }
  const offered: Offered = new Map();
  for (const entry of entries) offer(texts, entry, "all", offered);
  for (const file of reached) {
    writeFileSync(path.join(folder, file), commentedFor(offered.get(file) ?? new Set(), textOf(texts, file)));
  }
}

function textOf(texts: Texts, file: string): string {
  const text = texts.get(file);
  if (text === undefined) throw new Error(`there are no declarations in ${file}`);
  return text;
}

/** The file of declarations that a relative import leads to. */
const targetOf = (file: string, specifier: string): string =>
  path.join(path.dirname(file), specifier.replace(/\.js$/, ".d.ts"));

/** Follows what a file exports, all of it or some names, to where it is declared. */
function offer(texts: Texts, file: string, names: ReadonlySet<string> | "all", offered: Offered): void {
  const before = offered.get(file);
  offered.set(file, names === "all" || before === "all" ? "all" : new Set([...(before ?? []), ...names]));
  const text = textOf(texts, file);
  for (const [, specifier = ""] of text.matchAll(/^export (?:type )?\* from "(\.[^"]+)"/gm)) {
    offer(texts, targetOf(file, specifier), names, offered);
  }
  for (const [, list = "", specifier = ""] of text.matchAll(/^export (?:type )?\{([^}]*)\} from "(\.[^"]+)"/gm)) {
    const exported = list.split(",").map((item) => item.trim().replace(/^type /, ""));
    const inner = exported.filter((name) => name !== "" && (names === "all" || names.has(name)));
    if (inner.length > 0) offer(texts, targetOf(file, specifier), new Set(inner), offered);
  }
}

/** A statement and the comment before it: what is within it does not begin at the edge. */
const STATEMENT = /(?:^\/\*\*[\s\S]*?\*\/\n)?^[a-z][\s\S]*?(?=^[a-z]|^\/\*\*|(?![\s\S]))/gm;

const DECLARED = /^export (?:declare )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/m;

/** The text with no comments but those of what is offered. */
function commentedFor(names: ReadonlySet<string> | "all", text: string): string {
  if (names === "all") return text;
  return text.replaceAll(STATEMENT, (statement) => {
    const name = DECLARED.exec(statement)?.[1] ?? "";
    return names.has(name) ? statement : statement.replaceAll(/^[ \t]*\/\*\*[\s\S]*?\*\/[ \t]*\n/gm, "");
  });
}
