/** What programs import: an ES module for each entry, and what several of them share in modules beside them. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { minify } from "terser";

type Texts = ReadonlyMap<string, string>;

/** Classes are called what they are: errors show it, and stacks have it before the name of each method. */
const NAMES = { keep_classnames: true };

/** Smaller parts become one with another. */
const PART_BYTES_MIN = 16 * 1024;

/** Three hundred modules as they are would be a tenth larger. */
export async function writePrograms(
  run: (program: string, args: readonly string[]) => void,
  modules: string,
  entries: readonly string[],
  folder: string,
): Promise<void> {
  const names = ["--chunk-naming=parts/[name]-[hash].[ext]", `--root=${modules}`, `--outdir=${folder}`];
  const files = entries.map((entry) => path.join(modules, `${entry}.js`));
  run("bun", [
    "build",
    ...files,
    "--target=node",
    "--format=esm",
    "--packages=external",
    "--splitting",
    "--minify-syntax",
    `--min-chunk-size=${PART_BYTES_MIN}`,
    ...names,
  ]);
  const parts = readdirSync(path.join(folder, "parts")).map((file) => path.join("parts", file));
  const written = [...entries.map((entry) => `${entry}.js`), ...parts].map((file) => path.join(folder, file));
  const texts = withOwnNames(new Map(written.map((file) => [file, readFileSync(file, "utf8")])));
  const short = new Map<string, string>();
  for (const [file, text] of texts) short.set(file, await shortened(text));
  for (const [file, text] of withShortLinks(short, path.join(folder, "parts"))) writeFileSync(file, text);
}

/** Bun puts a number after the name of a class that an entry exports: it goes where it tells no two classes apart. */
function withOwnNames(texts: Texts): Texts {
  const all = [...texts.values()].join("\n");
  const numbered = [...all.matchAll(/^class (\w+?)2 /gm)].map(([, name = ""]) => name);
  const own = new Set(numbered.filter((name) => !all.includes(`\nclass ${name} `)));
  const named = (text: string): string =>
    text.replaceAll(/\b(\w+?)2\b/g, (whole, name: string) => (own.has(name) ? name : whole));
  return new Map([...texts].map(([file, text]) => [file, named(text)]));
}

async function shortened(text: string): Promise<string> {
  const { code = "" } = await minify(text, {
    ecma: 2020,
    module: true,
    compress: { ...NAMES, ecma: 2020, passes: 2, lhs_constants: false },
    mangle: NAMES,
  });
  return code;
}

const EXPORTS = /export\{([^}]*)\}/;
const IMPORTS = /import\{([^}]*)\}from"([^"]*)"/g;

/** What parts have of one another goes by the short name that it has where it is made; nobody else sees it. */
function withShortLinks(texts: Texts, parts: string): Texts {
  const all = [...texts.values()].join("\n");
  // Except for what is imported while it runs: a name of that is a name of an object's.
  const named = new Set(Array.from(all.matchAll(/import\("([^"]*)"\)/g), ([, from = ""]) => path.basename(from)));
  const links = new Map<string, ReadonlyMap<string, string>>();
  for (const [file, text] of texts) {
    if (path.dirname(file) !== parts || named.has(path.basename(file))) continue;
    links.set(file, new Map(itemsOf(EXPORTS.exec(text)?.[1]).map(([inner, outer]) => [outer, inner])));
  }
  return new Map(
    [...texts].map(([file, text]) => {
      const own = links.get(file);
      const short = own === undefined ? text : text.replace(EXPORTS, `export{${[...new Set(own.values())]}}`);
      return [
        file,
        short.replaceAll(IMPORTS, (_, list, from) => importOf(list, from, links.get(path.join(file, "..", from)))),
      ];
    }),
  );
}

function importOf(list: string, from: string, names: ReadonlyMap<string, string> = new Map()): string {
  const items = itemsOf(list).map(([outer, inner]) => [names.get(outer) ?? outer, inner]);
  return `import{${items.map(([outer, inner]) => (outer === inner ? inner : `${outer} as ${inner}`))}}from"${from}"`;
}

/** What stands before and after the `as` of each item; the same if there is none. */
const itemsOf = (list = ""): (readonly [string, string])[] =>
  list
    .split(",")
    .filter((item) => item !== "")
    .map((item) => {
      const [before = "", after = before] = item.split(" as ");
      return [before, after];
    });
