/** What the reference is made of: the names that the package offers, their doc comments, and the examples in these. */

import * as path from "node:path";
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import { API, type Checker, type Symbol as Named, type Project, SymbolFlags } from "typescript/unstable/sync";
import { PROJECT } from "./packed.ts";

/** Code of a doc comment, as it stands there. */
export interface Example {
  /** The file in the project, with slashes. */
  readonly file: string;
  /** That of its first line of code, from 1 on. */
  readonly line: number;
  readonly code: string;
}

/** Something that users see, by its name. */
export interface Offered {
  /** `Client.put` for a method. */
  readonly name: string;
  readonly file: string;
  readonly line: number;
  /** What its comment says before the first tag. */
  readonly says: string;
  readonly examples: readonly Example[];
}

/** What a project's compiler knows, for as long as `use` takes. */
export function withCompiler<T>(plan: string, use: (project: Project) => T): T {
  const compiler = new API({ cwd: PROJECT });
  try {
    const project = compiler.updateSnapshot({ openProjects: [plan] }).getProject(plan);
    if (project === undefined) throw new Error(`${plan} is no project`);
    return use(project);
  } finally {
    compiler.close();
  }
}

/**
 * The entries themselves; every name that one of them offers, once, however many do; and the methods and the like of those
 * that `withMembers` names.
 */
export function offeredBy(entries: readonly string[], withMembers: readonly string[]): Offered[] {
  return withCompiler(path.join(PROJECT, "tsconfig.json"), ({ program, checker }) => {
    const found = new Map<string, Offered>();
    for (const entry of entries) {
      const file = program.getSourceFile(path.join(PROJECT, entry));
      const module = file && checker.getSymbolAtLocation(file);
      if (file === undefined || module === undefined) throw new Error(`${entry} exports nothing`);
      found.set(entry, commented(file, entry, 0, file.text.search(/^(?:import|export)/m)));
      for (const exported of checker.getExportsOfModule(module)) {
        const symbol = (exported.flags & SymbolFlags.Alias) === 0 ? exported : checker.getAliasedSymbol(exported);
        const members = withMembers.includes(symbol.name) ? membersOf(checker, symbol) : [];
        for (const one of [declared(symbol, symbol.name), ...members]) found.set(`${one.file}:${one.line}`, one);
      }
    }
    return [...found.values()];
  });
}

/** Those of its own and those that it has inherited, but no private ones and none that are marked as internal. */
function membersOf(checker: Checker, symbol: Named): Offered[] {
  const type = checker.getDeclaredTypeOfSymbol(symbol);
  return checker.getPropertiesOfType(type).flatMap((member) => {
    const tags = member.getJsDocTags(checker).map(({ name }) => name);
    const isHidden = /^#|^__#/.test(member.name) || tags.includes("internal");
    return isHidden || isProtected(member) ? [] : [declared(member, `${symbol.name}.${member.name}`)];
  });
}

const isProtected = (member: Named): boolean => /^(?:\w+ )*protected /.test(nodeOf(member).getText());

function nodeOf(symbol: Named): Node {
  const node = symbol.declarations[0]?.resolve();
  if (node === undefined) throw new Error(`${symbol.name} is declared nowhere`);
  return node;
}

function declared(symbol: Named, name: string): Offered {
  const statement = statementOf(nodeOf(symbol));
  const source = statement.getSourceFile();
  return commented(source, name, statement.pos, statement.getStart(source));
}

/** What stands at `start`, and the last comment between there and `from`. */
function commented(source: SourceFile, name: string, from: number, start: number): Offered {
  const file = path.relative(PROJECT, source.fileName).replaceAll("\\", "/");
  const place = { name, file, line: lineOf(source, start) };
  const comment = [...source.text.slice(from, start).matchAll(/\/\*\*[\s\S]*?\*\//g)].at(-1);
  if (comment === undefined) return { ...place, says: "", examples: [] };
  return { ...place, ...contentOf(comment[0], file, lineOf(source, from + comment.index)) };
}

/** What carries the comment. */
function statementOf(node: Node): Node {
  const isPart = node.kind === SyntaxKind.VariableDeclaration || node.kind === SyntaxKind.VariableDeclarationList;
  return isPart && node.parent !== undefined ? statementOf(node.parent) : node;
}

const lineOf = (source: SourceFile, position: number): number => source.text.slice(0, position).split("\n").length;

/** @param first the line on which the comment begins */
function contentOf(comment: string, file: string, first: number): Pick<Offered, "says" | "examples"> {
  const lines = comment
    .replace(/^\/\*\*/, "   ")
    .replace(/\*\/$/, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""));
  const tag = lines.findIndex((line) => /^\s*@\w/.test(line));
  const examples: Example[] = [];
  for (const [i, line] of lines.entries()) {
    if (!/^\s*@example\b/.test(line)) continue;
    const length = lines.slice(i + 2).indexOf("```");
    if (lines[i + 1] !== "```ts" || length < 1) {
      throw new Error(`${file}:${first + i}: an example is a line with the tag, and code between \`\`\`ts and \`\`\``);
    }
    examples.push({ file, line: first + i + 2, code: lines.slice(i + 2, i + 2 + length).join("\n") });
  }
  const says = lines.slice(0, tag < 0 ? lines.length : tag).join(" ");
  return { says: says.trim(), examples };
}
