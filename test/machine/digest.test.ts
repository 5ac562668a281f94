/** Two states with the same digest are the same, as far as accidents go, and on every runtime the digest is the same. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { Digest } from "../../src/machine/index.ts";
import { suite } from "../support/suite.ts";

const digestOf = (...pieces: readonly Uint8Array[]): string => {
  const digest = new Digest();
  for (const piece of pieces) digest.add(piece);
  return digest.value;
};

const pieces = fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 4 });

const test = suite("digest");

test("it is the same on every runtime, wherever the bytes lie in memory", () => {
  const bytes = Uint8Array.from({ length: 1_003 }, (_, i) => (i * 7) % 256);
  const shifted = new Uint8Array([1, 2, 3, ...bytes]).subarray(3);
  assert.is(digestOf(bytes), "aeeeb9756f1a8708");
  assert.is(digestOf(shifted), digestOf(bytes));
  assert.is(digestOf(), "337dd79f832241e6");
  const long = Uint8Array.from({ length: 200_003 }, (_, i) => (i * 7) % 256);
  assert.is(digestOf(long), "885280af7e1b668a", "more than is looked at in one go");
});

test("any bit that is turned over makes another one", () =>
  fc.assert(
    fc.property(pieces, fc.nat(), (all, which) => {
      const bytes = all.flatMap((piece, i) => Array.from(piece, (_, at) => [i, at] as const));
      const [i, at] = bytes[which % Math.max(1, bytes.length)] ?? [0, 0];
      const other = all.map((piece) => piece.slice());
      const piece = other[i];
      if (piece === undefined || piece.length === 0) return;
      piece[at] = (piece[at] ?? 0) ^ (1 << (which % 8));
      assert.is.not(digestOf(...other), digestOf(...all));
    }),
  ));

test("so does where a piece ends, zeros at the end of one, and the order of two", () => {
  const [a, b] = [new Uint8Array([1, 2, 3]), new Uint8Array([4, 5])];
  const all = [
    digestOf(a, b),
    digestOf(b, a),
    digestOf(new Uint8Array([1, 2, 3, 4, 5])),
    digestOf(new Uint8Array([1, 2]), new Uint8Array([3, 4, 5])),
    digestOf(a, new Uint8Array([4, 5, 0])),
    digestOf(a, b, new Uint8Array(0)),
    digestOf(a),
  ];
  assert.is(new Set(all).size, all.length);
});

test("what was added so far can be looked at in between", () => {
  const digest = new Digest();
  digest.add(new Uint8Array([1]));
  const before = digest.value;
  assert.is(digest.value, before);
  digest.add(new Uint8Array([2]));
  assert.is(digest.value, digestOf(new Uint8Array([1]), new Uint8Array([2])));
});

test.run();
