/** Snapshots for those who make backups: taken when they are old, kept while they are drawn, and no longer. */

import * as assert from "uvu/assert";
import type { Answer, Peer } from "../../src/actor/index.ts";
import { ConclaveError } from "../../src/errors.ts";
import { Backups } from "../../src/node/backups.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import type { SnapshotInfo } from "../../src/storage/index.ts";
import { HandClock, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("node: backups");
const MINUTE_MS = 60_000;

/** A link to a process. */
const linkTo = (process: string): Peer => ({
  hello: { protocol: 1, cluster: "test", process, name: "client", incarnation: process, epoch: null, url: null },
  bufferedBytes: 0,
  ref: () => ({ tell: () => true, ask: () => Promise.reject(new Error("nothing is asked here")) }),
});

const infoOf = (index: number): SnapshotInfo => ({
  index,
  term: 1,
  configuration: new Uint8Array(0),
  bytes: 1_000,
  checksum: index,
});

function bench() {
  const clock = new HandClock();
  const state = {
    applied: 10,
    latest: null as SnapshotInfo | null,
    watched: [] as Peer[],
    got: [] as string[],
    taking: [] as PromiseWithResolvers<SnapshotInfo>[],
    reading: [] as PromiseWithResolvers<NodeAnswer>[],
  };
  const backups = new Backups({
    clock,
    replica: {
      get appliedIndex() {
        return state.applied;
      },
    },
    store: {
      get latest() {
        return state.latest;
      },
    },
    origin: new Uint8Array(0),
    take: () => {
      const taking = Promise.withResolvers<SnapshotInfo>();
      state.taking.push(taking);
      return taking.promise;
    },
    serve: () => {
      const reading = Promise.withResolvers<NodeAnswer>();
      state.reading.push(reading);
      return reading.promise;
    },
    watch: (peer) => void state.watched.push(peer),
  });
  const answerTo = (name: string): Answer<NodeAnswer> => ({
    ok: (answer) => void state.got.push(`${name}: ${answer.type === "snapshot" ? answer.index : answer.type}`),
    fail: (error) => void state.got.push(`${name}: ${error.code}`),
  });
  const read = (name: string, index: number, peer: Peer): void => {
    try {
      backups.read(index, 0, peer, answerTo(name));
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      state.got.push(`${name}: ${error.code}`);
    }
  };
  const chunks = { type: "chunks", bytes: new Uint8Array(1), next: null, total: 1, source: "" } as const;
  return Object.assign(state, { clock, backups, answerTo, read, chunks });
}

test("a snapshot that is as new as the state will do; otherwise one is taken", async () => {
  const one = bench();
  one.latest = infoOf(9);
  one.backups.begin(linkTo("a"), one.answerTo("a"));
  assert.is(one.taking.length, 1);
  assert.equal(one.backups.held, []);
  one.latest = infoOf(11);
  one.taking[0]?.resolve(infoOf(11));
  await turns();
  one.backups.begin(linkTo("b"), one.answerTo("b"));
  await turns();
  assert.is(one.taking.length, 1);
  assert.equal(one.got, ["a: 11", "b: 11"]);
  assert.equal(one.backups.held, [11, 11]);
});

test("one that can't be taken leaves room for others, and who asks for too many is told when to come again", async () => {
  const one = bench();
  for (const name of ["a", "b", "c"]) one.backups.begin(linkTo(name), one.answerTo(name));
  assert.equal(one.got, ["c: BUSY"]);
  one.taking[0]?.reject(new ConclaveError("DISK_FULL", "no room"));
  await turns();
  one.backups.begin(linkTo("d"), one.answerTo("d"));
  assert.equal(one.got, ["c: BUSY", "a: DISK_FULL"]);
  one.taking[1]?.resolve(infoOf(10));
  one.taking[2]?.resolve(infoOf(10));
  await turns();
  assert.equal(one.got.slice(2), ["b: 10", "d: 10"]);
});

test("only who had it taken draws it, one part at a time, also over another link of the same process", async () => {
  const one = bench();
  one.latest = infoOf(10);
  const [own, other] = [linkTo("a"), linkTo("b")];
  one.backups.begin(own, one.answerTo("a"));
  await turns();
  one.read("b", 10, other);
  one.read("a", 9, own);
  one.read("a", 10, own);
  one.read("a", 10, own);
  assert.equal(one.got.slice(1), ["b: COMPACTED", "a: COMPACTED", "a: BUSY"]);
  one.reading[0]?.resolve(one.chunks);
  await turns();
  const again = linkTo("a");
  one.backups.linkLost(own);
  one.read("a", 10, again);
  one.reading[1]?.resolve(one.chunks);
  await turns();
  assert.equal(one.got.slice(4), ["a: chunks", "a: chunks"]);
  assert.equal(one.watched, [own, again]);
  one.backups.release(10, other);
  assert.equal(one.backups.held, [10]);
  one.backups.release(10, again);
  assert.equal(one.backups.held, []);
});

test("it is kept for ten minutes for one who draws nothing, for half a one if the link is lost, anew with every part", async () => {
  const one = bench();
  one.latest = infoOf(10);
  const [slow, gone, back] = [linkTo("slow"), linkTo("gone"), linkTo("gone")];
  for (const peer of [slow, gone]) one.backups.begin(peer, one.answerTo(peer.hello.process));
  await turns();
  one.backups.linkLost(gone);
  one.clock.advance(MINUTE_MS / 2 - 1);
  one.backups.tend();
  assert.is(one.backups.held.length, 2);
  one.read("gone", 10, back);
  one.clock.advance(MINUTE_MS / 2 + 1);
  one.backups.tend();
  assert.is(one.backups.held.length, 2, "it was drawn again");
  one.backups.linkLost(back);
  one.clock.advance(MINUTE_MS / 2);
  one.backups.tend();
  assert.is(one.backups.held.length, 1);
  one.clock.advance(9 * MINUTE_MS);
  one.backups.tend();
  assert.equal(one.backups.held, []);
});

test("who begins again after its link was lost does not take up the room of two", async () => {
  const one = bench();
  one.latest = infoOf(10);
  for (let i = 0; i < 5; i++) {
    const link = linkTo("a");
    one.backups.begin(link, one.answerTo("a"));
    await turns();
    one.backups.linkLost(link);
  }
  assert.equal(one.got, Array(5).fill("a: 10"));
  assert.equal(one.backups.held, [10]);
});

test.run();
