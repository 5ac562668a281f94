/** Types without what nobody gets to see of them. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";

/** One statement of a file of declarations. What declares nothing has no name. */
type Statement =
  | { readonly kind: "declaration"; readonly text: string; readonly name: string }
  | {
      readonly kind: "import" | "export";
      /** The comment before the first of them is about the file. */
      readonly comment: string;
      readonly head: string;
      readonly from: string;
      readonly names: readonly Linked[];
    };

/** What a name is in the other file and in this one, and both as written. "*" is all of it. */
type Linked = readonly [there: string, here: string, written: string];

type Files = ReadonlyMap<string, readonly Statement[]>;

/** Names by the file that declares them. */
type Found = Map<string, Set<string>>;

/**
 * Writes, of all declarations, those that the entries lead to, with the comments of those that they offer. Imports name the
 * files that are there.
 */
export function writeDeclarations(modules: string, entries: readonly string[], folder: string): void {
  const files = new Map<string, readonly Statement[]>();
  for (const file of readdirSync(modules, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = readFileSync(path.join(modules, file), "utf8");
    files.set(file, statementsOf(text.replaceAll(/(from |import\()"(\.[^"]+)\.ts"/g, '$1"$2.js"')));
  }
  const needed: Found = new Map();
  const offered: Found = new Map();
  for (const entry of entries) {
    find(files, entry, "*", needed, all);
    find(files, entry, "*", offered, heritage);
  }
  for (const file of needed.keys()) {
    mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    writeFileSync(path.join(folder, file), textOf(file, files.get(file) ?? [], needed, offered.get(file) ?? new Set()));
  }
}

/** A statement begins at the edge, and the comment before it does: one within it may, too. */
const BEGINNING = String.raw`^(?:/\*\*(?:(?!\*/)[\s\S])*\*/\n)?(?:[a-z]|///)`;
const STATEMENT = new RegExp(`${BEGINNING}[\\s\\S]*?(?=${BEGINNING}|(?![\\s\\S]))`, "gm");
const LINK = /^((?:import|export)(?: type)?) (\{[^}]*\}|\*(?: as \w+)?|\w+) from "([^"]+)";$/m;
const DECLARED = /^(?:export )?(?:declare )?(?:abstract )?(?:function|class|interface|type|const) (\w+)/m;

const statementsOf = (text: string): Statement[] =>
  [...text.matchAll(STATEMENT)].map(([statement]) => {
    const [link = "", head = "", clause = "", from = ""] = LINK.exec(statement) ?? [];
    if (link === "") return { kind: "declaration", text: statement, name: DECLARED.exec(statement)?.[1] ?? "" };
    const comment = statement.slice(0, statement.indexOf(link));
    return { kind: head.startsWith("import") ? "import" : "export", comment, head, from, names: namesIn(clause) };
  });

function namesIn(clause: string): readonly Linked[] {
  if (clause.startsWith("*")) return [["*", clause.slice("* as ".length), clause]];
  if (!clause.startsWith("{")) return [["default", clause, clause]];
  const items = clause.slice(1, -1).split(",");
  return items
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map((item) => {
      const [there = "", here = there] = item.replace(/^type /, "").split(" as ");
      return [there, here, item];
    });
}

/** The file of declarations that a relative import leads to. */
const targetOf = (file: string, specifier: string): string =>
  path.join(path.dirname(file), specifier.replace(/\.js$/, ".d.ts"));

/** The part of a declaration that is followed to what it names. */
type Followed = (declaration: string) => string;

const all: Followed = (declaration) => declaration;
/** Members that are inherited are offered, too. */
const heritage: Followed = (declaration) => /^export [^{;]* extends ([^{;]*)\{/m.exec(declaration)?.[1] ?? "";

/** What a file exports under a name, where that comes from, and what it names. False if it has nothing of that name. */
function find(files: Files, file: string, name: string, found: Found, followed: Followed): boolean {
  const statements = files.get(file);
  if (statements === undefined) throw new Error(`there are no declarations in ${file}`);
  const names = found.get(file) ?? new Set();
  if (names.has(name)) return true;
  const add = (own: string): void => void found.set(file, names.add(own).add(name));
  const isMeant = (own: string): boolean => name === "*" || name === own;
  for (const statement of statements) {
    if (statement.kind === "declaration" && isMeant(statement.name)) {
      add(statement.name);
      findUsed(files, file, followed(statement.text), found, followed);
    } else if (statement.kind === "export") {
      const target = targetOf(file, statement.from);
      for (const [there, here] of statement.names) {
        const wanted = there === "*" ? name : there;
        if ((there === "*" || isMeant(here)) && find(files, target, wanted, found, followed)) add(here);
      }
    }
  }
  return found.has(file) && names.has(name);
}

/** What a text names, of its own file and of others. */
function findUsed(files: Files, file: string, text: string, found: Found, followed: Followed): void {
  for (const [, specifier = "", there = ""] of text.matchAll(/import\("(\.[^"]+)"\)\.(\w+)/g)) {
    find(files, targetOf(file, specifier), there, found, followed);
  }
  const words = wordsOf(text);
  for (const statement of files.get(file) ?? []) {
    if (statement.kind === "declaration") {
      if (statement.name !== "" && words.has(statement.name)) find(files, file, statement.name, found, followed);
    } else if (statement.kind === "import" && statement.from.startsWith(".")) {
      for (const [there, here] of statement.names) {
        if (words.has(here)) find(files, targetOf(file, statement.from), there, found, followed);
      }
    }
  }
}

/** What is for simulations is for few: examples of it are in the reference, and not in every copy of the package. */
const WITHOUT_EXAMPLES = /^testing[\\/](?!test-cluster)/;
const EXAMPLE = /(?:^[ \t]*\*\n)?^[ \t]*\* @example\n[ \t]*\* ```ts\n[\s\S]*?\n[ \t]*\* ```\n/gm;

const COMMENT = /^[ \t]*\/\*\*[\s\S]*?\*\/[ \t]*\n/gm;
const wordsOf = (text: string): Set<string> => new Set(text.replaceAll(COMMENT, "").match(/\w+/g));

/** The file without what is not needed: what is about all of it, what it imports, and what it declares. */
function textOf(file: string, statements: readonly Statement[], needed: Found, offered: ReadonlySet<string>): string {
  const names = needed.get(file) ?? new Set();
  const isNeeded = (name: string): boolean => names.has(name) || names.has("*");
  const shown = (name: string, text: string): string => {
    if (!offered.has(name)) return text.replaceAll(COMMENT, "");
    return WITHOUT_EXAMPLES.test(file) ? text.replaceAll(EXAMPLE, "") : text;
  };
  const about = offered.has("*") ? statements.map((one) => (one.kind === "declaration" ? "" : one.comment)) : [];
  const references: string[] = [];
  const declarations: string[] = [];
  for (const statement of statements) {
    if (statement.kind !== "declaration") continue;
    const { text, name } = statement;
    const reference = /^\/\/\/.*\n/m.exec(text);
    if (reference !== null) references.push(reference[0]);
    else if (name === "" || names.has(name)) declarations.push(shown(name, text));
  }
  const words = wordsOf(declarations.join(""));
  const links = statements.flatMap((statement) => {
    if (statement.kind === "declaration") return [];
    const { kind, head, from } = statement;
    const isThere = !from.startsWith(".") || needed.has(targetOf(file, from));
    const isUsed = ([there, here]: Linked): boolean =>
      kind === "import" ? words.has(here) : isThere && (there === "*" || isNeeded(here));
    const used = statement.names.filter(isUsed);
    if (used.length === 0) return [];
    const list = used.map(([, , written]) => written).join(", ");
    const isList = used.every(([there]) => there !== "*" && there !== "default");
    return [`${head} ${isList ? `{ ${list} }` : list} from "${from}";\n`];
  });
  return [...about, ...references, ...links, ...declarations].join("").replaceAll("    ", "  ");
}
