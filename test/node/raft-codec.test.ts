/** Raft messages as bytes: what is sent arrives as it was, and what nobody could have sent is refused. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { decodeMessage, encodeMessage } from "../../src/node/raft-codec.ts";
import { type Entry, EntryKind, logIndex, type Message, term } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";

const number = fc.oneof(fc.nat(10), fc.maxSafeNat());
const index = number.map(logIndex);
const aTerm = number.map(term);

/** Entries with terms from the previous entry's up to the sender's, one after the other. */
const appendRequest = fc
  .record({
    terms: fc.array(fc.nat(5), { maxLength: 6 }),
    payloads: fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 6, maxLength: 6 }),
    prevLogIndex: fc.oneof(fc.nat(10), fc.nat(Number.MAX_SAFE_INTEGER - 10)),
    leaderCommit: index,
    start: fc.oneof(fc.nat(10), fc.nat(Number.MAX_SAFE_INTEGER - 100)),
  })
  .map(({ terms, payloads, prevLogIndex, leaderCommit, start }): Message => {
    const rising = terms.toSorted((a, b) => a - b).map((step) => start + step);
    const entries = rising.map(
      (entryTerm, i): Entry => ({
        index: logIndex(prevLogIndex + 1 + i),
        term: term(entryTerm),
        kind: (i % 2) as EntryKind,
        payload: payloads[i] ?? new Uint8Array(0),
      }),
    );
    return {
      type: "append-request",
      term: term(start + 6),
      prevLogIndex: logIndex(prevLogIndex),
      prevLogTerm: term(start),
      leaderCommit,
      entries,
    };
  });

const refusal = fc.constantFrom(null, "leader-is-alive", "voted-for-another", "log-behind", "term-behind" as const);

/** Every kind of message; the type sees to it that none is forgotten. */
const MESSAGES: { readonly [Type in Message["type"]]: fc.Arbitrary<Message> } = {
  "vote-request": fc.record({
    type: fc.constant("vote-request"),
    term: aTerm,
    preVote: fc.boolean(),
    transfer: fc.boolean(),
    lastLogIndex: index,
    lastLogTerm: fc.constant(term(0)),
  }),
  "vote-response": fc.record({ type: fc.constant("vote-response"), term: aTerm, preVote: fc.boolean(), refusal }),
  "append-request": appendRequest,
  "append-accepted": fc.record({ type: fc.constant("append-accepted"), term: aTerm, matchIndex: index }),
  "append-rejected": fc.record({
    type: fc.constant("append-rejected"),
    term: aTerm,
    prevLogIndex: index,
    conflictTerm: aTerm,
    conflictIndex: index,
  }),
  "heartbeat-request": fc.record({
    type: fc.constant("heartbeat-request"),
    term: aTerm,
    round: number,
    commitIndex: index,
  }),
  "heartbeat-response": fc.record({ type: fc.constant("heartbeat-response"), term: aTerm, round: number }),
  "timeout-now": fc.record({ type: fc.constant("timeout-now"), term: aTerm }),
  "snapshot-offer": fc.record({
    type: fc.constant("snapshot-offer"),
    term: aTerm,
    lastIndex: index.map((last) => logIndex(Math.max(1, last))),
    lastTerm: fc.constant(term(0)),
  }),
  "read-request": fc.record({ type: fc.constant("read-request"), term: aTerm, id: number }),
  "read-response": fc.record({ type: fc.constant("read-response"), term: aTerm, id: number, index }),
};
const anyMessage = fc.oneof(...Object.values(MESSAGES));

function refused(bytes: Uint8Array, why?: RegExp): void {
  try {
    decodeMessage(bytes);
  } catch (error) {
    assert.ok(error instanceof RangeError, `threw ${error}`);
    if (why !== undefined) assert.match(error.message, why);
    return;
  }
  throw new Error("the bytes were taken for a message");
}

const append = (messageTerm: number, prevLogTerm: number, terms: readonly number[]): Uint8Array =>
  encodeMessage({
    type: "append-request",
    term: term(messageTerm),
    prevLogIndex: logIndex(4),
    prevLogTerm: term(prevLogTerm),
    leaderCommit: logIndex(4),
    entries: terms.map((entryTerm, i) => ({
      index: logIndex(5 + i),
      term: term(entryTerm),
      kind: 1,
      payload: Uint8Array.of(i),
    })),
  });

const test = suite("node: raft codec");

for (const [type, message] of Object.entries(MESSAGES)) {
  test(`${type} arrives as it was sent`, () =>
    fc.assert(fc.property(message, (sent) => assert.equal(decodeMessage(encodeMessage(sent)), { ...sent }))));
}

test("every truncation is refused, whatever the message", () =>
  fc.assert(
    fc.property(anyMessage, (message) => {
      const bytes = encodeMessage(message);
      for (let length = 0; length < bytes.byteLength; length++) refused(bytes.subarray(0, length));
    }),
  ));

test("a byte too many is refused, whatever the message", () =>
  fc.assert(fc.property(anyMessage, (message) => refused(Uint8Array.of(...encodeMessage(message), 0)))));

test("random bytes are refused, or are a message; nothing else happens", () =>
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        const message = decodeMessage(bytes);
        assert.equal(decodeMessage(encodeMessage(message)), message);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 2_000 },
  ));

test("a flipped bit never does more than give another message, or be refused", () =>
  fc.assert(
    fc.property(anyMessage, fc.nat(), (message, where) => {
      const bytes = Uint8Array.from(encodeMessage(message));
      const at = where % (bytes.byteLength * 8);
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
      try {
        decodeMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 500 },
  ));

test("entries whose terms fall are refused", () => refused(append(9, 1, [3, 2]), /out of order/));

test("entries older than the one before them are refused", () => refused(append(9, 5, [4]), /out of order/));

test("entries newer than their sender are refused", () => refused(append(3, 1, [4]), /out of order/));

test("a previous entry newer than its sender is refused", () => refused(append(3, 4, [])));

test("an entry of an unknown kind is refused", () => {
  const bytes = append(9, 1, [2]);
  const kindAt = 1 + 8 + 8 + 8 + 8 + 4 + 8;
  assert.is(bytes[kindAt], 1);
  bytes[kindAt] = 3;
  refused(bytes, /unknown kind/);
});

test("an entry that should hold the members and holds none is refused", () => {
  const bytes = append(9, 1, [2]);
  bytes[1 + 8 + 8 + 8 + 8 + 4 + 8] = EntryKind.configuration;
  refused(bytes, /configuration/);
});

test("a count that the bytes can't hold is refused before anything is allocated", () => {
  const bytes = append(9, 1, []);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(33, 0xffff_ffff, true);
  refused(bytes, /end too early/);
});

test("a number past the safe integers is refused", () => {
  const bytes = encodeMessage({ type: "timeout-now", term: term(1) });
  bytes[7] = 0x20;
  refused(bytes, /safe integers/);
});

test("an index past the safe integers can't be reached by counting entries", () => {
  const bytes = append(9, 1, [2]);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  view.setUint32(9, 0xffff_ffff, true);
  view.setUint32(13, 0x1f_ffff, true);
  refused(bytes);
});

test.run();
