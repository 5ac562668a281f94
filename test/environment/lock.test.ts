/** A data folder is used by one process at a time, and by another as soon as that one is gone. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { lockFolder } from "../../src/environment/lock.ts";
import { eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { codeOf } from "./code-of.ts";

const test = suite("lock");
const root = await fs.mkdtemp(path.join(os.tmpdir(), "conclave-lock-"));
const fresh = (): Promise<string> => fs.mkdtemp(path.join(root, "folder-"));
test.after(() => fs.rm(root, { recursive: true }));

const runtimeArguments = "Deno" in globalThis ? ["run", "--allow-all"] : [];
const children: ChildProcess[] = [];
test.after(() => {
  for (const child of children) child.kill("SIGKILL");
});

/** Another process that tries to take the folder; resolves with what it says. */
async function holder(folder: string): Promise<{ child: ChildProcess; said: string }> {
  const script = path.join(import.meta.dirname, "lock-holder.ts");
  const child = spawn(process.execPath, [...runtimeArguments, script, folder], { stdio: ["pipe", "pipe", "inherit"] });
  children.push(child);
  const [chunk] = await once(child.stdout, "data");
  return { child, said: String(chunk).trim() };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const exited = once(child, "exit");
  child.kill(signal);
  await exited;
}

test("a folder is not taken twice; the message names who has it", async () => {
  const folder = await fresh();
  await lockFolder(folder);
  const error = await lockFolder(folder).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof Error);
  assert.match(error.message, String(process.pid));
  assert.match(error.message, folder);
});

test("of several that ask at once, one gets the folder and the others are told", async () => {
  for (let round = 0; round < 30; round++) {
    const folder = await fresh();
    const codes = await Promise.all(Array.from({ length: 5 }, () => codeOf(lockFolder(folder))));
    assert.equal(codes.sort(), ["DATA_LOCKED", "DATA_LOCKED", "DATA_LOCKED", "DATA_LOCKED", "resolved"]);
  }
});

const ZOMBIE = "a process that has ended and was not asked after by its parent holds nothing";

const zombieHoldsNothing = async (): Promise<void> => {
  const folder = await fresh();
  // The shell becomes something that never asks after the child it started.
  const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(parent);
  const pid = Number(String((await once(parent.stdout, "data"))[0]).trim());
  const fields = (): string[] => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  };
  const started = fields()[19] ?? "";
  await fs.writeFile(path.join(folder, "lock"), JSON.stringify({ host: os.hostname(), pid, started }));
  await eventually("the end of the child", () => fields()[0] === "Z");
  await lockFolder(folder);
};
if (existsSync("/proc/self/stat")) test(ZOMBIE, zombieHoldsNothing);
else test.skip(ZOMBIE, "this system has no /proc to tell");

test("another process is refused, and comes in after the release", async () => {
  const folder = await fresh();
  const lock = await lockFolder(folder);
  assert.is((await holder(folder)).said, "DATA_LOCKED");
  await lock.release();
  assert.is((await holder(folder)).said, "locked");
  assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
});

test("a lock is taken over from a process that was killed", async () => {
  const folder = await fresh();
  const { child, said } = await holder(folder);
  assert.is(said, "locked");
  assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
  await end(child, "SIGKILL");
  const lock = await lockFolder(folder);
  await lock.release();
});

test("a lock is taken over from a process whose number another one has now", async () => {
  const folder = await fresh();
  const { child } = await holder(folder);
  const owner = JSON.parse(await fs.readFile(path.join(folder, "lock"), "utf8"));
  await end(child, "SIGKILL");
  await fs.writeFile(path.join(folder, "lock"), JSON.stringify({ ...owner, pid: process.pid }));
  if (owner.started === "") return; // This system does not tell when a process started.
  assert.is(await codeOf(lockFolder(folder)), "resolved");
});

test("where the system does not tell when a process started, its number decides", async () => {
  const folder = await fresh();
  const { child } = await holder(folder);
  const owner = JSON.parse(await fs.readFile(path.join(folder, "lock"), "utf8"));
  await fs.writeFile(path.join(folder, "lock"), JSON.stringify({ ...owner, started: "" }));
  assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
  await end(child, "SIGKILL");
  assert.is(await codeOf(lockFolder(folder)), "resolved");
});

test("a lock of another machine is respected, since nobody here can tell", async () => {
  const folder = await fresh();
  await fs.writeFile(path.join(folder, "lock"), JSON.stringify({ host: "elsewhere", pid: 1, started: "1" }));
  assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
});

test("a lock file that holds garbage is taken over", async () => {
  for (const content of ["", "{", "null", "7", '{"pid":"x"}', "\0\0\0\0"]) {
    const folder = await fresh();
    await fs.writeFile(path.join(folder, "lock"), content);
    assert.is(await codeOf(lockFolder(folder)), "resolved", JSON.stringify(content));
    assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
  }
});

test("of several that find a stale lock, one takes it over", async () => {
  const folder = await fresh();
  const { child } = await holder(folder);
  await end(child, "SIGKILL");
  const rivals = await Promise.all(Array.from({ length: 4 }, () => holder(folder)));
  const said = rivals.map((rival) => rival.said).sort();
  assert.equal(said, ["DATA_LOCKED", "DATA_LOCKED", "DATA_LOCKED", "locked"]);
});

test("of several that find a stale lock in the same moment, one takes it over, time and again", async () => {
  const gone = await holder(await fresh());
  await end(gone.child, "SIGKILL");
  const stale = JSON.stringify({ host: os.hostname(), pid: gone.child.pid, started: "1" });
  for (let round = 0; round < 200; round++) {
    const folder = await fresh();
    await fs.writeFile(path.join(folder, "lock"), stale);
    const codes = await Promise.all(Array.from({ length: 6 }, () => codeOf(lockFolder(folder))));
    assert.is(codes.filter((code) => code === "resolved").length, 1, `round ${round}: ${codes}`);
    assert.is((await fs.readdir(folder)).length, 1, "what was stale is gone");
  }
});

test("whoever takes a folder while it is given up owns it alone", async () => {
  const folder = await fresh();
  let owners = 0;
  const takeInTurn = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      const lock = await lockFolder(folder).catch(() => null);
      if (lock === null) continue;
      owners++;
      assert.is(owners, 1);
      await new Promise((resolve) => setImmediate(resolve));
      owners--;
      await lock.release();
    }
  };
  await Promise.all(Array.from({ length: 5 }, takeInTurn));
  await (await lockFolder(folder)).release();
  assert.equal(await fs.readdir(folder), []);
});

test("nothing is left in the folder after the release, and a second release harms nobody", async () => {
  const folder = await fresh();
  const lock = await lockFolder(folder);
  await lock.release();
  assert.equal(await fs.readdir(folder), []);
  const { said } = await holder(folder);
  await lock.release();
  assert.is(said, "locked");
  assert.is(await codeOf(lockFolder(folder)), "DATA_LOCKED");
});

test("a folder that is not there can't be taken", async () => {
  assert.is(await codeOf(lockFolder(path.join(await fresh(), "missing"))), "ENOENT");
});

test.run();
