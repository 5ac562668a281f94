/** When a snapshot is taken, and how far the log goes away for it. Log and disk are numbers here. */

import * as assert from "uvu/assert";
import { ConclaveError } from "../../src/errors.ts";
import { realEnvironment } from "../../src/index.ts";
import { KeyValueMachine, Replica } from "../../src/machine/index.ts";
import { Snapshotter, type SnapshotterStory } from "../../src/node/snapshotter.ts";
import { bootstrap, createRaft, Log, logIndex, term } from "../../src/raft/index.ts";
import type { SnapshotInfo } from "../../src/storage/index.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const LOG_BYTES_MAX = 1_000;
const ENTRY_BYTES = 10;
const FOUNDED = bootstrap([{ id: "n1", url: "ws://127.0.0.1:7101" }]);

/** A node of which each entry takes ten bytes, and whose log can be cut back at any entry. */
class Stage {
  readonly stories: SnapshotterStory[] = [];
  readonly taken: number[] = [];
  /** The most that the log ever took. */
  mostBytes = 0;
  fails = false;
  isSound = true;
  /** The disk takes nothing for now. */
  holdsBack = false;
  #firstKept = 1;
  #last = 0;
  readonly #log = new Log();
  readonly #replica = new Replica(new KeyValueMachine(), () => {});
  readonly #raft = createRaft(
    {
      id: "n1",
      incarnation: "n1",
      heartbeatMs: 50,
      electionTimeoutMinMs: 300,
      electionTimeoutMaxMs: 600,
      evidenceDelayMaxMs: 30,
      appendBytesMax: 1_000,
      appendsInFlightMax: 1,
      appendBytesInFlightMax: 1_000,
      logCacheBytesMax: 1_000_000,
      clockDriftMax: null,
    },
    {
      hardState: { term: term(1), vote: null, commitIndex: logIndex(0) },
      snapshot: {
        index: logIndex(0),
        term: term(0),
        configuration: FOUNDED,
      },
      log: this.#log,
      configurations: [],
      needsReset: false,
      isAdmitted: true,
    },
    0,
    1,
  );
  readonly snapshotter = new Snapshotter({
    clock: realEnvironment.clock,
    raft: this.#raft,
    replica: this.#replica,
    wal: this.#wal(),
    store: {
      latest: null,
      write: async ({ index, term: lastTerm, configuration }, pieces): Promise<SnapshotInfo> => {
        if (this.fails) throw new Error("no room");
        let bytes = 0;
        for await (const piece of pieces) {
          bytes += piece.byteLength;
          while (this.holdsBack) await new Promise<void>((resolve) => setImmediate(resolve));
        }
        return { index, term: lastTerm, configuration, bytes, checksum: 0 };
      },
      keepOnly: () => Promise.resolve(),
    },
    logBytesMax: LOG_BYTES_MAX,
    isSound: () => this.isSound,
    held: () => [],
    tell: (story) => this.stories.push(story),
    onTaken: (snapshot) => {
      this.taken.push(snapshot.index);
      this.#raft.snapshot = snapshot;
      this.snapshotter.propose();
    },
    onCompactable: (index) => {
      this.#raft.log.compact(index);
      void this.snapshotter.compact(index);
    },
  });

  /** Appends and applies so many entries, and lets the snapshotter look after each. */
  async grow(entries: number): Promise<void> {
    for (let i = 0; i < entries; i++) {
      const index = logIndex(++this.#last);
      this.#log.append({ index, term: term(1), kind: 0, payload: new Uint8Array(0) });
      this.#replica.apply(index, null);
      this.#raft.commitIndex = index;
      this.#raft.appliedIndex = index;
      this.mostBytes = Math.max(this.mostBytes, (this.#last - this.#firstKept + 1) * ENTRY_BYTES);
      this.snapshotter.tend();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** Who the members were at the start of the log. */
  set founders(configuration: typeof FOUNDED) {
    this.#raft.configurations = [{ index: logIndex(0), configuration }];
  }

  #wal() {
    const bytesBehind = (index: number): number => (this.#last - Math.max(index, this.#firstKept - 1)) * ENTRY_BYTES;
    return {
      get bytes() {
        return bytesBehind(0);
      },
      bytesBehind,
      compact: async (through: number) => {
        // Meanwhile more is appended, and looked after.
        for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
        this.#firstKept = through + 1;
      },
    };
  }
}

const test = suite("node: snapshotter");

test("a snapshot is taken whenever the log has come near what it may take, and the log never takes more", async () => {
  const stage = new Stage();
  await stage.grow(500);
  assert.is(stage.taken.length, 6);
  assert.equal(
    stage.taken.slice(1).map((index, i) => index - (stage.taken[i] ?? 0)),
    Array.from({ length: 5 }, () => (LOG_BYTES_MAX * 0.75) / ENTRY_BYTES),
  );
  assert.ok(stage.mostBytes <= LOG_BYTES_MAX, `the log took ${stage.mostBytes} bytes`);
});

test("one that fails is told, and tried again when the log has grown somewhat", async () => {
  const stage = new Stage();
  stage.fails = true;
  await stage.grow(100);
  const failures = stage.stories.filter(({ event }) => event === "snapshot-failed").length;
  assert.ok(failures >= 2 && failures <= 5, `${failures} tries`);
  stage.fails = false;
  await stage.grow(10);
  assert.is(stage.taken.length, 1);
});

test("a snapshot that is of no use is replaced whatever the size of the log", async () => {
  const stage = new Stage();
  await stage.grow(5);
  stage.snapshotter.force();
  await stage.grow(1);
  assert.equal(stage.taken, [5]);
});

test("while it is not known who the members were, none is taken, even if somebody asks", async () => {
  const stage = new Stage();
  stage.founders = bootstrap([]);
  stage.snapshotter.force();
  await stage.grow(80);
  assert.equal(stage.taken, []);
  stage.founders = FOUNDED;
  await stage.grow(1);
  assert.equal(stage.taken, [81]);
});

test("of a state that is wrong none is taken, and one that was begun counts for nothing", async () => {
  const stage = new Stage();
  stage.isSound = false;
  await stage.grow(200);
  assert.equal([stage.taken, stage.stories], [[], []]);
  stage.isSound = true;
  stage.holdsBack = true;
  await stage.grow(1);
  const waiting = codeOf(stage.snapshotter.next());
  stage.snapshotter.discard(new ConclaveError("DIVERGED", "It is wrong."));
  assert.is(await waiting, "DIVERGED");
  stage.holdsBack = false;
  await stage.snapshotter.settled();
  assert.equal(stage.taken, []);
  assert.is(stage.stories.at(-1)?.event, "snapshot-failed");
  await stage.grow(100);
  assert.ok(stage.taken.length > 0, "the next one does");
});

test.run();
