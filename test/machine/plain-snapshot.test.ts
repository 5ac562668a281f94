/** Snapshots of plain state: drawn as it was however it changes meanwhile, and read back, or refused. */

import * as v8 from "node:v8";
import * as vm from "node:vm";
import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { PlainState, PlainStateReader } from "../../src/machine/plain-state.ts";
import { suite } from "../support/suite.ts";
import { type Containers, isTree, stateRoot, tell, untangled } from "./plain-values.ts";
import { runOnBoth, type Step, step } from "./programs.ts";
import { refuses } from "./refusals.ts";

const test = suite("plain state: snapshots");

const hexOf = (pieces: Iterable<Uint8Array>): string[] =>
  Array.from(pieces, (piece) => Buffer.from(piece).toString("hex"));

function readFrom(pieces: Iterable<Uint8Array>): unknown {
  const reader = new PlainStateReader();
  for (const piece of pieces) reader.add(piece);
  return reader.finish();
}

const pieceBytes = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 20, max: 200 }));

test("a snapshot is read as the state that it was taken of, and the same state gives the same pieces", () =>
  fc.assert(
    fc.property(stateRoot, pieceBytes, (root, bytes) => {
      const state = new PlainState(root, bytes);
      const pieces = [...state.snapshot()];
      const read = readFrom(pieces) as Containers;
      assert.is(
        tell(read),
        state.look((one) => tell(one)),
      );
      isTree(read);
      assert.equal(hexOf(new PlainState(read, bytes).snapshot()), hexOf(pieces));
    }),
    { numRuns: 500 },
  ));

/** One step of what goes on while snapshots are drawn. */
interface Turn {
  readonly type: "begin" | "draw" | "change" | "return" | "set";
  readonly which: number;
  readonly count: number;
  readonly steps: readonly Step[];
}

const turn: fc.Arbitrary<Turn> = fc.record({
  type: fc.constantFrom("begin", "draw", "draw", "draw", "change", "change", "change", "return", "set"),
  which: fc.nat(3),
  count: fc.nat(4),
  steps: fc.array(step, { maxLength: 6 }),
});

interface Begun {
  readonly pieces: Iterator<Uint8Array>;
  readonly drawn: Uint8Array[];
  readonly expected: readonly string[];
}

test("snapshots have the state as it was when they were taken, however it changes while they are drawn", () =>
  fc.assert(
    fc.property(stateRoot, pieceBytes, fc.array(turn, { maxLength: 30 }), (root, bytes, turns) => {
      const state = new PlainState(root, bytes);
      let model = untangled(state.look((one) => one));
      const begun: Begun[] = [];
      const draw = ({ pieces, drawn }: Begun, count: number): void => {
        for (let left = count; left > 0; left--) {
          const { value, done } = pieces.next();
          if (done === true) break;
          drawn.push(value);
        }
      };
      for (const { type, which, count, steps } of turns) {
        const one = begun[which % begun.length];
        if (type === "begin") {
          const pieces = state.snapshot()[Symbol.iterator]();
          begun.push({ pieces, drawn: [], expected: hexOf(new PlainState(untangled(model), bytes).snapshot()) });
        } else if (type === "change") {
          state.change((draft) => runOnBoth(steps, draft, model));
          model = untangled(model);
        } else if (type === "set") {
          const value = steps[0]?.value;
          model = untangled((Array.isArray(value) || value instanceof Map ? value : new Map()) as Containers);
          state.set(model);
        } else if (type === "draw" && one !== undefined) draw(one, count);
        else if (type === "return" && one !== undefined) {
          one.pieces.return?.();
          assert.is(one.pieces.next().done, true);
          assert.equal(hexOf(one.drawn), one.expected.slice(0, one.drawn.length));
          begun.splice(begun.indexOf(one), 1);
        }
      }
      for (const one of begun) {
        draw(one, Number.POSITIVE_INFINITY);
        assert.equal(hexOf(one.drawn), one.expected);
      }
    }),
    { numRuns: 1_500 },
  ));

test("a snapshot goes on in the middle of a Map that changes wherever it can", () => {
  for (let drawn = 0; drawn < 12; drawn++) {
    const state = new PlainState({ map: new Map(Array.from({ length: 9 }, (_, i) => [i, `${i}`])) }, 1);
    const expected = hexOf(state.snapshot());
    const pieces = state.snapshot()[Symbol.iterator]();
    const all: Uint8Array[] = [];
    for (let at = 0; at <= expected.length; at++) {
      if (at === drawn) {
        state.change(({ map }) => {
          map.delete(0);
          map.set(0, "moved");
          map.set(8, "changed");
          for (let i = 4; i < 7; i++) map.delete(i);
        });
        state.change(({ map }) => map.clear());
      }
      const { value, done } = pieces.next();
      if (done !== true) all.push(value);
    }
    assert.equal(hexOf(all), expected, `changed after ${drawn} pieces`);
  }
});

test("pieces have a bounded size, and many small Maps share one", () => {
  const map = new Map(Array.from({ length: 20_000 }, (_, i) => [`key ${i}`, new Set([i, `member ${i}`])]));
  const pieces = [...new PlainState({ map }).snapshot()];
  assert.ok(pieces.length > 5 && pieces.length < 20, `${pieces.length}`);
  for (const { byteLength } of pieces) assert.ok(byteLength < 65 * 1024);
  assert.is(tell(readFrom(pieces)), tell({ map }));
});

/** How many Maps are copied while something is done: they are, key by key. */
function copiesIn(run: () => void): number {
  const original = Map.prototype.keys;
  let copies = 0;
  Map.prototype.keys = function (this: Map<unknown, unknown>) {
    copies++;
    return original.call(this);
  } as typeof original;
  try {
    run();
  } finally {
    Map.prototype.keys = original;
  }
  return copies;
}

test("a snapshot that nobody wants any more costs nothing", () => {
  const state = new PlainState({ map: new Map([[0, 0]]), maps: [] as Map<number, number>[] }, 1);
  const costs = (): number =>
    copiesIn(() => {
      state.change(({ map, maps }) => {
        map.set(0, (map.get(0) ?? 0) + 1);
        maps.at(-1)?.set(0, 0);
        maps.push(new Map());
      });
    });
  assert.is(costs(), 0);
  for (const _ of state.snapshot());
  for (const _ of state.snapshot()) break;
  state.snapshot()[Symbol.iterator]().return?.();
  assert.is(costs(), 0);
  const wanted = state.snapshot();
  assert.is(costs(), 2);
  assert.is(costs(), 1, "once is enough, but for the Map that has just been made");
  assert.ok([...wanted].length > 3);
  assert.is(costs(), 0);
});

test("a Map is copied no more once it has been drawn, and once for several snapshots", () => {
  const state = new PlainState({ first: new Map([[0, 0]]), last: new Map([[0, 0]]) }, 1);
  const pieces = state.snapshot()[Symbol.iterator]();
  for (let i = 0; i < 4; i++) pieces.next();
  assert.is(
    copiesIn(() => state.change(({ first }) => first.set(0, 1))),
    0,
  );
  const others = [state.snapshot(), state.snapshot()];
  assert.is(
    copiesIn(() => state.change(({ last }) => last.set(0, 1))),
    1,
  );
  for (const other of others) assert.is(tell(readFrom(other)), '{"first":Map(1){0=>1},"last":Map(1){0=>0}}');
});

const { Bun } = globalThis as { readonly Bun?: { gc(isForced: boolean): void } };

/** Has the collector look through everything, now. */
function collect(): void {
  if (Bun !== undefined) {
    Bun.gc(true);
    return;
  }
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")();
}

test("a snapshot that was forgotten is let go of", async () => {
  const state = new PlainState({ map: new Map([[0, 0]]) }, 1);
  const begin = (): WeakRef<object> => {
    const pieces = state.snapshot();
    pieces[Symbol.iterator]().next();
    return new WeakRef(pieces);
  };
  const forgotten = begin();
  // What was looked at is kept until there is a pause.
  const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
  for (let round = 0; round < 20 && forgotten.deref() !== undefined; round++) {
    state.change(({ map }) => map.set(0, round));
    await pause();
    collect();
    await pause();
  }
  assert.is(forgotten.deref(), undefined);
});

test("pieces that are missing, doubled, mixed up or spoilt are noticed", () => {
  const state = new PlainState({ map: new Map(Array.from({ length: 30 }, (_, i) => [i, new Set([i])])) }, 20);
  const pieces = [...state.snapshot()];
  assert.ok(pieces.length > 5);
  const refused = (some: readonly Uint8Array[]): void => {
    const reader = new PlainStateReader();
    assert.throws(
      () => {
        for (const piece of some) reader.add(piece);
        reader.finish();
      },
      (error: unknown) => error instanceof RangeError,
    );
  };
  refused([]);
  for (let i = 0; i < pieces.length; i++) {
    refused(pieces.slice(0, i));
    refused(pieces.toSpliced(i, 1));
    refused(pieces.toSpliced(i, 0, pieces[i] as Uint8Array));
    if (i > 0) refused(pieces.toSpliced(i - 1, 2, pieces[i] as Uint8Array, pieces[i - 1] as Uint8Array));
    refused(pieces.with(i, Buffer.concat([pieces[i] as Uint8Array, Uint8Array.of(0)])));
  }
  refused([...pieces, Uint8Array.of(pieces.length, 1)]);
  const map = [
    ...new PlainState(
      new Map([
        [1, 1],
        [2, 2],
      ]),
      1,
    ).snapshot(),
  ];
  for (let i = 0; i < map.length; i++) refused(map.slice(0, i));
});

test("spoilt pieces make a state or are refused", () =>
  fc.assert(
    fc.property(stateRoot, pieceBytes, fc.nat(), fc.nat(), fc.nat(255), (root, bytes, which, at, byte) => {
      const pieces = Array.from(new PlainState(root, bytes).snapshot(), (piece) => piece.slice());
      const spoilt = pieces[which % pieces.length] as Uint8Array;
      spoilt[at % spoilt.byteLength] = byte;
      try {
        isTree(new PlainState(readFrom(pieces) as Containers).look((one) => one));
      } catch (error) {
        const isRefusal = error instanceof RangeError || error instanceof TypeError;
        assert.ok(isRefusal && !/stack/.test(error.message), `${error}`);
      }
    }),
    { numRuns: 2_000 },
  ));

test("Maps within each other are counted through all pieces", () => {
  const nested = (depth: number): Uint8Array[] => {
    const pieces = [Uint8Array.of(0, 17)];
    for (let i = 1; i < depth; i++) pieces.push(Uint8Array.of(i, 1, 128, 17));
    return [...pieces, Uint8Array.of(depth, 0)];
  };
  assert.instance(readFrom(nested(100)), Map);
  refuses((piece) => readFrom([...nested(101).slice(0, -1), piece]), Uint8Array.of(101, 0));
});

test("keys that a state can't have are refused", () => {
  refuses((piece) => readFrom([piece]), Uint8Array.of(0, 17, 2, 128, 1, 128, 1));
  refuses((piece) => readFrom([piece]), Uint8Array.of(0, 18, 1, 10, 0));
});

test("a reader tells what it was given so far, in copies", () => {
  const pieces = [
    ...new PlainState(
      {
        map: new Map([
          [1, "one"],
          [2, "two"],
        ]),
      },
      4,
    ).snapshot(),
  ];
  const reader = new PlainStateReader();
  assert.equal([...reader.pieces()], []);
  const told: [number, Iterable<Uint8Array>][] = [];
  for (const [i, piece] of pieces.entries()) {
    const given = piece.slice();
    reader.add(given);
    given.fill(0xff);
    told.push([i + 1, reader.pieces()]);
  }
  for (const [count, some] of told) assert.equal(hexOf(some), hexOf(pieces.slice(0, count)));
  const other = new PlainStateReader();
  for (const piece of told[0]?.[1] ?? []) other.add(piece);
  for (const piece of pieces.slice(1)) other.add(piece);
  assert.is(tell(other.finish()), tell(reader.finish()));
  assert.throws(() => reader.finish(), /the state has been taken/);
});

test("what a reader has made becomes a state without being copied, once", () => {
  const root = readFrom(new PlainState(new Map([["a", 1]])).snapshot()) as Map<string, number>;
  const state = new PlainState(root);
  const other = new PlainState(root);
  state.change((draft) => draft.set("a", 2));
  assert.is(root.get("a"), 2);
  assert.is(
    other.look((one) => one.get("a")),
    1,
  );
});

test.run();
