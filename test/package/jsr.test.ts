/** What JSR would be given: the sources, described as the package is, with types that nobody has to infer. */

import { readFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { ELSEWHERE, PROJECT, run } from "./packed.ts";

const test = suite("jsr");
const read = (file: string) => JSON.parse(readFileSync(path.join(PROJECT, file), "utf8"));

test("it is the same package, in the same version, with the same entries", () => {
  const [jsr, npm] = [read("jsr.json"), read("package.json")];
  assert.equal([jsr.version, jsr.license], [npm.version, npm.license]);
  assert.match(jsr.name, new RegExp(`^@[a-z]+/${npm.name}$`));
  for (const [entry, source] of Object.entries<string>(jsr.exports)) {
    assert.is(npm.exports[entry].default, source.replace(/^\.\/src/, "./dist").replace(/\.ts$/, ".js"));
  }
  const forPrograms = Object.keys(npm.exports).filter((entry) => !entry.includes(".", 1));
  assert.equal(Object.keys(jsr.exports), forPrograms);
});

const TITLE = "it could be published";
if (ELSEWHERE !== null) test.skip(TITLE, ELSEWHERE);
else {
  test(
    TITLE,
    async () => {
      const deno = path.join(PROJECT, "node_modules", ".bin", "deno");
      await run(deno, ["publish", "--dry-run", "--allow-dirty"], PROJECT);
    },
    { timeoutMs: 120_000 },
  );
}

test.run();
