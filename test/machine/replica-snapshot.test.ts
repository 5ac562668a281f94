/** A snapshot is the state at one index, whatever happens while it is taken; and it is restored whole or not at all. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { type Applied, encodePayload, type Outcome } from "../../src/machine/commands.ts";
import { KeyValueMachine, Machines, Replica, type StateMachine } from "../../src/machine/index.ts";
import { encodeCommand } from "../../src/machine/key-value-protocol.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";
import { payload } from "./logs.ts";

const test = suite("replica: snapshots");

const GUARDED = { isGuarded: true };

const newReplica = (machine: StateMachine = new KeyValueMachine()): Replica => new Replica(machine, () => {});
const applyNext = (replica: Replica, bytes: Uint8Array | null): Applied | null =>
  replica.apply(replica.appliedIndex + 1, bytes);
const stateOf = (replica: Replica): string => Buffer.concat([...replica.snapshot().pieces]).toString("hex");

function openSession(replica: Replica): number {
  const applied = applyNext(replica, encodePayload({ type: "open-session" }));
  if (applied?.type !== "session-opened") throw new Error("no session was opened");
  return applied.session;
}

/** Increments "n" once for each number from `first` on, and tells how that ended. */
function increment(replica: Replica, session: number, first: number, count: number, floor = 1): readonly Outcome[] {
  const commands = Array.from({ length: count }, () => encodeCommand({ op: "increment", key: "n", by: 1 }));
  const applied = applyNext(replica, encodePayload({ type: "commands", session, floor, first, commands }));
  if (applied?.type !== "outcomes") throw new Error(`the batch ended as ${applied?.type}`);
  return applied.outcomes;
}

async function failureOf(promise: Promise<void>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return String(error);
  }
  return "none";
}

test("a snapshot is the state at its index, whatever is applied while it is drawn, and who restores it goes on alike", () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(payload, { minLength: 1, maxLength: 40 }),
      fc.array(payload, { maxLength: 20 }),
      fc.array(payload, { maxLength: 20 }),
      async (before, meanwhile, after) => {
        const [taken, plain, restored] = [newReplica(), newReplica(), newReplica()];
        for (const bytes of before) for (const replica of [taken, plain]) applyNext(replica, bytes);

        const { index, pieces } = taken.snapshot();
        assert.is(index, before.length);
        const drawn: Uint8Array[] = [];
        const rest = [...meanwhile];
        const applySome = (): void => {
          for (const bytes of rest.splice(0, 5)) applyNext(taken, bytes);
        };
        applySome();
        for (const piece of pieces) {
          drawn.push(piece);
          applySome();
        }

        openSession(restored); // Whatever was there goes.
        await restored.restore(index, fromDisk(drawn));
        assert.is(restored.appliedIndex, plain.appliedIndex);
        assert.equal([...restored.sessions()], [...plain.sessions()]);
        assert.is(stateOf(restored), stateOf(plain));

        // What came before may come again: a retry is answered as it was, and changes nothing.
        for (const bytes of [...meanwhile, ...before, ...after]) {
          const expected = applyNext(plain, bytes);
          assert.equal(applyNext(restored, bytes), expected);
        }
        for (const bytes of [...before, ...after]) applyNext(taken, bytes);
        assert.is(stateOf(restored), stateOf(plain));
        assert.is(stateOf(taken), stateOf(plain), "whose snapshot was taken goes on as if none had been");
      },
    ),
  ));

test("a command that is retried after a restore is answered as it was, and not applied again", async () => {
  const [replica, restored] = [newReplica(), newReplica()];
  const session = openSession(replica);
  const outcomes = increment(replica, session, 1, 3);
  const { index, pieces } = replica.snapshot();
  await restored.restore(index, fromDisk(pieces));
  const before = stateOf(restored).slice(-100);
  assert.equal(increment(restored, session, 2, 2), outcomes.slice(1));
  assert.equal(increment(restored, session, 4, 1), increment(replica, session, 4, 1));
  assert.is.not(stateOf(restored).slice(-100), before);
});

test("a session that goes on, ends, or is opened while pieces are drawn is in them as it was", async () => {
  const [replica, restored] = [newReplica(), newReplica()];
  const sessions = Array.from({ length: 5_000 }, () => openSession(replica));
  const [first = 0, second = 0, last = 0] = [sessions[0], sessions[1], sessions.at(-1)];
  increment(replica, first, 1, 1);
  const state = stateOf(replica);

  const { index, pieces } = replica.snapshot();
  const iterator = pieces[Symbol.iterator]();
  const drawn = [iterator.next().value];
  increment(replica, last, 1, 2);
  increment(replica, first, 2, 1, 2); // Which lets go of its first outcome.
  applyNext(replica, encodePayload({ type: "expire-sessions", sessions: [{ id: second, next: 1 }] }));
  openSession(replica);
  for (let next = iterator.next(); next.done !== true; next = iterator.next()) drawn.push(next.value);

  assert.is(Buffer.concat(drawn).toString("hex"), state);
  await restored.restore(index, fromDisk(drawn));
  assert.equal(
    [...restored.sessions()].map(({ id }) => id),
    sessions,
  );
  assert.not(replica.hasSession(second));
});

test("pieces are of bounded size, and none is made before it is asked for", () => {
  const asked: string[] = [];
  const machine: StateMachine = {
    apply: () => new Uint8Array(1_000),
    query: (query) => query,
    *snapshot() {
      for (const piece of ["a", "b"]) {
        asked.push(piece);
        yield new Uint8Array(10);
      }
    },
    restore: async () => {},
  };
  const replica = newReplica(machine);
  for (let i = 0; i < 2_000; i++) openSession(replica);
  increment(replica, 1, 1, 500);
  const iterator = replica.snapshot().pieces[Symbol.iterator]();
  const sizes: number[] = [];
  while (asked.length === 0) sizes.push(iterator.next().value.byteLength);
  assert.equal(asked, ["a"]);
  assert.ok(sizes.length > 8 && Math.max(...sizes) < 70_000, sizes.join());
});

test("who wants no more pieces lets go of what the machine keeps for them", () => {
  let isOpen = false;
  const machine: StateMachine = {
    apply: (command) => command,
    query: (query) => query,
    *snapshot() {
      isOpen = true;
      try {
        for (;;) yield new Uint8Array(1);
      } finally {
        isOpen = false;
      }
    },
    restore: async () => {},
  };
  for (const _piece of newReplica(machine).snapshot().pieces) if (isOpen) break;
  assert.not(isOpen);
});

/** A replica with something to lose, and a snapshot of another one. */
async function scene() {
  const [other, replica] = [newReplica(), newReplica()];
  const session = openSession(other);
  increment(other, session, 1, 3);
  for (let i = 0; i < 10; i++) applyNext(other, null);
  increment(replica, openSession(replica), 1, 1);
  const { index, pieces } = other.snapshot();
  return { other, replica, index, pieces: [...pieces], before: stateOf(replica) };
}

test("pieces that are cut off, out of order, or not of that index change nothing", async () => {
  const { replica, index, pieces, before } = await scene();
  const spoiled: readonly (readonly Uint8Array[])[] = [
    ...pieces.map((_, i) => pieces.slice(0, i)),
    ...pieces.map((piece, i) => pieces.with(i, piece.subarray(0, -1))),
    ...pieces.map((_, i) => pieces.with(i, new Uint8Array(0))),
    ...pieces.map((_, i) => pieces.with(i, Uint8Array.of(9))),
    ...pieces.map((_, i) => pieces.toSpliced(i, 1)),
    ...pieces.map((piece, i) => [...pieces.toSpliced(i, 1), piece]).slice(0, -1),
  ];
  for (const [i, wrong] of spoiled.entries()) {
    assert.match(await failureOf(replica.restore(index, fromDisk(wrong))), /^(Range|Type)Error/, `${i}`);
    assert.is(stateOf(replica), before);
  }
  assert.match(await failureOf(replica.restore(index + 1, fromDisk(pieces))), /of entry 12 was given/);
  assert.is(stateOf(replica), before);
  assert.is(replica.appliedIndex, 2);
});

test("a disk that fails at any piece changes nothing, and is closed", async () => {
  const { other, replica, index, pieces, before } = await scene();
  let opened = 0;
  async function* failing(after: number): AsyncGenerator<Uint8Array> {
    opened++;
    try {
      yield* pieces.slice(0, after);
      throw new Error("EIO");
    } finally {
      opened--;
    }
  }
  for (let after = 0; after <= pieces.length; after++) {
    const failure = await failureOf(replica.restore(index, failing(after)));
    assert.is(opened, 0);
    if (after === pieces.length) assert.is(failure, "none", "nothing is asked for after the end");
    else {
      assert.is(failure, "Error: EIO");
      assert.is(stateOf(replica), before);
    }
  }
  assert.is(stateOf(replica), stateOf(other));
});

test("a machine that refuses its pieces leaves the sessions and the index as they were", async () => {
  const { index, pieces } = await scene();
  const replica = newReplica(Object.assign(new KeyValueMachine(), { restore: () => Promise.reject(new Error("no")) }));
  const session = openSession(replica);
  assert.is(await failureOf(replica.restore(index, fromDisk(pieces))), "Error: no");
  assert.is(replica.appliedIndex, 1);
  assert.equal([...replica.sessions()], [{ id: session, next: 1 }]);
});

test("a machine may leave pieces unread that it does not need", async () => {
  const { index, pieces } = await scene();
  const replica = newReplica(Object.assign(new KeyValueMachine(), { restore: async () => {} }));
  await replica.restore(index, fromDisk(pieces));
  assert.is(replica.appliedIndex, index);
  assert.equal([...replica.sessions()], [{ id: 1, next: 4 }]);
});

test("nothing is applied, taken or restored while a snapshot is restored", async () => {
  const { replica, index, pieces } = await scene();
  const restoring = replica.restore(index, fromDisk(pieces));
  assert.throws(() => applyNext(replica, null), /being restored/);
  assert.throws(() => replica.snapshot(), /being restored/);
  assert.match(await failureOf(replica.restore(index, fromDisk(pieces))), /being restored/);
  await restoring;
  assert.is(applyNext(replica, null), null);
});

test("a state never goes back", async () => {
  const { replica, index, pieces } = await scene();
  await replica.restore(index, fromDisk(pieces));
  applyNext(replica, null);
  assert.match(await failureOf(replica.restore(index, fromDisk(pieces))), /is past/);
});

test("a comparison changes nothing but the index", () => {
  const [replica, other] = [newReplica(), newReplica()];
  for (const one of [replica, other]) increment(one, openSession(one), 1, 3);
  assert.equal(applyNext(replica, encodePayload({ type: "compare" })), { type: "comparing" });
  applyNext(other, null);
  assert.is(stateOf(replica), stateOf(other));
});

test("a state that is wrong is replaced by that of an earlier entry, and goes on from there", async () => {
  const [wrong, right] = [newReplica(), newReplica()];
  const [session] = [openSession(wrong), openSession(right)];
  increment(wrong, session, 1, 7);
  increment(right, session, 1, 2);
  const { index, pieces } = right.snapshot();
  const drawn = [...pieces];
  for (const first of [3, 4]) increment(right, session, first, 1);
  for (const first of [8, 9]) increment(wrong, session, first, 1);
  assert.match(await failureOf(wrong.restore(index, fromDisk(drawn))), /entry 4 is applied, 2 is past/);
  await wrong.replace(index, fromDisk(drawn));
  assert.is(wrong.appliedIndex, index);
  for (const first of [3, 4]) increment(wrong, session, first, 1);
  assert.is(stateOf(wrong), stateOf(right));
});

test("states are told apart by the form of their snapshots, which the machine has a part in", () => {
  const machine = new KeyValueMachine();
  const own = newReplica(machine).snapshotForm;
  const other = newReplica(new Machines(Object.assign(new KeyValueMachine(), { snapshotForm: 7 }), [], GUARDED));
  assert.is(newReplica(new Machines(machine, [], GUARDED)).snapshotForm, own);
  assert.is.not(other.snapshotForm, own);
});

test.run();
