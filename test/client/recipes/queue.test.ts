/** Work queues among clients of a cluster that loses its leaders. */

import * as assert from "uvu/assert";
import type { Job, Queue } from "../../../src/index.ts";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";
import { cutOff, fired, withClients } from "./clients.ts";

const test = suite("queue");

const codeIn = async (signal: AbortSignal): Promise<string> => ((await fired(signal)) as { code: string }).code;

/** Asks until so many wait for a job. */
async function whenWaiting(queue: Queue<unknown>, count: number): Promise<void> {
  while ((await queue.status()).waiting < count);
}

test("each job is done once, by workers that come and go with leaders", () =>
  withClients(async (clients, cluster) => {
    const [first] = clients;
    const done: number[] = [];
    const end = new AbortController();
    const workers = clients.map(async (client) => {
      for await (const job of client.queue<{ n: number }>("work").jobs({ signal: end.signal })) {
        done.push(job.item.n);
        await job.ack();
        if (done.length === 30) end.abort();
      }
    });
    const queue = first.queue<{ n: number }>("work");
    await whenWaiting(queue, 3);
    for (let n = 0; n < 30; n++) {
      assert.ok(await queue.push({ n }, { id: `${n}` }));
      if (n === 10) cluster.kill((await cluster.leader()).id);
    }
    assert.equal(await Promise.all(workers.map((worker) => codeOf(worker))), ["ABORTED", "ABORTED", "ABORTED"]);
    assert.equal(
      done.toSorted((a, b) => a - b),
      Array.from({ length: 30 }, (_, n) => n),
    );
    assert.not(await queue.push({ n: 0 }, { id: "0" }), "it was done");
    const { ready, taken, delayed, dead } = await queue.status();
    assert.equal([ready, taken, delayed, dead], [0, 0, 0, 0]);
  }));

test("who asks first has the first job", () =>
  withClients(async ([a, b, c]) => {
    const queue = a.queue<string>("work");
    const first = b.queue<string>("work").take();
    await whenWaiting(queue, 1);
    const second = c.queue<string>("work").take();
    await whenWaiting(queue, 2);
    await queue.push("one");
    await queue.push("two");
    assert.is((await first).item, "one");
    assert.is((await second).item, "two");
    assert.ok((await second).token > (await first).token);
  }));

test("a job of somebody who is not heard of goes to another one, after its first taker has been told", () =>
  withClients(async ([a], cluster) => {
    const options = { visibleMs: 400 };
    await a.queue("work").push("it");
    const lonely = await cluster.node("n1").client.queue("work", options).take();
    cutOff(cluster, "n1");
    const job = await a.queue("work", options).take();
    assert.ok(lonely.signal.aborted);
    assert.is(await codeIn(lonely.signal), "LOST");
    assert.is(job.attempt, 2);
    assert.ok(job.token > lonely.token);
    cluster.heal();
    assert.is(await codeOf(lonely.ack({ timeoutMs: 20_000 })), "LOST");
    assert.is(await codeOf(lonely.extend()), "LOST");
    await lonely.nack();
    await job.extend();
    await job.ack();
    await job.ack();
    assert.is(await codeIn(job.signal), "RELEASED");
    assert.is((await a.queue("work").status()).taken, 0);
  }));

test("a job that takes longer is extended, be there another leader", () =>
  withClients(async ([a, b], cluster) => {
    await a.queue("work").push("it");
    const job = await a.queue("work", { visibleMs: 2_000 }).take();
    const other = b.queue("work").take();
    cluster.kill((await cluster.leader()).id);
    await b.put("still", "there");
    for (let i = 0; i < 3; i++) {
      // A job of another queue that nobody acknowledges tells that time has passed.
      await b.queue("clock").push("tick");
      await b.queue("clock", { visibleMs: 1_000, attemptsMax: 1 }).take();
      while ((await b.queue("clock").status()).dead === i);
      await job.extend();
    }
    await job.nack();
    assert.is((await other).attempt, 2);
  }));

test("what fails too often is a dead letter, to be revived or discarded", () =>
  withClients(async ([a, b]) => {
    const queue = a.queue<string>("work", { attemptsMax: 2 });
    const attempt = async (fail: (job: Job<string>) => Promise<void>): Promise<void> => fail(await queue.take());
    await queue.push("bad", { id: "1" });
    await queue.push("worse", { id: "2" });
    for (let i = 0; i < 2; i++) {
      await attempt((job) => job.nack());
      await attempt(async (job) => {
        await using _failing = job;
      });
    }
    const letters = b.queue<string>("work").dead();
    assert.equal(await letters.next(), { done: false, value: { id: "1", item: "bad", attempts: 2 } });
    assert.equal(await letters.next(), { done: false, value: { id: "2", item: "worse", attempts: 2 } });
    assert.is((await letters.next()).done, true);
    assert.ok(await queue.discard("1"));
    assert.not(await queue.revive("1"));
    assert.ok(await queue.revive("2"));
    const job = await queue.take();
    assert.equal([job.item, job.attempt], ["worse", 1]);
    await job.nack({ delayMs: 50 });
    assert.is((await queue.status()).delayed, 1);
    await (await queue.take()).ack();
  }));

test("a queue is bounded", () =>
  withClients(async ([a]) => {
    const queue = a.queue("work", { itemsMax: 2, bytesMax: 10_000 });
    await queue.push("1");
    assert.is(await codeOf(queue.push("x".repeat(10_000))), "BUSY");
    await queue.push("2");
    assert.is(await codeOf(queue.push("3")), "BUSY");
    assert.is(await codeOf(a.queue("work").push("x".repeat(1024 * 1024))), "TOO_LARGE");
    assert.is(await codeOf(queue.push(() => {})), "INVALID_ARGUMENT");
    assert.is(await codeOf(queue.push("3", { delayMs: -1 })), "REJECTED");
    assert.is(await codeOf(a.queue("work", { visibleMs: 1 }).take()), "REJECTED");
  }));

test("a client that is closed gives back its jobs, and its place in line", () =>
  withClients(async ([a, b, c]) => {
    const queue = c.queue("work", { visibleMs: 60_000 });
    await queue.push("it");
    const job = await a.queue("work", { visibleMs: 60_000 }).take();
    const gone = codeOf(a.queue("work").take());
    await whenWaiting(queue, 1);
    const waiting = b.queue("work").take();
    await whenWaiting(queue, 2);
    await a.close();
    assert.is(await gone, "CLOSED");
    assert.ok(job.signal.aborted);
    const next = await waiting;
    assert.equal([next.item, next.attempt], ["it", 1]);
  }));

test("whoever waits for a job may stop to", () =>
  withClients(async ([a, b]) => {
    const queue = a.queue("work");
    const end = new AbortController();
    const waiting = codeOf(queue.take({ signal: end.signal }));
    await whenWaiting(queue, 1);
    end.abort();
    assert.is(await waiting, "ABORTED");
    const jobs = b.queue("work").jobs();
    const next = jobs.next();
    await whenWaiting(queue, 1);
    await jobs.return?.();
    assert.is((await next).done, true);
    while ((await queue.status()).waiting > 0);
    await queue.push("it");
    assert.is((await queue.status()).ready, 1);
  }));

test.run();
