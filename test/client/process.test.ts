/** What a client does to the process that it lives in. */

import { spawn } from "node:child_process";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";

/** No program takes a tenth of this; one that blocks its event loop, or never ends, is killed. */
const LIMIT_MS = 15_000;

/** Runs one of the programs until it ends by itself; what it printed as its result. */
async function run(program: string): Promise<unknown> {
  const file = path.join(import.meta.dirname, "program.ts");
  const args = "Deno" in globalThis ? ["run", "--allow-all", file, program] : [file, program];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output += String(chunk);
    });
  }
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once("close", (...end) => resolve(end));
  });
  const result = /^result: (.*)$/m.exec(output)?.[1];
  if (signal !== null) throw new Error(`it did not end, and was killed; its output: ${output}`);
  if (code !== 0 || result === undefined) throw new Error(`it ended with ${code}: ${output}`);
  return JSON.parse(result);
}

const test = suite("client: process");

test("after close nothing keeps the process alive", async () => {
  assert.equal(await run("close-and-exit"), ["UNKNOWN_OUTCOME", "CLOSED", "CLOSED", "CLOSED"]);
});

test("a value too large for any message: TOO_LARGE, whatever the client was told to allow", async () => {
  assert.is(await run("too-large-for-any-message"), "TOO_LARGE");
});

test("a listener that throws does not stop the others, and its error is not swallowed", async () => {
  assert.equal(await run("listener-throws"), ["n1", "it broke"]);
});

test("a directory that lists an address that is none does not end the process", async () => {
  assert.is(await run("nonsense-members"), "alive");
});

test("a leader at an address that is none does not end the process", async () => {
  assert.is(await run("nonsense-leader"), "alive");
});

test.run();
