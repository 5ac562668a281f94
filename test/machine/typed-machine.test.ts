/** Machines as users write them: what commands do to the state, and to it alone; timers, changes, snapshots, versions. */

import * as assert from "uvu/assert";
import * as v from "valibot";
import { ConclaveError } from "../../src/errors.ts";
import { type AnyMachine, changesOf, checkedArgs, machine, Rejection } from "../../src/machine/definition.ts";
import type { ApplyContext, MachineTimer } from "../../src/machine/index.ts";
import { KeyValueMachine } from "../../src/machine/index.ts";
import { Machines } from "../../src/machine/machines.ts";
import {
  type CallResult,
  decodeCallResult,
  decodeTypedChanges,
  encodeCall,
  type TypedChangesPage,
} from "../../src/machine/typed-protocol.ts";
import { decodeValue } from "../../src/machine/value-codec.ts";
import { suite } from "../support/suite.ts";

const test = suite("typed machine");

type Moved = { readonly from: string; readonly to: string; readonly amount: number };

const bank = machine({
  name: "bank",
  version: 1,
  state: () => ({ accounts: new Map<string, number>(), opened: [] as string[] }),
  changes: changesOf<Moved>({ countMax: 3 }),
  args: { open: v.object({ name: v.pipe(v.string(), v.minLength(1)) }) },
  commands: {
    open(state, { name }: { name: string }) {
      if (state.accounts.has(name)) throw new Rejection("EXISTS", { name });
      state.accounts.set(name, 0);
      state.opened.push(name);
      return state.accounts.size;
    },
    transfer(state, { from, to, amount }: Moved, context) {
      state.accounts.set(to, (state.accounts.get(to) ?? 0) + amount);
      const left = (state.accounts.get(from) ?? 0) - amount;
      state.accounts.set(from, left);
      context.emit({ from, to, amount }, amount % 2 === 0 ? "even" : "odd");
      context.setTimer("audit", 1_000, "audit");
      if (left < -100) throw new Rejection("INSUFFICIENT_FUNDS", { left, opened: state.opened });
      if (amount === 13) throw new TypeError("a bug");
      return { left, token: context.token() };
    },
    audit(state, _args: undefined, context) {
      state.opened.push(`audited at ${context.timeMs}`);
    },
    clock: () => Date.now(),
    later: async () => {},
    draw: (_state, _args: undefined, context) => [context.random(), context.random(), context.id()],
  },
  queries: {
    balance: (state, { name }: { name: string }) => state.accounts.get(name) ?? null,
    opened: (state) => state.opened,
    revision: (_state, _args: undefined, context) => context.revision,
    spoil: (state) => state.opened.push("no"),
  },
});

/** A replica's machines, and an entry of the log for each thing that is done with them. */
class Stage {
  readonly set = new Map<string, MachineTimer>();
  index = 0;
  readonly machines: Machines;

  constructor(...definitions: readonly AnyMachine[]) {
    this.machines = new Machines(new KeyValueMachine(), definitions, { isGuarded: true });
  }

  activate(name: string, version = 1): void {
    this.index++;
    this.machines.activate({ name, version });
  }

  context(position = 0): ApplyContext {
    const timers = {
      set: (timer: MachineTimer) => void this.set.set(timer.id, timer),
      clear: (id: string) => void this.set.delete(id),
    };
    return { index: ++this.index, position, timeMs: 1_000 * this.index, timers };
  }

  do(machineName: string, name: string, args?: unknown, version = 1): CallResult {
    const call = encodeCall(machineName, { type: "command", version, name, args });
    return decodeCallResult(this.machines.apply(call, this.context()));
  }

  ask(machineName: string, name: string, args?: unknown, version = 1): CallResult {
    return decodeCallResult(this.machines.query(encodeCall(machineName, { type: "query", version, name, args })));
  }

  changes(machineName: string, fromRevision: number, topic: string | null = null): TypedChangesPage {
    const bytes = this.machines.query(
      encodeCall(machineName, { type: "changes", version: 1, topic, fromRevision, limit: 10 }),
    );
    return decodeTypedChanges(bytes);
  }
}

const begun = (): Stage => {
  const stage = new Stage(bank);
  stage.activate("bank");
  assert.equal(stage.do("bank", "open", { name: "ann" }), { type: "done", value: 1 });
  return stage;
};

const piecesOf = (machines: Machines): Uint8Array[] => [...machines.snapshot()].map((piece) => piece.slice());

async function* from(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

test("a command changes the state and gives its result", () => {
  const stage = begun();
  const result = stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 5 });
  assert.equal(result, { type: "done", value: { left: -5, token: 3 } });
  assert.equal(stage.ask("bank", "balance", { name: "bob" }), { type: "done", value: 5 });
  assert.equal(stage.ask("bank", "opened"), { type: "done", value: ["ann"] });
});

test("a command that refuses, or fails, leaves no trace", () => {
  const stage = begun();
  stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 5 });
  const [before, timers] = [piecesOf(stage.machines), [...stage.machines.timers()]];
  const refused = stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 500 });
  assert.is(refused.type === "rejected" && refused.code, "INSUFFICIENT_FUNDS");
  assert.equal(refused.type === "rejected" && refused.details, { left: -505, opened: ["ann"] });
  assert.throws(() => stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 13 }), /a bug/);
  assert.throws(() => stage.do("bank", "later"), /synchronous/);
  assert.throws(() => stage.do("bank", "clock"), /context\.timeMs/);
  assert.equal(piecesOf(stage.machines), before);
  assert.equal([...stage.machines.timers()], timers);
  assert.type(Date.now(), "number");
});

test("one that waits for something fails, and what becomes of it is nobody's concern", async () => {
  const fails = async (): Promise<never> => {
    throw new Error("that nobody waits for");
  };
  const hasty = machine({
    name: "hasty",
    version: 1,
    state: () => ({}),
    commands: { fails },
    queries: { asked: fails },
  });
  const stage = new Stage(hasty);
  stage.activate("hasty");
  assert.throws(() => stage.do("hasty", "fails"), /must be synchronous/);
  assert.throws(() => stage.ask("hasty", "asked"), /must be synchronous/);
  const late = new Stage({ ...hasty, state: fails });
  assert.throws(() => late.activate("hasty"), /"hasty" can't begin: .* must be synchronous/);
  await new Promise<void>((resolve) => setImmediate(resolve)); // A rejection that nobody handles would end the process.
});

test("what a machine begins with may not differ from replica to replica either", () => {
  const states: readonly (() => object)[] = [
    () => ({ salt: Math.random() }),
    () => ({ at: Date.now() }),
    () => ({ at: process.hrtime.bigint() }),
    () => ({ at: process.uptime() }),
  ];
  for (const state of states) {
    const stage = new Stage(machine({ name: "salted", version: 1, state, commands: {} }));
    assert.throws(() => stage.activate("salted"), /would part the replicas/);
  }
});

test("a query changes nothing", () => {
  const stage = begun();
  assert.throws(() => stage.ask("bank", "spoil"), /must not change/);
  assert.equal(stage.ask("bank", "opened"), { type: "done", value: ["ann"] });
});

test("nonsense is refused", () => {
  const stage = begun();
  for (const [name, code] of [
    ["missing", "NO_SUCH_COMMAND"],
    ["toString", "NO_SUCH_COMMAND"],
    ["balance", "NO_SUCH_COMMAND"],
  ]) {
    const result = stage.do("bank", name ?? "");
    assert.is(result.type === "rejected" && result.code, code);
  }
  const result = stage.ask("bank", "open");
  assert.is(result.type === "rejected" && result.code, "NO_SUCH_QUERY");
  assert.is(stage.do("nobody", "open").type, "inactive");
  assert.is(stage.ask("nobody", "open").type, "inactive");
  assert.is(stage.changes("nobody", 1).type, "inactive");
  assert.is(stage.do("bank", "open", { name: "x" }, 2).type, "inactive");
  for (const bytes of [[0], [0, 4, 0, 0, 0, 98, 97, 110, 107], [0, 4, 0, 0, 0, 98, 97, 110, 107, 9, 9]]) {
    const answer = decodeCallResult(stage.machines.apply(new Uint8Array(bytes), stage.context()));
    assert.is.not(answer.type, "done");
  }
});

test("a machine that is not active yet is not there", () => {
  const stage = new Stage(bank);
  assert.is(stage.do("bank", "open", { name: "ann" }).type, "inactive");
  assert.equal(stage.machines.supported(), [{ name: "bank", versions: [1], active: null }]);
  stage.activate("bank");
  assert.equal(stage.machines.supported(), [{ name: "bank", versions: [1], active: 1 }]);
  assert.is(stage.do("bank", "open", { name: "ann" }).type, "done");
  assert.throws(() => stage.activate("other"), /does not have it/);
});

test("random numbers, ids and tokens follow from the log alone", () => {
  const drawn = () => {
    const stage = begun();
    return [stage.do("bank", "draw"), stage.do("bank", "draw")];
  };
  const [first, second] = drawn();
  assert.equal(drawn(), [first, second]);
  assert.not.equal(first, second);
  const values = first?.type === "done" ? (first.value as readonly unknown[]) : [];
  assert.is.not(values[0], values[1]);
  for (const value of values.slice(0, 2)) assert.ok(Number(value) >= 0 && Number(value) < 1);
});

test("a timer that has run out is a command, and only once", () => {
  const stage = begun();
  stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 1 });
  const [first] = [...stage.set.values()];
  assert.is(first?.id, "bank:audit");
  assert.is(first?.delayMs, 1_000);
  stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 1 });
  const [second] = [...stage.set.values()];
  stage.machines.fire("bank:audit", first?.generation ?? 0, stage.context());
  assert.equal(stage.ask("bank", "opened"), { type: "done", value: ["ann"] });
  assert.is(stage.set.size, 1);
  const context = stage.context();
  stage.machines.fire("bank:audit", second?.generation ?? 0, context);
  stage.machines.fire("bank:audit", second?.generation ?? 0, stage.context());
  assert.equal(stage.ask("bank", "opened"), { type: "done", value: ["ann", `audited at ${context.timeMs}`] });
  assert.is(stage.set.size, 0);
  assert.equal([...stage.machines.timers()], []);
});

test("changes are kept in order, as far back as was said", () => {
  const stage = begun();
  assert.equal(stage.changes("bank", 0), { type: "changes", changes: [], nextRevision: 1 });
  for (let amount = 1; amount <= 5; amount++) stage.do("bank", "transfer", { from: "ann", to: "bob", amount });
  assert.equal(stage.changes("bank", 2), { type: "compacted", firstRevision: 3 });
  const page = stage.changes("bank", 4);
  const seen = page.type === "changes" ? page.changes.map(({ revision, bytes }) => [revision, decodeValue(bytes)]) : [];
  assert.equal(seen, [
    [4, { from: "ann", to: "bob", amount: 4 }],
    [5, { from: "ann", to: "bob", amount: 5 }],
  ]);
});

test("a topic has only its own changes, and passes the others by", () => {
  const stage = begun();
  for (let amount = 1; amount <= 3; amount++) stage.do("bank", "transfer", { from: "ann", to: "bob", amount });
  const page = stage.changes("bank", 1, "even");
  assert.equal(page.type === "changes" && page.changes.map(({ revision, topic }) => [revision, topic]), [[2, "even"]]);
  assert.is(page.type === "changes" && page.nextRevision, 4);
  assert.equal(stage.ask("bank", "revision"), { type: "done", value: 3 });
  const ask = (topic: string, fromRevision: number): Uint8Array | null =>
    stage.machines.poll(encodeCall("bank", { type: "changes", version: 1, topic, fromRevision, limit: 10 }));
  assert.is(ask("even", 3), null);
  assert.ok(ask("odd", 3));
});

test("a snapshot holds everything, as it was when it was taken", async () => {
  const stage = begun();
  await stage.machines.apply(new Uint8Array([1]), stage.context());
  for (let amount = 1; amount <= 5; amount++) stage.do("bank", "transfer", { from: "ann", to: "bob", amount });
  const taken = stage.machines.snapshot();
  const before = piecesOf(stage.machines);
  const next = stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 6 });
  const pieces = [...taken];
  assert.equal(pieces, before);
  const other = new Stage(bank);
  await other.machines.restore(from(pieces));
  assert.equal(piecesOf(other.machines), before);
  other.index = stage.index - 1;
  assert.equal(other.do("bank", "transfer", { from: "ann", to: "bob", amount: 6 }), next);
  assert.equal(piecesOf(other.machines), piecesOf(stage.machines));
});

/** What the pieces of the machine without a name begin with: who misses one of those is found out by their count. */
const ROOT = 3;

test("a snapshot in which something of a machine is missing changes nothing", async () => {
  const stage = begun();
  const pieces = piecesOf(stage.machines);
  const other = begun();
  other.do("bank", "open", { name: "eve" });
  const before = piecesOf(other.machines);
  for (const [i] of pieces.filter((piece) => piece[0] !== ROOT).entries()) {
    const spoilt = pieces.filter((_, at) => at !== i);
    const error = await other.machines.restore(from(spoilt)).then(
      () => null,
      (reason: unknown) => reason,
    );
    assert.instance(error, Error, `without piece ${i}`);
    assert.equal(piecesOf(other.machines), before);
  }
});

/** A state of which snapshots hold the words alone, and not how often each begins with which letter. */
const words = machine({
  name: "words",
  version: 1,
  state: () => ({ words: [] as string[], initials: new Map<string, number>() }),
  commands: {
    add(state, word: string) {
      state.words.push(word);
      state.initials.set(word.slice(0, 1), (state.initials.get(word.slice(0, 1)) ?? 0) + 1);
    },
  },
  queries: { initials: (state) => [...state.initials] },
  snapshot: {
    save: (state) => {
      if (state.words.includes("now")) Date.now();
      if (state.words.includes("no")) return "no bytes" as never;
      return new TextEncoder().encode(state.words.join(" "));
    },
    load: (bytes) => {
      const all = new TextDecoder().decode(bytes).split(" ");
      if (all.includes("unreadable")) throw new Error("it was not to be read");
      const initials = new Map<string, number>();
      for (const word of all) initials.set(word.slice(0, 1), (initials.get(word.slice(0, 1)) ?? 0) + 1);
      return { words: all, initials };
    },
  },
});

const worded = (...all: readonly string[]): Stage => {
  const stage = new Stage(words);
  stage.activate("words");
  for (const word of all) stage.do("words", "add", word);
  return stage;
};

test("a machine may have a form of its own for snapshots, of any size", async () => {
  const long = "b".repeat(150_000);
  const stage = worded("ann", "abe", long);
  const taken = stage.machines.snapshot();
  const pieces = piecesOf(stage.machines);
  stage.do("words", "add", "eve");
  assert.equal([...taken], pieces);
  const other = worded("zoe");
  await other.machines.restore(from(pieces));
  const initials = [
    ["a", 2],
    ["b", 1],
  ];
  assert.equal(other.ask("words", "initials"), { type: "done", value: initials });
  assert.equal(piecesOf(other.machines), pieces);
  const replacement = other.machines.replacement?.();
  for (const piece of pieces) replacement?.add(piece);
  assert.equal([...(replacement?.snapshot() ?? [])], pieces);
  // Each of its pieces is missed, and none is taken twice.
  for (const [i, piece] of pieces.entries()) {
    if (piece[0] === ROOT) continue;
    for (const spoilt of [pieces.toSpliced(i, 1), pieces.toSpliced(i, 0, piece)]) {
      const error = await other.machines.restore(from(spoilt)).catch((reason: unknown) => reason);
      assert.instance(error, Error, `without piece ${i}, or with two of them`);
    }
  }
  assert.equal(piecesOf(other.machines), pieces);
});

test("a form of its own that fails spoils nothing", async () => {
  const stage = worded("ann");
  const before = piecesOf(stage.machines);
  const unreadable = piecesOf(worded("unreadable").machines);
  const error = await stage.machines.restore(from(unreadable)).catch((reason: unknown) => reason);
  assert.match(String(error), /"words" can't load its state: it was not to be read/);
  assert.equal(piecesOf(stage.machines), before);
  assert.throws(() => worded("no").machines.snapshot(), /"words" has saved what is no Uint8Array/);
  assert.throws(() => worded("now").machines.snapshot(), /would part the replicas/);
});

test("a snapshot with a machine that is not to be had is refused by name", async () => {
  const pieces = piecesOf(begun().machines);
  const error = await new Stage().machines.restore(from(pieces)).catch((reason: unknown) => reason);
  assert.is((error as { code?: string }).code, "MACHINE_MISSING");
});

test("a backup takes the place of everything, and nothing is given out twice", () => {
  const source = begun();
  const pieces = piecesOf(source.machines);
  const stage = begun();
  assert.not(stage.machines.isEmpty());
  assert.ok(new Stage(bank).machines.isEmpty());
  for (let amount = 1; amount <= 5; amount++) stage.do("bank", "transfer", { from: "ann", to: "bob", amount });
  const replacement = stage.machines.replacement?.();
  if (replacement === undefined) throw new Error("it can be restored");
  for (const piece of pieces) replacement.add(piece);
  assert.equal([...replacement.snapshot()], pieces);
  const replace = replacement.finish();
  assert.equal(stage.ask("bank", "balance", { name: "bob" }), { type: "done", value: 15 });
  replace();
  assert.equal(stage.ask("bank", "balance", { name: "bob" }), { type: "done", value: null });
  assert.equal(stage.changes("bank", 5), { type: "compacted", firstRevision: 7 });
  const token = stage.do("bank", "transfer", { from: "ann", to: "bob", amount: 1 });
  assert.ok(token.type === "done" && (token.value as { token: number }).token > 11);
});

test("a backup of machines that the cluster does not use is refused, whatever this program has", () => {
  const pieces = piecesOf(begun().machines);
  const replacement = new Stage(bank).machines.replacement?.();
  assert.throws(() => {
    for (const piece of pieces) replacement?.add(piece);
  }, /does not use/);
});

const bank2 = machine({
  name: "bank",
  version: 2,
  state: () => ({ accounts: new Map<string, { balance: number }>(), fees: 0 }),
  changes: changesOf<Moved>({ countMax: 2 }),
  commands: {
    open(state, { name }: { name: string }) {
      state.accounts.set(name, { balance: 0 });
    },
    move(state, { from: source, to, amount }: Moved, context) {
      const [a, b] = [state.accounts.get(source), state.accounts.get(to)];
      if (a === undefined || b === undefined) throw new Rejection("UNKNOWN");
      a.balance -= amount + 1;
      b.balance += amount;
      state.fees++;
      context.emit({ from: source, to, amount });
    },
  },
  queries: { balance: (state, { name }: { name: string }) => state.accounts.get(name)?.balance ?? null },
  upgrade: {
    from: bank,
    state: (old: { accounts: Map<string, number> }) => ({
      accounts: new Map([...old.accounts].map(([name, balance]) => [name, { balance }])),
      fees: 0,
    }),
    command: (name, args) => ({ name: name === "transfer" ? "move" : name, args }),
  },
});

test("a newer program runs the old version as it was, until the cluster goes over", async () => {
  const [old, mixed] = [new Stage(bank), new Stage(bank2)];
  for (const stage of [old, mixed]) {
    stage.activate("bank");
    stage.do("bank", "open", { name: "ann" });
    for (let amount = 1; amount <= 4; amount++) stage.do("bank", "transfer", { from: "ann", to: "bob", amount });
  }
  assert.equal(piecesOf(mixed.machines), piecesOf(old.machines));
  assert.is(mixed.do("bank", "move", { from: "ann", to: "bob", amount: 1 }, 2).type, "inactive");
  const pieces = piecesOf(mixed.machines);
  mixed.activate("bank", 2);
  assert.equal(mixed.ask("bank", "balance", { name: "bob" }, 2), { type: "done", value: 10 });
  assert.equal(mixed.changes("bank", 1), { type: "compacted", firstRevision: 3 });
  assert.is(mixed.do("bank", "transfer", { from: "ann", to: "bob", amount: 10 }).type, "done");
  assert.equal(mixed.ask("bank", "balance", { name: "ann" }), { type: "done", value: -21 });
  // Who restores an older snapshot and goes on with the log comes to the same.
  const late = new Stage(bank2);
  await late.machines.restore(from(pieces));
  late.index = mixed.index - 2;
  late.activate("bank", 2);
  late.do("bank", "transfer", { from: "ann", to: "bob", amount: 10 });
  assert.equal(piecesOf(late.machines), piecesOf(mixed.machines));
  assert.throws(() => old.activate("bank", 2), /update it/);
});

/** What comes of it when a definition is brought into use that makes a mistake there. */
for (const [mistake, definition, why] of [
  ["whose first state is none", { ...bank, state: () => null as never }, /"bank" can't begin: a state is an object/],
  ["that can't make its first state", { ...bank, state: () => boom() }, /"bank" can't begin: boom/],
  ["whose upgrade fails", { ...bank2, upgrade: { from: bank, state: () => boom() } }, /from version 1 to 2: boom/],
  ["whose upgrade makes nothing", { ...bank2, upgrade: { from: bank, state: () => 5 as never } }, /to 2: a state is/],
  [
    "whose upgrade asks the clock",
    { ...bank2, upgrade: { from: bank, state: () => Date.now() as never } },
    /to 2: .*part/,
  ],
] satisfies [string, AnyMachine, RegExp][]) {
  test(`a machine ${mistake} is found out before it is brought into use, and changes nothing`, async () => {
    const stage = new Stage(definition);
    if (definition.version === 2) await stage.machines.restore(from(piecesOf(begun().machines)));
    const before = piecesOf(stage.machines);
    const { name, version } = definition;
    for (const use of ["rehearse", "activate"] as const) {
      const failure = failureOf(() => stage.machines[use]({ name, version }));
      assert.match(failure.message, why);
      assert.is(failure.code, "MACHINE_FAILED");
      assert.equal(piecesOf(stage.machines), before);
    }
  });
}

function boom(): never {
  throw new Error("boom");
}

function failureOf(run: () => void): ConclaveError {
  try {
    run();
  } catch (error) {
    if (error instanceof ConclaveError) return error;
    throw error;
  }
  throw new Error("it went through");
}

test("an upgrade that changes what it is given changes nothing where it is tried out", () => {
  const spoiling = machine({
    ...bank2,
    upgrade: {
      from: bank,
      state: (old: ReturnType<typeof bank.state>) => {
        old.accounts.clear();
        old.opened.push("spoilt");
        return { accounts: new Map(), fees: 0 };
      },
    },
  });
  const stage = new Stage(spoiling);
  stage.activate("bank", 1);
  stage.do("bank", "open", { name: "ann" });
  const before = piecesOf(stage.machines);
  stage.machines.rehearse({ name: "bank", version: 2 });
  assert.equal(piecesOf(stage.machines), before);
  assert.equal(stage.ask("bank", "opened"), { type: "done", value: ["ann"] });
});

test("a machine that would work is tried out, and is as it was", () => {
  const stage = new Stage(bank2);
  stage.machines.rehearse({ name: "bank", version: 1 });
  assert.equal(piecesOf(stage.machines), piecesOf(new Stage(bank2).machines));
  stage.activate("bank", 1);
  stage.do("bank", "open", { name: "ann" });
  const before = piecesOf(stage.machines);
  stage.machines.rehearse({ name: "bank", version: 2 });
  assert.equal(piecesOf(stage.machines), before);
});

test("arguments are checked by any schema, before they are sent", () => {
  assert.equal(checkedArgs(bank, "open", { name: "a", more: 1 }), { name: "a" });
  assert.equal(checkedArgs(bank, "transfer", "anything"), "anything");
  assert.throws(() => checkedArgs(bank, "open", { name: "" }), /bank\.open: name: /);
  const slow = { "~standard": { version: 1 as const, vendor: "test", validate: async () => ({ value: 1 }) } };
  assert.throws(() => checkedArgs({ ...bank, args: { open: slow } }, "open", 1), /takes its time/);
});

test("a definition that can't work is refused", () => {
  const base = { name: "m", version: 1, state: () => ({}), commands: {} };
  assert.throws(() => machine({ ...base, name: "no:colon" }), /needs a name/);
  assert.throws(() => machine({ ...base, version: 0 }), /needs a version/);
  assert.throws(() => machine({ ...base, commands: { changes: () => 1 } }), /"changes"/);
  assert.throws(() => machine({ ...base, commands: { a: () => 1 }, queries: { a: () => 1 } }), /a command and a query/);
  // @ts-expect-error: there is no such command
  assert.throws(() => machine({ ...base, commands: { a: () => 1 }, args: { b: v.number() } }), /"b"/);
  assert.throws(() => machine({ ...base, upgrade: { from: bank, state: () => ({}) } }), /older version of itself/);
  assert.throws(() => new Stage(bank, bank), /the same name/);
});

test.run();
