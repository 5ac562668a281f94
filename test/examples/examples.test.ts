/** Every example does what it says, as a process of its own, and is short enough to be read. */

import { readdirSync, readFileSync } from "node:fs";
import * as path from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Browser, Page } from "playwright-core";
import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import { KeyValueMachine, Machines, RECIPES } from "../../src/machine/index.ts";
import { command, PROJECT, Running } from "../end-to-end/cluster.ts";
import { type InProcess, withNodes } from "../node/in-process.ts";
import { build, ELSEWHERE, removeAll } from "../package/packed.ts";
import { NO_BROWSER, withBrowser } from "../support/browser.ts";
import { suite } from "../support/suite.ts";

const test = suite("examples");

const FOLDER = path.join(PROJECT, "scripts", "examples");
const LINES_MAX = 80;

type Run = (name: string, args?: readonly string[], env?: Readonly<Record<string, string>>) => Running;

/** Runs examples, which are ended with the test, whatever becomes of it. */
async function withExamples(body: (run: Run) => Promise<void>, folder = FOLDER): Promise<void> {
  const running: Running[] = [];
  try {
    await body((name, args = [], env = {}) => {
      const [runtime, file] = command(path.join(folder, name));
      const own = new Running(runtime, [...file, ...args], env);
      running.push(own);
      return own;
    });
  } finally {
    await Promise.all(running.map((one) => one.kill("SIGKILL")));
  }
}

/** Three nodes that have what every cluster has. */
const withCluster = (body: (cluster: InProcess) => Promise<void>): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      const machine = () => new Machines(new KeyValueMachine(), RECIPES, { isGuarded: true });
      await Promise.all(cluster.ids.map((id) => cluster.start(id, { machine: machine() })));
      await body(cluster);
    },
    { idle: true },
  );

const urlsOf = (cluster: InProcess): string[] => cluster.members.map(({ url }) => url);

test("each is short", () => {
  const files = readdirSync(FOLDER).filter((file) => /\.(mts|html)$/.test(file));
  assert.ok(files.length >= 3);
  for (const file of files) {
    const lines = readFileSync(path.join(FOLDER, file), "utf8").split("\n").length - 1;
    assert.ok(lines < LINES_MAX, `${file} has ${lines} lines`);
  }
});

test("bank: the leader leaves, and no money is lost or made", () =>
  withExamples(async (run) => {
    const [port = 0] = await freePorts(3);
    const bank = run("bank.mts", [], { PORT: String(port) });
    assert.is((await bank.exited).code, 0, bank.errors);
    const told = stripVTControlCharacters(bank.output);
    assert.match(told, /the leader, [abc], has left/);
    assert.match(told, /400 transfers, of which \d+ were refused/);
    assert.match(told, /in all 300/);
  }));

test("cron: each turn is one process's, and the other goes on when one is killed", () =>
  withCluster((cluster) =>
    withExamples(async (run) => {
      const [one, other] = [run("cron.mts", urlsOf(cluster)), run("cron.mts", urlsOf(cluster))];
      const turnsOf = ({ output }: Running): string[] =>
        [...output.matchAll(/^(\S+) process/gm)].map(([, at]) => at ?? "");
      const taken = /has turn/;
      await Promise.race([one.text(taken), other.text(taken)]);
      const [busy, idle] = turnsOf(one).length > 0 ? [one, other] : [other, one];
      const before = turnsOf(idle).length;
      await busy.kill("SIGKILL");
      await idle.text(new RegExp(`(?:[^\n]*has turn[^\n]*\n){${before + 2}}`));
      const all = [...turnsOf(busy), ...turnsOf(idle)];
      assert.is(new Set(all).size, all.length, "no turn was had twice");
      await idle.kill("SIGTERM");
      assert.is((await idle.exited).code, 0, idle.errors);
    }),
  ));

test("flags: a change is pushed to whoever shows them", () =>
  withCluster((cluster) =>
    withExamples(async (run) => {
      const client = await cluster.client();
      await client.put("flags/old", "on");
      const env = { NODES: urlsOf(cluster).join(",") };
      const shown = run("flags.mts", [], env);
      await shown.text(/old is on/);
      await run("flags.mts", ["dark-mode", "on"], env).exited;
      await shown.text(/dark-mode is on/);
      await cluster.stop(await cluster.leader());
      await run("flags.mts", ["dark-mode", "off"], env).exited;
      await shown.text(/dark-mode is off/);
      await shown.kill("SIGTERM");
      assert.is((await shown.exited).code, 0, shown.errors);
    }),
  ));

test("rate limiter: two processes share one limit, for each caller", () =>
  withCluster((cluster) =>
    withExamples(async (run) => {
      const ports = await freePorts(2);
      const NODES = urlsOf(cluster).join(",");
      const servers = ports.map((port) => run("rate-limiter.mts", [], { NODES, PORT: String(port) }));
      for (const server of servers) await server.text(/listening/);
      const ask = async (i: number, user: string): Promise<Response> =>
        fetch(`http://127.0.0.1:${ports[i % 2]}/`, { headers: { "x-user": user } });
      const answers: Response[] = [];
      for (let i = 0; i < 4; i++) answers.push(await ask(i, "ann"));
      assert.equal(
        answers.map(({ status }) => status),
        [200, 200, 200, 429],
      );
      assert.ok(Number(answers[3]?.headers.get("retry-after")) > 0);
      assert.is((await ask(0, "bob")).status, 200);
      await Promise.all(servers.map((server) => server.kill("SIGTERM")));
      for (const server of servers) assert.is((await server.exited).code, 0, server.errors);
    }),
  ));

const CHAT = "chat: pages have all that was said, in one order, whichever server dies";
const reason = ELSEWHERE ?? NO_BROWSER;
if (reason !== null) {
  test.skip(CHAT, reason);
} else {
  test(CHAT, () => withBrowser(chat), { timeoutMs: 120_000 });
  test.after(removeAll);
}

async function chat(browser: Browser): Promise<void> {
  const folder = path.join(await build(), "..", "scripts", "examples");
  const port = await portsInRow(4);
  await withExamples(async (run) => {
    const servers = new Map(["a", "b", "c"].map((id) => [id, run("chat.mts", [id], { PORT: String(port) })]));
    for (const server of servers.values()) await server.text(/http:/);
    const errors: string[] = [];
    const open = async (i: number): Promise<Page> => {
      const page = await browser.newPage();
      page.on("pageerror", (error) => errors.push(String(error)));
      await page.goto(`http://127.0.0.1:${port + i}/`);
      return page;
    };
    const ann = await open(0);
    const bob = await open(1);
    await say(ann, "ann", "is anybody there?");
    assert.equal(await said(ann, 1), ["ann: is anybody there?"]);
    await say(bob, "bob", "<b>I am</b>");
    const before = ["ann: is anybody there?", "bob: <b>I am</b>"];
    assert.equal(await said(ann, 2), before);
    assert.equal(await said(bob, 2), before);

    const leader = /^[abc]/.exec((await ann.locator("output", { hasText: "leads" }).textContent()) ?? "")?.[0] ?? "";
    await servers.get(leader)?.kill("SIGKILL");
    await Promise.all([say(ann, "ann", "still there?"), say(bob, "bob", "still here")]);
    const after = await said(ann, 4);
    assert.equal(after.slice(0, 2), before);
    assert.equal(after.slice(2).sort(), ["ann: still there?", "bob: still here"]);
    assert.equal(await said(bob, 4), await said(ann, 4));
    const eve = await open(["a", "b", "c"].findIndex((id) => id !== leader));
    assert.equal(await said(eve, 4), await said(ann, 4), "who comes late reads what was said");
    await say(eve, "eve", " ");
    await eve.locator("output", { hasText: "NO_TEXT" }).waitFor();
    assert.equal(errors, []);
    servers.delete(leader);
    await Promise.all([...servers.values()].map((server) => server.kill("SIGTERM")));
    for (const server of servers.values()) assert.is((await server.exited).code, 0, server.errors);
  }, folder);
}

async function say(page: Page, who: string, text: string): Promise<void> {
  await page.fill("[name=who]", who);
  await page.fill("[name=text]", text);
  await page.click("button");
}

/** What stands in a page once so much was said there, without when. */
async function said(page: Page, count: number): Promise<string[]> {
  await page.locator(`li:nth-child(${count})`).waitFor();
  const items = await page.locator("li").allInnerTexts();
  return items.map((item) => item.replace(/ \d+:\d+:\d+.*$/, ""));
}

/** The first of so many free ports that follow one another. */
async function portsInRow(count: number): Promise<number> {
  for (;;) {
    const [first = 0, ...others] = await freePorts(count);
    if (others.every((port, i) => port === first + i + 1)) return first;
  }
}

test.run();
