/** The prompt on a terminal: what a person sees while lines appear above it. */

import { mkdtempSync, rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import type { Client } from "../../src/client/index.ts";
import { type Command, type Repl, startRepl } from "../../src/console/index.ts";
import { standardClock } from "../../src/environment/standard.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { suite } from "../support/suite.ts";
import { Screen } from "./screen.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-"));
process.env["CONCLAVE_HISTORY"] = path.join(folder, "history");

const test = suite("console: terminal");
test.after(() => rmSync(folder, { recursive: true }));

const COLUMNS = 30;
const LEFT = "\u001b[D";
const LOG = "09:41:28.980 n4 candidate";
/** With the prompt of ten columns, two rows and a bit. */
const LONG = "put key abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz012345678";
const LONG_ROWS = ["conclave> put key abcdefghijkl", "mnopqrstuvwxyz0123456789abcdef", "ghijklmnopqrstuvwxyz012345678"];

/** A prompt on a screen, and a command `wait` that runs until the test ends it. */
async function prompt(): Promise<{ screen: Screen; repl: Repl; endWait: () => void }> {
  const screen = new Screen(COLUMNS);
  let endWait = (): void => {};
  const wait: Command = {
    name: "wait",
    usage: "wait",
    help: "",
    takes: { words: [0, 0] },
    run: (_args, { print, signal }) =>
      new Promise((resolve) => {
        endWait = () => {
          print("waited");
          resolve(null);
        };
        signal.addEventListener("abort", endWait);
      }),
  };
  const say: Command = {
    name: "say",
    usage: "say WORD",
    help: "",
    takes: { words: [1, 1] },
    run: async ({ words: [word = ""] }, { print }) => print(word),
  };
  const client = { on: () => () => {} } as unknown as Client;
  const repl = startRepl({
    context: { client, clock: standardClock, disk: new MemoryDisk(), nodes: [] },
    extras: [wait, say],
    input: screen.keys,
    output: screen,
  });
  await screen.shows("conclave>");
  return { screen, repl, endWait: () => endWait() };
}

test("a line is shown above the prompt and what is being typed", async () => {
  const { screen, repl } = await prompt();
  screen.type("put a");
  await screen.shows("conclave> put a");
  repl.print(LOG);
  assert.equal(screen.rows, [LOG, "conclave> put a"]);
  screen.type("bc");
  await screen.shows(LOG, "conclave> put abc");
  repl.close();
});

for (const [how, parts] of [
  ["typed", [...LONG]],
  ["pasted", [LONG]],
] as const) {
  test(`input longer than the terminal is wide, ${how}, stays whole below the lines that are shown`, async () => {
    const { screen, repl } = await prompt();
    for (const part of parts) screen.type(part);
    await screen.shows(...LONG_ROWS);
    const { cursor } = screen;
    repl.print(LOG);
    repl.print(`${LOG}\nsecond line of it`);
    assert.equal(screen.rows, [LOG, LOG, "second line of it", ...LONG_ROWS]);
    assert.equal(screen.cursor, { row: cursor.row + 3, column: cursor.column });
    repl.close();
  });
}

for (const lefts of [5, 25, 45, 70]) {
  test(`so does input whose cursor is ${lefts} characters before its end, and the cursor stays there`, async () => {
    const { screen, repl } = await prompt();
    screen.type(LONG);
    await screen.shows(...LONG_ROWS);
    screen.type(LEFT.repeat(lefts));
    const at = 10 + LONG.length - lefts;
    const row = Math.floor(at / COLUMNS);
    const column = at % COLUMNS;
    await screen.until(() => screen.cursor.row === row && screen.cursor.column === column);
    repl.print(LOG);
    repl.print(LOG);
    assert.equal(screen.rows, [LOG, LOG, ...LONG_ROWS]);
    assert.equal(screen.cursor, { row: row + 2, column });
    screen.type("\u007f");
    const shorter = `conclave> ${LONG.slice(0, -lefts - 1)}${LONG.slice(-lefts)}`;
    await screen.until(() => screen.rows.slice(2).join("") === shorter);
    repl.close();
  });
}

test("a line that is as wide as the terminal, and one that is wider, push nothing over the prompt", async () => {
  const { screen, repl } = await prompt();
  repl.print("x".repeat(COLUMNS));
  repl.print("y".repeat(COLUMNS + 1));
  assert.equal(screen.rows, ["x".repeat(COLUMNS), "y".repeat(COLUMNS), "y", "conclave>"]);
  repl.close();
});

test("what is typed while a command runs is seen to wait, and then run in its turn", async () => {
  const { screen, repl, endWait } = await prompt();
  screen.type("wait\r");
  await screen.shows("conclave> wait", "…");
  screen.type("say one\rsay two\rsay th");
  await screen.shows("conclave> wait", "… say one", "… say two", "… say th");
  repl.print(LOG);
  assert.equal(screen.rows.slice(-2), [LOG, "… say th"]);
  endWait();
  await screen.shows(
    "conclave> wait",
    "… say one",
    "… say two",
    LOG,
    "waited",
    "conclave> say one",
    "one",
    "conclave> say two",
    "two",
    "conclave> say th",
  );
  screen.type("ree\r");
  await screen.until(() => screen.rows.join("\n").endsWith("conclave> say three\nthree\nconclave>"));
  repl.close();
});

test("Ctrl-C ends the command that runs, and clears a line that is being typed, and leaves at an empty prompt", async () => {
  const { screen, repl } = await prompt();
  screen.type("wait\r");
  await screen.shows("conclave> wait", "…");
  screen.type("\u0003");
  await screen.shows("conclave> wait", "waited", "conclave>");
  screen.type(LONG);
  await screen.until(() => screen.rows.at(-1) === LONG_ROWS[2]);
  screen.type("\u0003");
  await screen.shows("conclave> wait", "waited", "conclave>");
  screen.type("\u0003");
  await repl.ended;
});

test("after quit nothing is left of the prompt below, and lines go on where it was", async () => {
  const { screen, repl } = await prompt();
  screen.type("quit\r");
  await repl.ended;
  repl.print(LOG);
  assert.equal(screen.rows, ["conclave> quit", LOG]);
});

test.run();
