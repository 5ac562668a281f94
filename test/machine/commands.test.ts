/** What log entries and their answers say, as bytes: read as written, or refused. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { ByteWriter } from "../../src/bytes.ts";
import {
  decodeList,
  decodeOutcomes,
  decodePayload,
  encodeList,
  encodeOutcomes,
  encodePayload,
  headOf,
  type Outcome,
  type Payload,
  stampTime,
} from "../../src/machine/commands.ts";
import { suite } from "../support/suite.ts";
import { record, refuses, refusesEveryTruncation, survivesAnything } from "./refusals.ts";

const test = suite("commands");

const bytes = fc.uint8Array({ maxLength: 30 });
const payload: fc.Arbitrary<Payload> = fc.oneof(
  record({
    type: fc.constantFrom("commands" as const, "restoration" as const),
    timeMs: fc.maxSafeNat(),
    session: fc.maxSafeNat(),
    floor: fc.maxSafeNat(),
    first: fc.maxSafeNat(),
    commands: fc.array(bytes),
  }),
  record({
    type: fc.constant("fire-timers" as const),
    timeMs: fc.maxSafeNat(),
    timers: fc.array(record({ id: fc.string(), generation: fc.maxSafeNat() }), { maxLength: 40 }),
  }),
  record({ type: fc.constant("activate" as const), name: fc.string(), version: fc.nat(2 ** 32 - 1) }),
  fc.constant({ type: "open-session" as const }),
  fc.constant({ type: "compare" as const }),
  record({
    type: fc.constant("expire-sessions" as const),
    sessions: fc.array(record({ id: fc.maxSafeNat(), next: fc.maxSafeNat() }), { maxLength: 40 }),
  }),
);
const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  record({ type: fc.constant("applied" as const), result: bytes }),
  record({ type: fc.constantFrom("gap" as const, "forgotten" as const, "failed" as const) }),
);

const anyList = (list: Uint8Array): Uint8Array[] => decodeList(list, Number.POSITIVE_INFINITY);

test("a list of more items than are allowed is refused", () => {
  const list = encodeList([new Uint8Array(0), new Uint8Array(0)]);
  assert.is(decodeList(list, 2).length, 2);
  assert.throws(() => decodeList(list, 1), RangeError);
});

test("payloads are read as they were written", () =>
  fc.assert(fc.property(payload, (one) => assert.equal(decodePayload(encodePayload(one)), one))));

/** What a look at the head says, or that it does not like it. */
const headIn = (bytes: Uint8Array): unknown => {
  try {
    return headOf(bytes);
  } catch {
    return "refused";
  }
};

/** The same from all of it. */
const headByDecoding = (bytes: Uint8Array): unknown => {
  if (bytes[0] !== 1 && bytes[0] !== 4) return bytes.byteLength === 0 ? "refused" : null;
  try {
    const batch = decodePayload(bytes);
    if (batch.type !== "commands" && batch.type !== "restoration") return null;
    const { session, floor, first, commands } = batch;
    return { session, floor, first, count: commands.length };
  } catch {
    return "refused";
  }
};

test("a leader that looks at the head of a batch only takes and refuses what those take and refuse who apply it", () =>
  fc.assert(
    fc.property(payload, fc.nat(), fc.nat(255), fc.uint8Array({ maxLength: 60 }), (one, at, byte, anything) => {
      const whole = encodePayload(one);
      const spoilt = Uint8Array.from(whole);
      spoilt[at % whole.byteLength] = byte;
      for (const bytes of [whole, spoilt, whole.subarray(0, at % whole.byteLength), anything]) {
        assert.equal(headIn(bytes), headByDecoding(bytes));
      }
    }),
    { numRuns: 1_000 },
  ));

test("a batch says when it was taken in, and all else of it stays as it was", () =>
  fc.assert(
    fc.property(payload, fc.maxSafeNat(), (one, timeMs) => {
      if (one.type !== "commands" && one.type !== "restoration") return;
      const bytes = encodePayload(one);
      stampTime(bytes, timeMs);
      assert.equal(decodePayload(bytes), { ...one, timeMs });
    }),
  ));

test("outcomes are read as they were written", () =>
  fc.assert(fc.property(fc.array(outcome), (list) => assert.equal(decodeOutcomes(encodeOutcomes(list)), list))));

test("lists are read as they were written", () =>
  fc.assert(fc.property(fc.array(bytes), (list) => assert.equal(decodeList(encodeList(list), 100), list))));

test("every truncation, and every byte too many, is refused", () =>
  fc.assert(
    fc.property(payload, fc.array(outcome), fc.array(bytes), (one, outcomes, list) => {
      refusesEveryTruncation(decodePayload, encodePayload(one));
      refusesEveryTruncation(decodeOutcomes, encodeOutcomes(outcomes));
      refusesEveryTruncation(anyList, encodeList(list));
    }),
    { numRuns: 30 },
  ));

test("any bytes are read or refused", () => {
  for (const decode of [decodePayload, decodeOutcomes, anyList]) survivesAnything(decode);
});

test("a forged count is refused before anything is made of it", () => {
  const count = 0xffffffff;
  refuses(decodePayload, new ByteWriter().u8(1).u53(1).u53(1).u53(1).u53(1).u32(count).raw(new Uint8Array(9)).finish());
  refuses(decodePayload, new ByteWriter().u8(3).u32(count).raw(new Uint8Array(99)).finish());
  refuses(decodePayload, new ByteWriter().u8(5).u53(1).u32(count).raw(new Uint8Array(99)).finish());
  refuses(decodeOutcomes, new ByteWriter().u32(count).u8(1).finish());
  refuses(anyList, new ByteWriter().u32(count).u32(0).finish());
  refuses(anyList, new ByteWriter().u32(1).u32(count).finish());
});

test("forged counts cost nobody memory or time", () => {
  // Room for as many items would take a quarter of a gigabyte each time.
  const forged = new ByteWriter().u32(30_000_000).raw(new Uint8Array(99)).finish();
  const started = performance.now();
  for (let i = 0; i < 200; i++) {
    refuses(anyList, forged);
    refuses(decodeOutcomes, forged);
    refuses(decodePayload, Buffer.concat([new Uint8Array([3]), forged]));
  }
  assert.ok(performance.now() - started < 1000);
});

test("an unknown kind is refused", () => {
  for (const kind of [0, 4, 255]) refuses(decodePayload, new Uint8Array([kind]));
  for (const kind of [4, 255]) refuses(decodeOutcomes, new ByteWriter().u32(1).u8(kind).finish());
  refuses(decodePayload, new Uint8Array(0));
});

test.run();
