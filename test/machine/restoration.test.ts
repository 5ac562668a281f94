/** A backup comes through the log step by step: all of it takes effect at once, on every replica alike, or none. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { encodePayload } from "../../src/machine/commands.ts";
import { KeyValueMachine, Replica, type StateMachine } from "../../src/machine/index.ts";
import {
  decodeChanges,
  decodePage,
  encodeCommand,
  encodeQuery,
  type KeyValueCommand,
} from "../../src/machine/key-value-protocol.ts";
import { machinePieces } from "../../src/machine/replica-snapshot.ts";
import {
  decodeStep,
  decodeStepResult,
  encodeStep,
  encodeStepResult,
  type RestorationStep,
} from "../../src/machine/restoration-steps.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";
import { record, refusesEveryTruncation, survivesAnything } from "./refusals.ts";

const test = suite("restoration");

/** A replica, and clients of it that never lose an answer. */
class Site {
  readonly replica: Replica;
  readonly #numbers = new Map<number, number>();

  constructor(machine: StateMachine = new KeyValueMachine()) {
    this.replica = new Replica(machine, (_index, error) => assert.unreachable(error));
  }

  session(): number {
    const applied = this.#apply(encodePayload({ type: "open-session" }));
    if (applied?.type !== "session-opened") throw new Error("no session was opened");
    return applied.session;
  }

  /** What becomes of a step: "done", or the code of its refusal. */
  step(session: number, step: RestorationStep): string {
    const refusal = decodeStepResult(this.#command("restoration", session, encodeStep(step)));
    return refusal === null ? "done" : refusal.code;
  }

  steps(session: number, pieces: readonly Uint8Array[]): string[] {
    return pieces.map((bytes) => this.step(session, { type: "piece", bytes }));
  }

  run(session: number, command: KeyValueCommand): void {
    this.#command("commands", session, encodeCommand(command));
  }

  expire(session: number): void {
    const sessions = [{ id: session, next: (this.#numbers.get(session) ?? 0) + 1 }];
    this.#apply(encodePayload({ type: "expire-sessions", sessions }));
  }

  get page(): ReturnType<typeof decodePage> {
    return decodePage(this.replica.query(encodeQuery({ op: "list", prefix: "", after: "", limit: 1_000 })));
  }

  changes(fromRevision: number): ReturnType<typeof decodeChanges> {
    return decodeChanges(this.replica.query(encodeQuery({ op: "changes", prefix: "", fromRevision, limit: 1_000 })));
  }

  get state(): string {
    return Buffer.concat([...this.replica.snapshot().pieces]).toString("hex");
  }

  #command(type: "commands" | "restoration", session: number, command: Uint8Array): Uint8Array {
    const first = (this.#numbers.get(session) ?? 0) + 1;
    this.#numbers.set(session, first);
    const applied = this.#apply(encodePayload({ type, session, floor: first, first, commands: [command] }));
    const outcome = applied?.type === "outcomes" ? applied.outcomes[0] : undefined;
    if (outcome?.type !== "applied") throw new Error(`it ended as ${outcome?.type ?? applied?.type}`);
    return outcome.result;
  }

  #apply(bytes: Uint8Array): ReturnType<Replica["apply"]> {
    return this.replica.apply(this.replica.appliedIndex + 1, bytes);
  }
}

const put = (key: string, value: string): KeyValueCommand => ({ op: "put", key, value });

/** Pieces of a machine in which these keys were put, large enough to be several. */
function backupOf(...keys: readonly string[]): Uint8Array[] {
  const machine = new KeyValueMachine();
  for (const key of keys) machine.apply(encodeCommand(put(key, `${key} ${"x".repeat(40_000)}`)));
  return [...machine.snapshot()];
}

const keysOf = ({ page }: Site): string[] => page.entries.map(({ key }) => key);

test("nothing is seen of a backup before its end, and then all of it, with its revisions and its changes", () => {
  const pieces = backupOf("a", "b", "c", "d");
  assert.ok(pieces.length > 2);
  const site = new Site();
  const session = site.session();
  assert.is(site.step(session, { type: "begin", force: false }), "done");
  for (const bytes of pieces) {
    assert.is(site.step(session, { type: "piece", bytes }), "done");
    assert.equal(site.page, { entries: [], more: false, revision: 0 });
  }
  assert.is(site.step(session, { type: "end", pieces: pieces.length }), "done");
  assert.equal(keysOf(site), ["a", "b", "c", "d"]);
  assert.is(site.page.revision, 4);
  const found = site.changes(1);
  assert.equal(found.type === "changes" && found.changes.map(({ key, revision }) => [key, revision]), [
    ["a", 1],
    ["b", 2],
    ["c", 3],
    ["d", 4],
  ]);
  site.run(session, put("e", ""));
  assert.is(site.page.revision, 5);
});

test("where there is data nothing is restored, be it there at the beginning or come meanwhile, unless it is forced", () => {
  const pieces = backupOf("a");
  const site = new Site();
  const [writer, restorer] = [site.session(), site.session()];
  site.run(writer, put("own", "1"));
  assert.is(site.step(restorer, { type: "begin", force: false }), "NOT_EMPTY");
  site.run(writer, { op: "delete", key: "own" });
  assert.is(site.step(restorer, { type: "begin", force: false }), "done");
  assert.equal(site.steps(restorer, pieces), ["done", "done"]);
  site.run(writer, put("own", "2"));
  assert.is(site.step(restorer, { type: "end", pieces: pieces.length }), "NOT_EMPTY");
  assert.equal(keysOf(site), ["own"]);

  assert.is(site.step(restorer, { type: "begin", force: true }), "done");
  site.steps(restorer, pieces);
  assert.is(site.step(restorer, { type: "end", pieces: pieces.length }), "done");
  assert.equal(keysOf(site), ["a"]);
});

test("who has watched what a backup replaces is told that it is gone, and is given no changes of another store", () => {
  const pieces = backupOf("a", "b", "c");
  const site = new Site();
  const session = site.session();
  for (const key of ["x", "y", "z", "u", "v"]) site.run(session, put(key, "1"));
  assert.is(site.step(session, { type: "begin", force: true }), "done");
  site.steps(session, pieces);
  assert.is(site.step(session, { type: "end", pieces: pieces.length }), "done");
  const { revision } = site.page;
  assert.is(revision, 6);
  for (let from = 1; from <= 6; from++) assert.equal(site.changes(from), { type: "compacted", firstRevision: 7 });
  assert.equal(
    site.page.entries.map((entry) => entry.revision),
    [1, 2, 3],
  );
});

test("another one that begins takes the place of one that is under way, and the end of a session ends its own", () => {
  const pieces = backupOf("a");
  const site = new Site();
  const [first, second] = [site.session(), site.session()];
  site.step(first, { type: "begin", force: false });
  site.steps(first, pieces);
  site.step(second, { type: "begin", force: false });
  assert.is(site.step(first, { type: "end", pieces: pieces.length }), "RESTORE_ABANDONED");
  site.steps(second, pieces);
  site.expire(first);
  assert.is(site.step(second, { type: "abandon" }), "done");
  assert.is(site.step(second, { type: "end", pieces: pieces.length }), "RESTORE_ABANDONED");

  const before = new Site();
  const after = new Site();
  for (const one of [before, after]) one.session();
  after.step(1, { type: "begin", force: false });
  after.steps(1, pieces);
  after.expire(1);
  assert.ok(after.state.length < before.state.length + 200, "what had come of it is gone");
});

test("a piece that is none, or one too few, ends it, and leaves what was there", () => {
  const [first = new Uint8Array(0), ...others] = backupOf("a");
  const site = new Site();
  const session = site.session();
  site.step(session, { type: "begin", force: false });
  assert.is(site.step(session, { type: "piece", bytes: Uint8Array.of(9, 9, 9) }), "DATA_CORRUPT");
  assert.is(site.step(session, { type: "piece", bytes: first }), "RESTORE_ABANDONED");

  for (const pieces of [[first], others]) {
    site.step(session, { type: "begin", force: false });
    site.steps(session, pieces);
    assert.is(site.step(session, { type: "end", pieces: 2 }), "DATA_CORRUPT");
  }
  site.step(session, { type: "begin", force: false });
  assert.is(site.step(session, { type: "end", pieces: 0 }), "DATA_CORRUPT", "no pieces at all");
  assert.equal(site.page, { entries: [], more: false, revision: 0 });
});

test("a piece may come in parts, and one whose last part is missing is none", () => {
  const pieces = backupOf("a", "b");
  const site = new Site();
  const session = site.session();
  const sendParts = (bytes: Uint8Array): void => {
    site.step(session, { type: "part", bytes: bytes.subarray(0, 10) });
    site.step(session, { type: "part", bytes: bytes.subarray(10, 30) });
  };
  site.step(session, { type: "begin", force: false });
  for (const bytes of pieces) {
    sendParts(bytes);
    site.step(session, { type: "piece", bytes: bytes.subarray(30) });
  }
  assert.is(site.step(session, { type: "end", pieces: pieces.length }), "done");
  assert.equal(keysOf(site), ["a", "b"]);

  const other = new Site();
  other.step(other.session(), { type: "begin", force: false });
  other.steps(1, pieces);
  other.step(1, { type: "part", bytes: Uint8Array.of(1) });
  assert.is(other.step(1, { type: "end", pieces: pieces.length }), "DATA_CORRUPT");
});

test("a machine that takes no backups says so, and its state stays", () => {
  const plain: StateMachine = {
    apply: () => new Uint8Array(0),
    query: () => new Uint8Array(0),
    snapshot: () => [],
    restore: async () => {},
  };
  const site = new Site(plain);
  const session = site.session();
  assert.is(site.step(session, { type: "begin", force: false }), "NOT_EMPTY", "it can't say that it is empty");
  assert.is(site.step(session, { type: "begin", force: true }), "INVALID_ARGUMENT");
});

test("who starts from a snapshot that was taken at any step of it goes on like those who saw every step", async () => {
  const pieces = backupOf("a", "b", "c");
  const steps: RestorationStep[] = [
    { type: "begin", force: false },
    ...pieces.flatMap((bytes): RestorationStep[] => [
      { type: "part", bytes: bytes.subarray(0, 20) },
      { type: "piece", bytes: bytes.subarray(20) },
    ]),
    { type: "end", pieces: pieces.length },
  ];
  for (let takenAfter = 0; takenAfter <= steps.length; takenAfter++) {
    const [own, other] = [new Site(), new Site()];
    for (const site of [own, other]) site.session();
    for (const step of steps.slice(0, takenAfter)) for (const site of [own, other]) site.step(1, step);
    const { index, pieces: snapshot } = own.replica.snapshot();
    const restored = new Replica(new KeyValueMachine(), () => {});
    await restored.restore(index, fromDisk(snapshot));
    const stateOf = (replica: Replica): string => Buffer.concat([...replica.snapshot().pieces]).toString("hex");
    assert.is(stateOf(restored), other.state, `taken after ${takenAfter} steps`);
    for (const [i, step] of steps.slice(takenAfter).entries()) {
      other.step(1, step);
      const first = takenAfter + i + 1;
      const payload = { type: "restoration", session: 1, floor: first, first, commands: [encodeStep(step)] } as const;
      restored.apply(restored.appliedIndex + 1, encodePayload(payload));
      assert.is(stateOf(restored), other.state, `taken after ${takenAfter} steps, then ${i + 1} more`);
    }
    assert.equal(keysOf(other), ["a", "b", "c"]);
  }
});

test("a snapshot that is drawn while more comes of a backup tells what had come when it was taken", async () => {
  const pieces = backupOf("a", "b", "c");
  const [own, other] = [new Site(), new Site()];
  for (const site of [own, other]) {
    site.session();
    site.step(1, { type: "begin", force: false });
    site.steps(1, pieces.slice(0, 1));
  }
  const expected = other.state;
  const drawn = own.replica.snapshot().pieces[Symbol.iterator]();
  const taken: Uint8Array[] = [];
  const rest = pieces.slice(1);
  for (let next = drawn.next(); next.done !== true; next = drawn.next()) {
    taken.push(next.value);
    own.steps(1, rest.splice(0, 1));
  }
  assert.is(Buffer.concat(taken).toString("hex"), expected);
});

test("of a snapshot of all that is replicated, the machine's pieces alone are for another cluster", async () => {
  const site = new Site();
  const session = site.session();
  for (const key of ["a", "b"]) site.run(session, put(key, key));
  site.step(session, { type: "begin", force: true });
  site.steps(session, backupOf("never", "to", "be"));
  const { index, pieces } = site.replica.snapshot();
  const whole = [...pieces];
  const own: Uint8Array[] = [];
  for await (const piece of machinePieces(fromDisk(whole), index)) own.push(piece.slice());

  const other = new Site();
  const restorer = other.session();
  other.step(restorer, { type: "begin", force: false });
  other.steps(restorer, own);
  assert.is(other.step(restorer, { type: "end", pieces: own.length }), "done");
  assert.equal(other.page, site.page);

  const read = async (given: readonly Uint8Array[], at: number): Promise<void> => {
    for await (const _ of machinePieces(fromDisk(given), at));
  };
  for (const wrong of [read(whole, index + 1), read(whole.slice(0, -1), index), read([], index)]) {
    await wrong.then(
      () => assert.unreachable(),
      (error) => assert.instance(error, RangeError),
    );
  }
});

const step: fc.Arbitrary<RestorationStep> = fc.oneof(
  record({ type: fc.constant("begin" as const), force: fc.boolean() }),
  record({ type: fc.constantFrom("piece" as const, "part" as const), bytes: fc.uint8Array({ maxLength: 30 }) }),
  record({ type: fc.constant("end" as const), pieces: fc.maxSafeNat() }),
  record({ type: fc.constant("abandon" as const) }),
);

test("steps arrive as they were", () =>
  fc.assert(fc.property(step, (one) => assert.equal(decodeStep(encodeStep(one)), one))));

test("their results do, too, and nonsense is refused", () => {
  for (const result of [null, { code: "NOT_EMPTY", message: "it holds data" } as const]) {
    assert.equal(decodeStepResult(encodeStepResult(result)), result);
    refusesEveryTruncation(decodeStepResult, encodeStepResult(result));
  }
  for (const decode of [decodeStep, decodeStepResult]) survivesAnything(decode);
});

test.run();
