/** Transactions in a real cluster in one process: what belongs together is never seen apart, whoever leads. */

import * as assert from "uvu/assert";
import { type Change, type Client, hasCode } from "../../src/client/index.ts";
import { suite } from "../support/suite.ts";
import { type InProcess, withNodes } from "./in-process.ts";

const test = suite("node: transactions");

const ALL = 1_000;

/** Gives some of what one has to another, again and again, until told to stop. */
async function transferUntil(isOver: () => boolean, client: Client, from: string, to: string): Promise<number> {
  let acknowledged = 0;
  for (let by = 1; !isOver(); by = (by % 7) + 1) {
    try {
      await client.transaction({
        then: [
          { increment: from, by: -by },
          { increment: to, by },
        ],
      });
      acknowledged++;
    } catch (error) {
      if (!hasCode(error, "UNKNOWN_OUTCOME")) throw error;
    }
  }
  return acknowledged;
}

/** Takes the place of a value, if it is still the one that was seen: counts how often that went well. */
async function swapUntil(isOver: () => boolean, client: Client): Promise<number> {
  let swapped = 0;
  while (!isOver()) {
    try {
      const { results } = await client.transaction({ then: [{ get: "c/1" }, { get: "c/2" }] });
      const [first = null, second = null] = results;
      assert.is(first?.value, second?.value);
      const value = String(Number(first?.value ?? 0) + 1);
      const { succeeded } = await client.transaction({
        if: [
          { key: "c/1", revision: first?.revision ?? 0 },
          { key: "c/2", revision: second?.revision ?? 0 },
        ],
        then: [
          { put: "c/1", value },
          { put: "c/2", value },
        ],
      });
      if (succeeded) swapped++;
    } catch (error) {
      if (!hasCode(error, "UNKNOWN_OUTCOME")) throw error;
    }
  }
  return swapped;
}

/** What the keys hold after each transaction, as a watch tells it. */
async function sumsOf(watch: AsyncIterable<Change>): Promise<number[]> {
  const held = new Map<string, number>();
  const sums: number[] = [];
  for await (const change of watch) {
    if (change.key === "a/last") break;
    if (change.type === "put") held.set(change.key, Number(change.value));
    if (change.more !== true) sums.push([...held.values()].reduce((sum, one) => sum + one, 0));
  }
  return sums;
}

async function unseat(cluster: InProcess, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const leader = await cluster.leader();
    await cluster.stop(leader);
    await cluster.leader();
    await cluster.start(leader);
  }
}

test("leaders go and come: what is given away has come to another, for all who read and all who watch", () =>
  withNodes(3, async (cluster) => {
    const [one, other, reader] = [await cluster.client(), await cluster.client(), await cluster.client()];
    const { revision } = await one.transaction({
      then: [
        { put: "a/1", value: `${ALL}` },
        { put: "a/2", value: "0" },
      ],
    });
    const watched = sumsOf(reader.watch("a/", { fromRevision: revision - 1 }));
    watched.catch(() => {}); // Should anything else fail first, that is what there is to tell.
    let isOver = false;
    const isDone = (): boolean => isOver;
    const work = [
      transferUntil(isDone, one, "a/1", "a/2"),
      transferUntil(isDone, other, "a/2", "a/1"),
      swapUntil(isDone, one),
      swapUntil(isDone, other),
    ];
    const readUntilOver = async (): Promise<number> => {
      let times = 0;
      for (; !isOver; times++) {
        const { entries } = await reader.list("a/", { consistency: "stale" });
        if (entries.length > 0)
          assert.is(
            entries.reduce((sum, { value }) => sum + Number(value), 0),
            ALL,
          );
      }
      return times;
    };
    const reading = readUntilOver();
    await unseat(cluster, 2);
    isOver = true;
    const [given = 0, back = 0, mine = 0, theirs = 0, read = 0] = await Promise.all([...work, reading]);
    // Of two who swap, one may always be the first.
    assert.ok(given > 0 && back > 0 && mine + theirs > 0 && read > 0);
    const swapped = Number((await reader.get("c/1"))?.value);
    assert.ok(swapped >= mine + theirs, "each that was acknowledged counts once");
    await reader.put("a/last", "");
    const sums = await watched;
    assert.ok(sums.length >= given + back);
    assert.ok(sums.every((sum) => sum === ALL));
  }));

test.run();
