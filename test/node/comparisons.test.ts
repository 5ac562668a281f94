/** When states are compared, how they are looked through, and what a node makes of what the others have come to. */

import * as assert from "uvu/assert";
import type { Peer } from "../../src/actor/index.ts";
import { encodePayload } from "../../src/machine/commands.ts";
import { Replica, type StateMachine } from "../../src/machine/index.ts";
import { Comparisons, type Told } from "../../src/node/comparisons.ts";
import { bootstrap, createRaft, type Entry, EntryKind, Log, logIndex, type Raft, term } from "../../src/raft/index.ts";
import { codeOf, HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const LOG_BYTES_MAX = 1_000;
const HOUR_MS = 3_600_000;

function raftOf(ids: readonly string[]): Raft {
  const [id = "n1"] = ids;
  const founders = ids.map((one) => ({ id: one, url: `ws://${one}:7000` }));
  const timing = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600, evidenceDelayMaxMs: 30 };
  const sizes = { appendBytesMax: 1_000, appendsInFlightMax: 1, appendBytesInFlightMax: 1_000 };
  return createRaft(
    { id, incarnation: id, ...timing, ...sizes, logCacheBytesMax: 1_000_000, clockDriftMax: null },
    {
      hardState: { term: term(1), vote: null, commitIndex: logIndex(0) },
      snapshot: { index: logIndex(0), term: term(0), configuration: bootstrap(founders) },
      log: new Log(),
      configurations: [],
      needsReset: false,
      isAdmitted: true,
    },
    0,
    1,
  );
}

const peerNamed = (name: string): Peer => ({
  hello: { protocol: 1, cluster: "test", process: name, name, incarnation: name, epoch: null, url: null },
  bufferedBytes: 0,
  ref: () => ({ tell: () => true, ask: () => Promise.reject(new Error("nothing is asked here")) }),
});

/** Node n1, whose state is a text in so many pieces, each of which takes its time. */
function bench(ids: readonly string[] = ["n1", "n2", "n3"]) {
  const clock = new HandClock();
  const raft = raftOf(ids);
  const state = {
    text: "right",
    pieces: 1,
    pieceMs: 0,
    drawn: 0,
    fails: false,
    told: [] as Told[],
    sent: [] as string[],
    stories: [] as string[],
    diverged: [] as string[],
    agreed: [] as number[],
  };
  const machine: StateMachine = {
    apply: (command) => command,
    query: (query) => query,
    *snapshot() {
      const { text, pieces } = state;
      for (let i = 0; i < pieces; i++) {
        if (state.fails) throw new Error("it has no words");
        clock.holdUp(state.pieceMs);
        state.drawn++;
        yield new TextEncoder().encode(`${text} ${i}`);
      }
    },
    restore: async () => {},
  };
  const replica = new Replica(machine, () => {});
  const comparisons: Comparisons = new Comparisons({
    clock,
    raft,
    replica,
    logBytesMax: LOG_BYTES_MAX,
    tellAll: (message) => void state.told.push(message),
    send: (peer, { index }) => void state.sent.push(`${peer.hello.name} ${index}`),
    post: (event) => comparisons.take(event),
    onDiverged: (index, others) => void state.diverged.push(`${index} ${others.join(" ")}`),
    onAgreed: (index) => void state.agreed.push(index),
    tell: (story) => {
      const nodes = "nodes" in story ? story.nodes.join(" ") : "groups" in story ? story.groups.join(" | ") : "";
      state.stories.push(`${story.event} ${story.index} ${nodes}`.trim());
    },
  });
  const apply = (payload: Uint8Array, isComparison: boolean): void => {
    const index = logIndex(replica.appliedIndex + 1);
    replica.apply(index, payload);
    const entry: Entry = { index, term: term(1), kind: EntryKind.command, payload };
    comparisons.applied(entry, isComparison);
  };
  return Object.assign(state, {
    clock,
    comparisons,
    replica,
    /** An entry of so many bytes. */
    grow: (bytes: number) => apply(new Uint8Array(bytes), false),
    /** What this node's state comes to, in the end. */
    compare: (): Told | null => {
      apply(encodePayload({ type: "compare" }), true);
      clock.turn();
      return state.told.at(-1) ?? null;
    },
  });
}

/** What somebody says whose state at that entry is another. */
const other = (told: Told, digest = "another"): Told => ({ ...told, digest });

function toldBy(stage: ReturnType<typeof bench>): Told {
  const told = stage.compare();
  if (told === null) throw new Error("nothing was told");
  return told;
}

const test = suite("node: comparisons");

test("they are due when the log has grown by as much as makes a snapshot due, and once only", () => {
  const stage = bench();
  stage.grow(300);
  assert.not(stage.comparisons.due());
  stage.grow(500);
  assert.ok(stage.comparisons.due());
  assert.not(stage.comparisons.due(), "it is on its way");
  stage.comparisons.startOver();
  assert.ok(stage.comparisons.due(), "it was lost");
  stage.compare();
  assert.not(stage.comparisons.due());
  stage.grow(800);
  assert.ok(stage.comparisons.due());
});

test("where little happens they are due once in a while, where nothing happens never", () => {
  const stage = bench();
  stage.clock.advance(2 * HOUR_MS);
  assert.not(stage.comparisons.due());
  stage.grow(1);
  assert.ok(stage.comparisons.due());
  stage.compare();
  stage.grow(1);
  stage.clock.advance(HOUR_MS - 1);
  assert.not(stage.comparisons.due());
  stage.clock.advance(1);
  assert.ok(stage.comparisons.due());
});

test("a node by itself has nobody to compare with", () => {
  const stage = bench(["n1"]);
  stage.grow(5_000);
  assert.not(stage.comparisons.due());
});

test("the state is that of the entry, however much is applied while it is looked through, a slice at a time", () => {
  const [stage, plain] = [bench(), bench()];
  for (const one of [stage, plain]) one.pieces = 10;
  stage.pieceMs = 1;
  stage.compare();
  const slices: number[] = [];
  while (stage.told.length === 0) {
    slices.push(stage.drawn);
    stage.text = "what came later";
    stage.grow(1);
    stage.clock.advance(stage.clock.nextMs ?? 0);
  }
  assert.equal(slices, [2, 4, 6, 8, 10], "two milliseconds at a time");
  assert.equal(stage.told, [plain.compare()]);
});

test("one is made at a time: what comes meanwhile is left out, and who asks for one is told to wait", async () => {
  const stage = bench();
  const ask = (): Promise<void> => new Promise((resolve) => resolve(stage.comparisons.checkIdle()));
  stage.pieces = 10;
  stage.pieceMs = 1;
  stage.compare();
  stage.compare();
  assert.is(await codeOf(ask()), "BUSY");
  stage.clock.advance(1_000);
  assert.equal(
    stage.told.map(({ index }) => index),
    [1],
  );
  await ask();
});

test("a majority with the same state agrees; who is not among it has diverged", () => {
  const stage = bench();
  const told = toldBy(stage);
  stage.comparisons.learn("n3", other(told));
  assert.equal(stage.stories, []);
  stage.comparisons.learn("n2", told);
  assert.equal([stage.stories, stage.agreed, stage.diverged], [["states-agree 1 n1 n2"], [1], []]);
  stage.comparisons.checkAgreed(1);

  const next = toldBy(stage);
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, other(next));
  assert.equal(stage.diverged, ["2 n2 n3"]);
  assert.is(stage.stories.length, 1);
});

test("what others say before this node has come there counts once it has", () => {
  const stage = bench();
  const told: Told = { type: "state-digest", index: 1, form: stage.replica.snapshotForm, digest: "another" };
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, told);
  assert.equal(stage.diverged, []);
  stage.compare();
  assert.equal(stage.diverged, ["1 n2 n3"]);
});

test("states of another form are not compared", () => {
  const stage = bench();
  const told = toldBy(stage);
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, { ...other(told), form: "2.0" });
  for (let i = 0; i < 3; i++) stage.comparisons.look();
  assert.equal([stage.diverged, stage.stories], [[], []]);
});

test("where none can be a majority any more, that is told at once, and again at every comparison, until one agrees", () => {
  const stage = bench();
  for (const index of [1, 2]) {
    const told = toldBy(stage);
    stage.comparisons.learn("n2", other(told));
    assert.is(stage.stories.length, index - 1);
    stage.comparisons.learn("n3", other(told, "a third one"));
    assert.is(stage.stories.at(-1), `states-differ ${index} n1 | n2 | n3`);
    assert.ok(stage.comparisons.isDisputed);
  }
  assert.throws(() => stage.comparisons.checkAgreed(1), /not known/);
  const told = toldBy(stage);
  stage.comparisons.learn("n2", told);
  assert.not(stage.comparisons.isDisputed);
  assert.equal([stage.stories.at(-1), stage.diverged], ["states-agree 3 n1 n2", []]);
});

test("one who is silent is waited for, but not for ever; and what it says then counts", () => {
  const stage = bench();
  const told = toldBy(stage);
  stage.comparisons.look();
  stage.comparisons.learn("n2", other(told));
  stage.comparisons.look();
  assert.equal(stage.stories, []);
  stage.comparisons.look();
  assert.equal(stage.stories, ["states-differ 1 n1 | n2"]);
  for (let i = 0; i < 3; i++) stage.comparisons.look();
  assert.is(stage.stories.length, 1, "once is enough");
  stage.comparisons.learn("n3", told);
  assert.equal(stage.stories.slice(1), ["states-agree 1 n1 n3"]);
  assert.not(stage.comparisons.isDisputed);
});

test("an older comparison that comes to light late changes nothing about a newer one", () => {
  const stage = bench();
  const [first, second] = [toldBy(stage), toldBy(stage)];
  stage.comparisons.learn("n2", second);
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, other(first));
  assert.equal([stage.stories, stage.diverged], [["states-agree 2 n1 n2"], []]);
});

test("only the last comparisons are kept, of members alone, and told to whom a link comes up", () => {
  const stage = bench();
  for (let i = 0; i < 10; i++) stage.compare();
  stage.comparisons.greet(peerNamed("n2"));
  assert.equal(stage.sent, ["n2 7", "n2 8", "n2 9", "n2 10"]);
  const [first] = stage.told;
  if (first === undefined) throw new Error("nothing was told");
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, other(first));
  assert.equal(stage.diverged, [], "that is forgotten");
});

test("what was found out about a state says nothing about the one that has come in its place", () => {
  const stage = bench();
  stage.pieces = 10;
  const told = toldBy(stage);
  stage.comparisons.learn("n2", told);
  stage.pieceMs = 1;
  stage.compare();
  stage.comparisons.startAnew();
  assert.is(stage.clock.timers, 0, "what was being looked through is no more");
  assert.throws(() => stage.comparisons.checkAgreed(1), /not known/);
  stage.comparisons.greet(peerNamed("n2"));
  assert.equal(stage.sent, []);
  for (const id of ["n2", "n3"]) stage.comparisons.learn(id, other(told));
  assert.equal(stage.diverged, []);
});

test("the newest is told again from time to time, since it may have been lost on its way", () => {
  const stage = bench();
  stage.comparisons.look();
  assert.equal(stage.told, []);
  for (let i = 0; i < 2; i++) stage.compare();
  stage.comparisons.look();
  assert.equal(
    stage.told.map(({ index }) => index),
    [1, 2, 2],
  );
});

test("a machine that fails to show its state is told of, be it at once or halfway, and asked again the next time", () => {
  const stage = bench();
  stage.fails = true;
  stage.compare();
  assert.equal([stage.stories, stage.told], [["comparison-failed 1"], []]);
  stage.fails = false;
  stage.pieces = 5;
  stage.pieceMs = 1;
  stage.compare();
  stage.fails = true;
  stage.clock.advance(1_000);
  assert.equal(stage.stories.slice(1), ["comparison-failed 2"]);
  stage.fails = false;
  stage.compare();
  stage.clock.advance(1_000);
  assert.equal(
    stage.told.map(({ index }) => index),
    [3],
  );
});

test("a node that stops leaves no timer behind", () => {
  const stage = bench();
  stage.pieces = 10;
  stage.pieceMs = 1;
  stage.compare();
  stage.comparisons.stop();
  stage.compare();
  assert.equal([stage.clock.timers, stage.told], [0, []]);
});

test.run();
