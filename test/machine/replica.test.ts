/** The replicated state: each command of a client takes effect once, in its order, or never. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { type Applied, encodePayload, type Payload } from "../../src/machine/commands.ts";
import { KeyValueMachine, Replica, type StateMachine } from "../../src/machine/index.ts";
import { encodeQuery } from "../../src/machine/key-value-protocol.ts";
import { fromDisk } from "../support/pieces.ts";
import { suite } from "../support/suite.ts";
import { number, payload } from "./logs.ts";

const test = suite("replica");
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Keeps what was applied, and answers how many that were; "boom" makes it throw, and "tell all" answer at length. */
class Diary implements StateMachine {
  readonly pages: string[] = [];

  apply(command: Uint8Array): Uint8Array {
    const text = decode(command);
    if (text === "boom") throw new Error("boom");
    this.pages.push(text);
    if (text === "tell all") return new Uint8Array(1024 * 1024);
    return encode(`${text} is ${this.pages.length}`);
  }
  query(): Uint8Array {
    return encode(this.pages.join());
  }
  snapshot(): Iterable<Uint8Array> {
    return [this.query()];
  }
  async restore(): Promise<void> {}
}

/** A replica with a diary, fed with one entry after the other. */
class Scene {
  readonly diary = new Diary();
  readonly failures: string[] = [];
  readonly replica = new Replica(this.diary, (index, error) => void this.failures.push(`${index}: ${error}`));

  apply(payload: Payload | Uint8Array | null): Applied | null {
    const bytes = payload === null || payload instanceof Uint8Array ? payload : encodePayload(payload);
    return this.replica.apply(this.replica.appliedIndex + 1, bytes);
  }

  open(): number {
    const applied = this.apply({ type: "open-session" });
    if (applied?.type !== "session-opened") throw new Error("no session was opened");
    return applied.session;
  }

  /** What a batch of commands is answered: one line for each command. */
  send(session: number, first: number, commands: readonly string[], floor = 1): string[] {
    const applied = this.apply({ type: "commands", session, floor, first, commands: commands.map(encode) });
    if (applied?.type !== "outcomes") return [applied?.type ?? "nothing"];
    return applied.outcomes.map((outcome) => (outcome.type === "applied" ? decode(outcome.result) : outcome.type));
  }

  expire(...sessions: readonly { id: number; next: number }[]): number {
    const applied = this.apply({ type: "expire-sessions", sessions });
    return applied?.type === "sessions-expired" ? applied.count : -1;
  }
}

test("commands take effect in their order, and are answered", () => {
  const scene = new Scene();
  const session = scene.open();
  assert.equal(scene.send(session, 1, ["a", "b"]), ["a is 1", "b is 2"]);
  assert.equal(scene.send(session, 3, ["c"]), ["c is 3"]);
  assert.equal(scene.diary.pages, ["a", "b", "c"]);
  assert.is(decode(scene.replica.query(new Uint8Array(0))), "a,b,c");
});

test("a command that is retried takes effect once, and is answered the same (redisraft#13)", () => {
  const scene = new Scene();
  const session = scene.open();
  const answers = scene.send(session, 1, ["a", "b"]);
  assert.equal(scene.send(session, 1, ["a", "b"]), answers);
  assert.equal(scene.send(session, 2, ["b", "c"]), ["b is 2", "c is 3"]);
  assert.equal(scene.diary.pages, ["a", "b", "c"]);
});

test("a command whose forerunner is missing does not take effect", () => {
  const scene = new Scene();
  const session = scene.open();
  assert.equal(scene.send(session, 2, ["b", "c"]), ["gap", "gap"]);
  assert.equal(scene.diary.pages, []);
  assert.equal(scene.send(session, 1, ["a", "b", "c"]), ["a is 1", "b is 2", "c is 3"]);
});

test("a command that its client has given up on never takes effect, even if it comes late", () => {
  const scene = new Scene();
  const session = scene.open();
  assert.equal(scene.send(session, 3, ["c"], 3), ["c is 1"]);
  assert.equal(scene.send(session, 1, ["a", "b"]), ["forgotten", "forgotten"]);
  assert.equal(scene.send(session, 2, ["b", "c", "d"]), ["forgotten", "c is 1", "d is 2"]);
  assert.equal(scene.diary.pages, ["c", "d"]);
});

test("an answer is kept until its client needs it no more", () => {
  const scene = new Scene();
  const session = scene.open();
  scene.send(session, 1, ["a", "b", "c"]);
  assert.equal(scene.send(session, 4, ["d"], 3), ["d is 4"]);
  assert.equal(scene.send(session, 1, ["a", "b", "c", "d"], 3), ["forgotten", "forgotten", "c is 3", "d is 4"]);
  // A floor that went back, in an older message, forgets nothing and revives nothing.
  assert.equal(scene.send(session, 2, ["b", "c"], 1), ["forgotten", "c is 3"]);
  assert.equal(scene.diary.pages, ["a", "b", "c", "d"]);
});

test("whose client has too much left to hear takes no more from it before it has heard, and remembers that", async () => {
  const scene = new Scene();
  const session = scene.open();
  const types = (replica: Replica, first: number, count: number, floor: number): string[] => {
    const commands = Array.from({ length: count }, () => encode("tell all"));
    const applied = replica.apply(
      replica.appliedIndex + 1,
      encodePayload({ type: "commands", session, floor, first, commands }),
    );
    return applied?.type === "outcomes" ? applied.outcomes.map(({ type }) => type) : [];
  };
  const restored = new Scene();
  const both = (...args: readonly [first: number, count: number, floor: number]): string => {
    const found = types(scene.replica, ...args);
    assert.equal(types(restored.replica, ...args), found);
    return found.join(" ");
  };
  assert.equal(types(scene.replica, 1, 3, 1), ["applied", "applied", "applied"]);
  const { index, pieces } = scene.replica.snapshot();
  await restored.replica.restore(index, fromDisk(pieces));

  assert.is(both(4, 2, 1), "applied gap");
  assert.is(both(3, 3, 1), "applied applied gap", "what was done is still told");
  assert.is(both(5, 1, 2), "applied");
  assert.is(both(6, 5, 6), "applied applied applied applied gap");
  assert.is(scene.diary.pages.length, 9);
  assert.is(restored.diary.pages.length, 6);
  const other = scene.open();
  assert.equal(scene.send(other, 1, ["a"]), ["a is 10"], "others do not suffer for it");
});

test("sessions do not know of one another", () => {
  const scene = new Scene();
  const [one, two] = [scene.open(), scene.open()];
  assert.equal(scene.send(one, 1, ["a"]), ["a is 1"]);
  assert.equal(scene.send(two, 1, ["a"]), ["a is 2"]);
  assert.equal(
    [...scene.replica.sessions()],
    [
      { id: one, next: 2 },
      { id: two, next: 2 },
    ],
  );
});

test("nothing takes effect without a session", () => {
  const scene = new Scene();
  const session = scene.open();
  assert.equal(scene.send(session + 1, 1, ["a"]), ["session-unknown"]);
  assert.equal(scene.send(0, 1, ["a"]), ["session-unknown"]);
  assert.equal(scene.diary.pages, []);
});

test("a session ends only if nothing was done with it since the leader looked", () => {
  const scene = new Scene();
  const [idle, busy] = [scene.open(), scene.open()];
  scene.send(busy, 1, ["a"]);
  assert.is(scene.expire({ id: idle, next: 1 }, { id: busy, next: 1 }, { id: 99, next: 1 }), 1);
  assert.not(scene.replica.hasSession(idle));
  assert.ok(scene.replica.hasSession(busy));
  assert.is(scene.replica.sessionCount, 1);
  assert.equal(scene.send(idle, 1, ["late"]), ["session-unknown"]);
  assert.equal(scene.send(busy, 2, ["b"]), ["b is 2"]);
});

test("a machine that throws is told of, and its command is not tried again", () => {
  const scene = new Scene();
  const session = scene.open();
  assert.equal(scene.send(session, 1, ["a", "boom", "b"]), ["a is 1", "failed", "b is 2"]);
  assert.equal(scene.send(session, 2, ["boom"]), ["failed"]);
  assert.equal(scene.failures, ["2: boom"]);
});

test("an entry that can't be read is skipped and told of, and the next one is applied", () => {
  const scene = new Scene();
  const session = scene.open();
  for (const payload of [new Uint8Array(0), new Uint8Array([9]), new Uint8Array([1, 2, 3])]) {
    assert.is(scene.apply(payload), null);
  }
  assert.is(scene.failures.length, 3);
  assert.equal(scene.send(session, 1, ["a"]), ["a is 1"]);
});

test("an entry without a command moves the index on", () => {
  const scene = new Scene();
  assert.is(scene.apply(null), null);
  assert.is(scene.replica.appliedIndex, 1);
});

test("an entry that does not follow the last one is refused", () => {
  const scene = new Scene();
  scene.apply(null);
  for (const index of [0, 1, 3]) assert.throws(() => scene.replica.apply(index, null), /follows/);
  assert.is(scene.replica.appliedIndex, 1);
});

test("replicas that are fed the same log have the same state and give the same answers", () =>
  fc.assert(
    fc.property(fc.array(payload, { maxLength: 40 }), (log) => {
      const run = (): unknown => {
        const machine = new KeyValueMachine();
        const failures: unknown[] = [];
        const replica = new Replica(machine, (index, error) => void failures.push([index, error]));
        const answers = log.map((bytes, i) => replica.apply(i + 1, bytes?.slice() ?? null));
        return { answers, failures, sessions: [...replica.sessions()], state: [...machine.snapshot()] };
      };
      assert.equal(run(), run());
    }),
  ));

const batch = fc.record({ first: number, count: fc.nat(4), floor: number });

test("whatever a client repeats, loses and gives up, no command takes effect twice or out of order", () =>
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 30 }), (batches) => {
      const scene = new Scene();
      const session = scene.open();
      for (const { first, count, floor } of batches) {
        const numbers = Array.from({ length: count }, (_, i) => String(first + i));
        const answers = scene.send(session, first, numbers, floor);
        assert.is(answers.length, count);
      }
      const applied = scene.diary.pages.map(Number);
      assert.equal(
        applied,
        [...new Set(applied)].sort((a, b) => a - b),
      );
    }),
  ));

test("a query is answered by the machine", () => {
  const replica = new Replica(new KeyValueMachine(), () => {});
  const query = encodeQuery({ op: "get", key: "none" });
  assert.equal(replica.query(query), new KeyValueMachine().query(query));
});

test.run();
