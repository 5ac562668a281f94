/** The configuration that is written where there is none. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { CONFIG_FILE, DEMO, writeDemo } from "../../src/cli/demo.ts";
import { parseConfig, readConfig } from "../../src/config/index.ts";
import { PROJECT } from "../end-to-end/cluster.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("cli: demo");

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-demo-"));
  try {
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("it is the cluster that the repository has configured", () => {
  const { $schema: _, ...configured } = JSON.parse(readFileSync(path.join(PROJECT, CONFIG_FILE), "utf8"));
  assert.equal(DEMO, configured);
});

test("what is written can be read, and is never written over", () =>
  inFolder(async (folder) => {
    const file = path.join(folder, CONFIG_FILE);
    assert.is(await writeDemo(file), true);
    assert.equal(await readConfig(file), parseConfig(DEMO, "the demo"));
    writeFileSync(file, "somebody's own");
    assert.is(await writeDemo(file), false);
    assert.is(readFileSync(file, "utf8"), "somebody's own");
  }));

test("a folder that can't be written to is an error of ours", () =>
  inFolder(async (folder) => {
    assert.is(await codeOf(writeDemo(path.join(folder, "none", CONFIG_FILE))), "DISK_FAILED");
  }));

test.run();
