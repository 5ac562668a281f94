/** The prompt of `start-cluster` on a real terminal. */

import { readFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import type { Cluster } from "./cluster.ts";
import { closeTerminals, hasTerminal, onTerminal, type Terminal } from "./terminal.ts";

const all = suite("end to end: prompt");
all.after(closeTerminals);

function test(
  name: string,
  body: (terminal: Terminal, cluster: Cluster) => Promise<void>,
  env?: Readonly<Record<string, string>>,
): void {
  if (hasTerminal) all(name, () => onTerminal(4, body, env));
  else all.skip(name, "this machine has no `script` to make a pseudo-terminal");
}

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";

/** Waits for the next leader that the client announces; returns its id. */
async function nextLeader(terminal: Terminal): Promise<string> {
  const [, id = ""] = await terminal.see(/leader (n\d) of term \d+/);
  return id;
}

test("commands, completion, history, and logs that do not tear the prompt", async (terminal, cluster) => {
  await nextLeader(terminal);
  terminal.type("put a 1\r");
  await terminal.see(/ok revision 1/);
  terminal.type("sta\t");
  await terminal.see(/status /);
  terminal.type("\r");
  await terminal.see(/node +role +term +last +commit +applied +lag +links/);
  terminal.type("get a\r");
  await terminal.see(/1 revision 1/);
  terminal.type("nonsense\r");
  await terminal.see(/INVALID_ARGUMENT "nonsense" is not a command/);
  terminal.type("quit\r");
  assert.is(await terminal.ended, 0);
  assert.match(readFileSync(path.join(cluster.folder, "history"), "utf8"), /nonsense\nget a\n/);
  const torn = terminal.screen
    .split(/\r?\n/)
    .filter((line) => /conclave> \S.*\d\d:\d\d:\d\d\.\d{3}/.test(line.split("\u001b[J").at(-1) ?? ""));
  assert.equal(torn, [], "no log line shares a line with the prompt");
});

test("kill leader, and restart it: another leads, and it comes back to follow", async (terminal) => {
  const dead = await nextLeader(terminal);
  terminal.type("put a 1\r");
  await terminal.see(/ok revision 1/);
  terminal.type("kill leader\r");
  await terminal.see(new RegExp(`${dead} was ended by SIGKILL`));
  await terminal.see(new RegExp(`${dead} is killed; "restart ${dead}" starts it again`));
  assert.is.not(await nextLeader(terminal), dead);
  terminal.type("get a\r");
  await terminal.see(/1 revision 1/);
  terminal.type(`kill ${dead}\r`);
  await terminal.see(new RegExp(`INVALID_ARGUMENT ${dead} is not running`));
  terminal.type(`restart ${dead}\r`);
  await terminal.see(new RegExp(`${dead} started, process \\d+`));
  // The process may follow before the prompt has said that it runs.
  await terminal.seeAll(new RegExp(`${dead} runs again`), new RegExp(`${dead} +follows n\\d in term`));
  terminal.type(`restart ${dead}\r`);
  await terminal.see(new RegExp(`INVALID_ARGUMENT ${dead} is running`));
});

test("pause and resume: the leader hangs, another leads, and the first follows when it wakes", async (terminal) => {
  const hung = await nextLeader(terminal);
  terminal.type("pause leader\r");
  await terminal.see(new RegExp(`${hung} is paused; "resume ${hung}" lets it go on`));
  assert.is.not(await nextLeader(terminal), hung);
  terminal.type("status\r");
  await terminal.see(new RegExp(`${hung} +paused`));
  terminal.type(`resume ${hung}\r`);
  await terminal.see(new RegExp(`${hung} goes on`));
  await terminal.see(new RegExp(`${hung} +follows n\\d in term`));
});

test("with the directory killed too, the prompt finds the next leader", async (terminal) => {
  const dead = await nextLeader(terminal);
  terminal.type("kill dir\t");
  await terminal.see(/kill directory /);
  terminal.type("\r");
  await terminal.see(/directory was ended by SIGKILL/);
  terminal.type("kill leader\r");
  await terminal.see(new RegExp(`${dead} was ended by SIGKILL`));
  assert.is.not(await nextLeader(terminal), dead);
  terminal.type("put a 1\r");
  await terminal.see(/ok revision 1/);
});

test("Ctrl-C while the processes start stops them all in order", async (terminal) => {
  await terminal.see(/started, process \d+/);
  terminal.type(CTRL_C);
  await terminal.see(/cluster +stopped/);
  assert.is(await terminal.ended, 0);
  assert.not(/did not start|failed|\[[A-Z_]+\]/.test(terminal.screen), terminal.screen);
});

test("Ctrl-C clears a line, ends a command that runs, and stops everything at an empty prompt", async (terminal) => {
  await nextLeader(terminal);
  terminal.type("put a wrong");
  await terminal.see(/wrong/);
  terminal.type(`${CTRL_C}put a right\r`);
  await terminal.see(/ok revision 1/);
  terminal.type("watch leader\r");
  await terminal.see(/leader n\d/);
  terminal.type(`${CTRL_C}get a\r`);
  await terminal.see(/right revision 1/);
  await terminal.see(/conclave> /);
  terminal.type(CTRL_C);
  await terminal.see(/cluster +stopped/);
  assert.is(await terminal.ended, 0);
});

test("Ctrl-D at the prompt stops everything in order", async (terminal) => {
  await nextLeader(terminal);
  terminal.type(CTRL_D);
  await terminal.see(/cluster +stopped/);
  assert.is(await terminal.ended, 0);
});

/** Colours, as opposed to what moves the cursor. */
const COLOUR = new RegExp(`${"\u001b"}\\[\\d+m`);

test(
  "a terminal has colours",
  async (terminal) => {
    await terminal.see(/conclave> /);
    assert.match(terminal.screen, COLOUR);
  },
  {},
);

test(
  "and none with NO_COLOR",
  async (terminal) => {
    await nextLeader(terminal);
    terminal.type("nonsense\r");
    await terminal.see(/INVALID_ARGUMENT "nonsense"/);
    terminal.type("quit\r");
    await terminal.ended;
    assert.not.match(terminal.screen, COLOUR);
  },
  { NO_COLOR: "1" },
);

all.run();
