/** Puts a mutant in place of the real code, for everything that this process imports from then on. */

import { registerHooks } from "node:module";
import { type Mutant, mutated } from "./mutant.ts";

const SRC = new URL("../../../src/", import.meta.url).href;

/** The text is replaced as it is loaded, so that neither a file nor a line of the real code knows of it. */
export function install(mutant: Mutant): void {
  const files = new Set(mutant.edits.map(({ file }) => file));
  registerHooks({
    load: (url, context, nextLoad) => {
      const loaded = nextLoad(url, context);
      const file = url.startsWith(SRC) ? url.slice(SRC.length) : "";
      if (!files.has(file)) return loaded;
      const { source } = loaded;
      if (source === undefined || source === null) throw new Error(`${url} was loaded without its source`);
      const text = typeof source === "string" ? source : new TextDecoder().decode(source);
      return { ...loaded, source: mutated(mutant, file, text) };
    },
  });
}
