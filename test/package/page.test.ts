/** The client in a browser: what a page gets of a cluster of real processes, one of which is killed. */

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import * as path from "node:path";
import type { Browser, Page } from "playwright-core";
import * as assert from "uvu/assert";
import { ERROR_CODES } from "../../src/errors.ts";
import { type Cluster, withCluster } from "../end-to-end/cluster.ts";
import { NO_BROWSER, withBrowser } from "../support/browser.ts";
import { suite } from "../support/suite.ts";
import { build, ELSEWHERE, removeAll } from "./packed.ts";

const SLOW = { timeoutMs: 120_000 };

/** What the page runs. The test calls what it promises under `page`. */
const SCRIPT = `
import * as conclave from "./client.js";

async function open(directory) {
  const client = await conclave.connect({ directories: [directory] });
  const leaders = [];
  const changes = [];
  const waiting = new Set();
  const wake = () => { for (const look of waiting) look(); };
  const until = (find) => new Promise((resolve) => {
    const look = () => {
      const found = find();
      if (found === undefined) return;
      waiting.delete(look);
      resolve(found);
    };
    waiting.add(look);
    look();
  });
  const code = (call) => call.then(
    () => null,
    (error) => error instanceof conclave.ConclaveError ? error.code : String(error),
  );
  client.on("leader", (leader) => { leaders.push(leader); wake(); });
  const watching = async () => {
    for await (const { key, value } of client.watch("key/", { fromRevision: 1 })) {
      changes.push(key + "=" + value);
      wake();
    }
  };
  return {
    client,
    code,
    names: Object.keys(conclave),
    codes: Object.keys(conclave.ERROR_CODES),
    watchEnded: code(watching()),
    /** The leader that was pushed last, once it leads a later term than that. */
    leader: (term) => until(() => leaders.at(-1)?.term > term ? leaders.at(-1) : undefined),
    changes: (count) => until(() => changes.length >= count ? changes : undefined),
  };
}

globalThis.page = open(new URLSearchParams(location.search).get("directory"));
`;

/** Text is never run, inline scripts are not, and nothing is loaded but from here. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src ws://127.0.0.1:*; img-src data:";

const files: Record<string, readonly [type: string, text: string]> = {
  "/": ["text/html", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="page.js"></script>'],
  "/page.js": ["text/javascript", SCRIPT],
};

async function serve(): Promise<{ readonly server: Server; readonly origin: string }> {
  const server = createServer((request, response) => {
    const [type, text] = files[new URL(request.url ?? "/", "http://here").pathname] ?? ["text/plain", ""];
    response.writeHead(text === "" ? 404 : 200, { "content-type": type, "content-security-policy": POLICY }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return { server, origin: `http://127.0.0.1:${address.port}` };
}

const test = suite("page");
const reason = ELSEWHERE ?? NO_BROWSER;
const TITLE = "a page is pushed leaders, sends commands, and misses no change, whichever node dies";

if (reason !== null) {
  test.skip(TITLE, reason);
} else {
  test(TITLE, () => inBrowser(story), SLOW);
  test.after(removeAll);
}

async function inBrowser(body: (page: Page, cluster: Cluster) => Promise<void>): Promise<void> {
  files["/client.js"] = ["text/javascript", readFileSync(path.join(await build(), "client.min.js"), "utf8")];
  const { server, origin } = await serve();
  const inCluster = (browser: Browser): Promise<void> =>
    withCluster(
      3,
      async (cluster) => {
        const page = await browser.newPage();
        const errors: string[] = [];
        page.on("pageerror", (error) => errors.push(String(error)));
        page.on("console", (message) => {
          if (message.text().includes("Content Security Policy")) errors.push(message.text());
        });
        await page.goto(`${origin}/?directory=${encodeURIComponent(cluster.directoryUrl)}`);
        await body(page, cluster);
        assert.equal(errors, []);
      },
      { allowedOrigins: [origin] },
    );
  try {
    await withBrowser(inCluster);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

interface Leader {
  readonly id: string;
  readonly term: number;
}

async function story(page: Page, cluster: Cluster): Promise<void> {
  const run = <T>(code: string): Promise<T> => page.evaluate<T>(`globalThis.page.then((page) => ${code})`);
  const first = await run<Leader>("page.leader(0)");
  assert.ok(cluster.ids.includes(first.id));

  assert.equal(await run("page.names"), Object.keys(await import("../../src/client/index.ts")).sort());
  assert.equal(await run("page.codes"), Object.keys(ERROR_CODES));

  assert.equal(await run(`page.client.put("key/a", "1")`), { revision: 1 });
  assert.equal(await run(`page.client.increment("key/n", 2)`), { value: 2, revision: 2 });
  assert.equal(await run(`page.client.get("key/a")`), { key: "key/a", value: "1", revision: 1 });
  assert.is(await run(`page.code(page.client.increment("key/a", 0.5))`), "INVALID_ARGUMENT");
  assert.equal(await run("page.changes(2)"), ["key/a=1", "key/n=2"]);

  await cluster.node(first.id).kill("SIGKILL");
  // At once: the calls wait in the page until it has found the next leader.
  const calls = `Promise.all([1, 2, 3].map((by) => page.client.increment("key/n", by)))`;
  const values = (await run<{ value: number }[]>(calls)).map(({ value }) => value);
  assert.equal(values, [3, 5, 8]);
  const second = await run<Leader>(`page.leader(${first.term})`);
  assert.is.not(second.id, first.id);
  assert.equal(await run("page.changes(5)"), ["key/a=1", "key/n=2", "key/n=3", "key/n=5", "key/n=8"]);

  const { entries } = await run<{ entries: { key: string; value: string }[] }>(`page.client.list("key/")`);
  assert.equal(
    entries.map(({ key, value }) => `${key}=${value}`),
    ["key/a=1", "key/n=8"],
  );
  await run("page.client.close()");
  assert.is(await run(`page.code(page.client.get("key/a"))`), "CLOSED");
  assert.is(await run("page.watchEnded"), "CLOSED");
}

test.run();
