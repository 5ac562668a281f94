/** The mutants fit the code as it is, and what they make of it is still a program. */

import { readFileSync } from "node:fs";
import * as module from "node:module";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../../support/suite.ts";
import { mutated } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

const SRC = path.join(import.meta.dirname, "..", "..", "..", "src");
const textOf = (file: string): string => readFileSync(path.join(SRC, file), "utf8");

const mutants = suite("mutants");

mutants("are twenty at least, each with a name of its own", () => {
  const names = MUTANTS.map(({ name }) => name);
  assert.is(new Set(names).size, names.length);
  assert.ok(MUTANTS.filter(({ redundant }) => redundant === undefined).length >= 20);
});

mutants("each change the code in the place that they name", () => {
  for (const mutant of MUTANTS) {
    for (const { file } of mutant.edits) assert.is.not(mutated(mutant, file, textOf(file)), textOf(file), mutant.name);
  }
});

mutants("whose place is gone, or is in doubt, are errors that name them", () => {
  const lost = { name: "lost", edits: [{ file: "a.ts", find: "xyz", replace: "" }] } as const;
  assert.throws(() => mutated(lost, "a.ts", "abc"), /mutant lost does not fit: src\/a\.ts has "xyz" 0 times/);
  assert.throws(() => mutated(lost, "a.ts", "xyz xyz"), /2 times/);
  assert.is(mutated(lost, "b.ts", "abc"), "abc");
});

const parse = "stripTypeScriptTypes" in module ? module.stripTypeScriptTypes : null;
if (parse === null) mutants.skip("still parse", "only Node offers its parser of TypeScript");
else {
  mutants("still parse", () => {
    for (const mutant of MUTANTS) {
      for (const { file } of mutant.edits)
        assert.ok(parse(mutated(mutant, file, textOf(file))).length > 0, mutant.name);
    }
  });
}

mutants.run();
