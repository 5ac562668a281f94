/** What a node does whose state is wrong: what it writes down first, whom it asks, and when it is right again. */

import * as assert from "uvu/assert";
import { busy, ConclaveError } from "../../src/errors.ts";
import { Divergence, type DivergenceEvent } from "../../src/node/divergence.ts";
import type { NodeAnswer, NodeMessage } from "../../src/protocol/node.ts";
import {
  bootstrap,
  createRaft,
  EntryKind,
  Log,
  logIndex,
  type Offer,
  type RaftEvent,
  term,
} from "../../src/raft/index.ts";
import { codeOf, HandClock, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const ELECTION_TIMEOUT_MAX_MS = 600;

/** Node n1, whose log is committed up to entry 10. */
function bench(distrustedAt: number | null = null) {
  const clock = new HandClock();
  const log = new Log();
  for (let index = 1; index <= 10; index++) {
    log.append({ index: logIndex(index), term: term(1), kind: EntryKind.noop, payload: new Uint8Array(0) });
  }
  const timing = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: ELECTION_TIMEOUT_MAX_MS };
  const sizes = { appendBytesMax: 1_000, appendsInFlightMax: 1, appendBytesInFlightMax: 1_000 };
  const founders = ["n1", "n2", "n3"].map((id) => ({ id, url: `ws://${id}:7000` }));
  const raft = createRaft(
    {
      id: "n1",
      incarnation: "n1",
      ...timing,
      ...sizes,
      evidenceDelayMaxMs: 30,
      logCacheBytesMax: 1_000,
      clockDriftMax: null,
    },
    {
      hardState: { term: term(1), vote: null, commitIndex: logIndex(10) },
      snapshot: { index: logIndex(0), term: term(0), configuration: bootstrap(founders) },
      log,
      configurations: [],
      needsReset: false,
      isAdmitted: true,
    },
    0,
    1,
  );
  raft.role = { name: "follower", leader: "n3", electionDeadlineMs: 1e9, evidence: "timer-ran-out" };
  const state = {
    lenders: ["n2", "n3"],
    /** In the order in which it happens. */
    done: [] as string[],
    /** What whoever is asked answers, one after the other, and then whoever is asked again. */
    answers: [] as (NodeAnswer | ConclaveError)[],
    diskFails: 0,
    distrusted: distrustedAt,
    replaced: true,
    /** How long it takes to draw a snapshot. */
    drawing: Promise.resolve(),
    events: [] as DivergenceEvent[],
  };
  const written = async (what: string): Promise<void> => {
    if (state.diskFails > 0) {
      state.diskFails--;
      throw new ConclaveError("DISK_FULL", "no room");
    }
    state.done.push(what);
  };
  const divergence = new Divergence({
    clock,
    raft,
    store: {
      get distrustedAt() {
        return state.distrusted;
      },
      distrust: async (index) => {
        await written(`distrust ${index}`);
        state.distrusted = index;
      },
      trust: async (index) => {
        await written(`trust ${index}`);
        state.distrusted = null;
        return [3];
      },
    },
    lenders: () => state.lenders,
    ask: async (id, message: NodeMessage) => {
      state.done.push(
        message.type === "lend-snapshot" ? `ask ${id} since ${message.agreedAt}` : `${message.type} ${id}`,
      );
      if (message.type !== "lend-snapshot") return { type: "done" };
      const answer = state.answers.shift() ?? busy("not yet", 1);
      if (answer instanceof ConclaveError) throw answer;
      return answer;
    },
    tellTo: (id, message) => void state.done.push(`${message.type} ${id}`),
    replaceBy: async ({ from, snapshot: { index, term: lastTerm } }: Offer, isNeeded: () => boolean) => {
      state.done.push(`draw ${index} of term ${lastTerm} from ${from}`);
      await state.drawing;
      if (!isNeeded()) return false;
      if (state.replaced) divergence.replaced(index);
      return state.replaced;
    },
    takeSnapshot: async () => {
      await written("snapshot");
      return 12;
    },
    post: (event) => void state.events.push(event),
    onFound: ({ code }) => void state.done.push(code),
    tell: (story) => {
      const { event } = story;
      state.done.push(event === "repair-delayed" ? `${event}: ${story.reason}` : `${event} ${story.index}`);
    },
  });
  /** Lets it do what it is about to, and what waits for a timer. */
  const goOn = async (ms = 0): Promise<string[]> => {
    await turns();
    for (let left = ms; left > 0; left -= 10) {
      clock.advance(Math.min(10, left));
      await turns(2);
    }
    return state.done.splice(0);
  };
  const take = (): RaftEvent[] => {
    const events: RaftEvent[] = [];
    for (const event of state.events.splice(0)) divergence.take(event, events);
    return events;
  };
  return Object.assign(state, { clock, raft, divergence, goOn, take });
}

const snapshotOf = (index: number): NodeAnswer => ({ type: "snapshot", index, total: 100, origin: new Uint8Array(0) });
const check = (stage: ReturnType<typeof bench>): Promise<void> =>
  new Promise((resolve) => resolve(stage.divergence.check()));

const test = suite("node: divergence");

test("it is written down first; then the state of one that is right is drawn, written down, and answers again", async () => {
  const stage = bench();
  await check(stage);
  stage.answers.push(snapshotOf(9));
  stage.divergence.found(7, ["n2", "n3"]);
  assert.is(await codeOf(check(stage)), "DIVERGED");
  const done = await stage.goOn();
  const order = ["diverged 7", "DIVERGED", "distrust 7", "ask n2 since 7", "draw 9 of term 1 from n2"];
  assert.equal(done.slice(0, 5), order);
  assert.equal(done.slice(5).sort(), ["release-snapshot n2", "trust 9"]);
  assert.is(await codeOf(check(stage)), "DIVERGED", "until the node hears of it");
  assert.equal(stage.take(), [{ type: "snapshot-lost", index: logIndex(3) }]);
  await check(stage);
  assert.equal(await stage.goOn(10_000), ["repaired 9"]);
  assert.is(stage.clock.timers, 0);
});

test("what a life before has found out is gone on with", async () => {
  const stage = bench(7);
  assert.is(await codeOf(check(stage)), "DIVERGED");
  assert.equal(await stage.goOn(), []);
  stage.answers.push(snapshotOf(10));
  stage.divergence.start();
  const done = await stage.goOn();
  assert.equal(done.slice(0, 3), ["diverged 7", "DIVERGED", "ask n2 since 7"]);
  assert.ok(done.includes("trust 10"));
});

test("one after the other is asked; if none knows itself to be right, the leader has all compared", async () => {
  const stage = bench();
  stage.divergence.found(7, []);
  const done = await stage.goOn(2_000);
  const asked = done.filter((what) => what.startsWith("ask ") || what.startsWith("compare "));
  assert.equal(asked.slice(0, 6), [
    "ask n2 since 7",
    "ask n3 since 7",
    "compare n3",
    "ask n2 since 7",
    "ask n3 since 7",
    "compare n3",
  ]);
  const delays = done.filter((what) => what.startsWith("repair-delayed"));
  assert.equal(delays, ["repair-delayed: not yet"], "told once, and not of the first round");
  await stage.goOn(60_000);
  const later = await stage.goOn(120_000);
  assert.ok(later.length > 0 && later.length < 40, `${later.length} tries in two minutes`);
  stage.answers.push(snapshotOf(9));
  assert.ok((await stage.goOn(60_000)).includes("trust 9"));
});

test("without anybody to ask, or a disk to write on, it waits, and says why", async () => {
  const stage = bench();
  stage.lenders = [];
  stage.diskFails = 1;
  stage.divergence.found(7, ["n2"]);
  const done = await stage.goOn(1_000);
  assert.equal(done.slice(0, 5), [
    "diverged 7",
    "DIVERGED",
    "repair-delayed: no room",
    "distrust 7",
    "repair-delayed: No other member is reached.",
  ]);
  stage.lenders = ["n2"];
  stage.answers.push(snapshotOf(10));
  assert.ok((await stage.goOn(10_000)).includes("trust 10"));
});

test("what can't be written down at the end is tried again, and until then nothing is answered", async () => {
  const stage = bench(7);
  stage.diskFails = 3;
  stage.answers.push(snapshotOf(10));
  stage.divergence.start();
  assert.not((await stage.goOn()).includes("trust 10"));
  assert.equal(stage.events, []);
  assert.equal(await stage.goOn(2_000), ["trust 10"]);
  stage.take();
  await check(stage);
});

test("a transfer that comes to nothing is begun anew, with another node", async () => {
  const stage = bench();
  stage.replaced = false;
  stage.answers.push(snapshotOf(9), new ConclaveError("DIVERGED", "it is wrong, too"), snapshotOf(10));
  stage.divergence.found(7, ["n2", "n3"]);
  await stage.goOn();
  stage.replaced = true;
  const done = await stage.goOn(3_000);
  assert.equal(
    done.filter((what) => what.startsWith("ask ") || what.startsWith("draw ")),
    ["ask n3 since 7", "ask n2 since 7", "draw 10 of term 1 from n2"],
  );
});

test("a snapshot that is ahead is drawn once the log has come there, and one that the log does not lead on from never", async () => {
  const stage = bench();
  stage.answers.push(snapshotOf(12));
  stage.divergence.found(7, ["n2", "n3"]);
  await stage.goOn(1_000);
  for (const index of [11, 12]) {
    const payload = new Uint8Array(0);
    stage.raft.log.append({ index: logIndex(index), term: term(2), kind: EntryKind.noop, payload });
  }
  stage.raft.commitIndex = logIndex(12);
  assert.ok((await stage.goOn(100)).includes("draw 12 of term 2 from n2"));

  const behind = bench();
  behind.answers.push(snapshotOf(12));
  behind.divergence.found(7, ["n2", "n3"]);
  const done = await behind.goOn(11_000);
  assert.ok(done.includes("release-snapshot n2"));
  assert.not(done.some((what) => what.startsWith("draw")));

  const compacted = bench();
  compacted.raft.log.compact(logIndex(9));
  compacted.answers.push(snapshotOf(8));
  compacted.divergence.found(7, ["n2", "n3"]);
  assert.not((await compacted.goOn()).some((what) => what.startsWith("draw")));
});

test("a snapshot that is here after the leader's is of no use any more", async () => {
  const stage = bench();
  const drawing = Promise.withResolvers<void>();
  stage.drawing = drawing.promise;
  stage.answers.push(snapshotOf(10));
  stage.divergence.found(7, ["n2", "n3"]);
  await stage.goOn();
  stage.divergence.replaced(9);
  drawing.resolve();
  assert.equal(
    (await stage.goOn(1_000)).filter((what) => what.startsWith("trust")),
    ["trust 9"],
  );
  stage.take();
  assert.equal(await stage.goOn(10_000), ["repaired 9"]);
});

test("a leader's snapshot that comes meanwhile will do", async () => {
  const stage = bench();
  stage.divergence.found(7, ["n2", "n3"]);
  await stage.goOn();
  stage.divergence.replaced(20);
  assert.equal(await stage.goOn(5_000), ["trust 20"]);
  stage.take();
  await check(stage);
  assert.equal(await stage.goOn(60_000), ["repaired 20"]);
});

test("a state that is that of the majority again, after a restart or by itself, is as good as theirs", async () => {
  const stage = bench(7);
  stage.divergence.start();
  await stage.goOn();
  stage.divergence.agreed(6);
  assert.not((await stage.goOn()).includes("snapshot"), "that says nothing of what came later");
  assert.not(stage.divergence.isRight);
  stage.diskFails = 1;
  stage.divergence.agreed(7);
  assert.ok(stage.divergence.isRight && !stage.divergence.isSound, "it may be written down");
  const done = await stage.goOn(1_000);
  assert.equal(
    done.filter((what) => what === "snapshot" || what.startsWith("trust")),
    ["snapshot", "trust 12"],
    "before older ones go, which may hold what was wrong",
  );
  assert.is(await codeOf(check(stage)), "DIVERGED");
  stage.take();
  await check(stage);
  assert.equal(await stage.goOn(60_000), ["agrees-again 7"]);
});

test("what an earlier repair still has to say counts for nothing once the state is wrong again", async () => {
  const stage = bench(7);
  stage.divergence.start();
  await stage.goOn();
  stage.divergence.replaced(20);
  stage.divergence.replaced(21);
  await stage.goOn();
  const [first, second] = stage.events.splice(0);
  if (first === undefined || second === undefined) throw new Error("both were written down");
  stage.events.push(first);
  stage.take();
  await check(stage);
  stage.divergence.found(22, ["n2", "n3"]);
  stage.events.push(second);
  stage.take();
  assert.is(await codeOf(check(stage)), "DIVERGED");
});

test("it may happen again, and is repaired again", async () => {
  const stage = bench();
  for (const index of [7, 9]) {
    stage.answers.push(snapshotOf(10));
    stage.divergence.found(index, ["n2", "n3"]);
    stage.divergence.found(index + 1, ["n2", "n3"]);
    assert.equal(
      (await stage.goOn(1_000)).filter((what) => what.startsWith("diverged")),
      [`diverged ${index}`],
    );
    stage.take();
    await check(stage);
  }
});

test("a leader hands over, and tries again from time to time", () => {
  const stage = bench();
  const tend = (): RaftEvent[] => {
    const events: RaftEvent[] = [];
    stage.divergence.tend(events);
    return events;
  };
  stage.divergence.found(7, ["n2", "n3"]);
  assert.equal(tend(), []);
  Object.assign(stage.raft, { role: { name: "leader" } });
  assert.equal(tend(), [{ type: "transfer", to: null }]);
  assert.equal(tend(), []);
  stage.clock.holdUp(4 * ELECTION_TIMEOUT_MAX_MS);
  assert.equal(tend(), [{ type: "transfer", to: null }]);
});

test("a node that stops asks nobody any more", async () => {
  const stage = bench();
  stage.divergence.found(7, ["n2", "n3"]);
  await stage.goOn();
  stage.divergence.stop();
  stage.divergence.replaced(9);
  stage.divergence.agreed(9);
  assert.equal(await stage.goOn(60_000), []);
  assert.is(stage.clock.timers, 0);
});

test.run();
