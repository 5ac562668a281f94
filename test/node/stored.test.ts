/** What a node starts from: its newest snapshot, and of its log what leads on from there. */

import fc from "fast-check";
import * as assert from "uvu/assert";
import { Recovery } from "../../src/node/stored.ts";
import { EntryKind, encodeConfiguration, logIndex, NOBODY, type Snapshot, term } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("node: recovery");

const snapshotAt = (index: number, lastTerm: number): Snapshot => ({
  index: logIndex(index),
  term: term(lastTerm),
  configuration: NOBODY,
});

const entry = (
  index: number,
  entryTerm: number,
  kind: number = EntryKind.noop,
  payload: Uint8Array = new Uint8Array(0),
) => ({
  index,
  term: entryTerm,
  kind,
  payload,
});

/** The terms of what is recovered behind the snapshot. */
function termsOf({ recovered }: Recovery): number[] {
  const { log } = recovered;
  const { index } = log.base;
  return Array.from({ length: log.lastIndex - index }, (_, i) => log.termAt(logIndex(index + 1 + i)) ?? -1);
}

/** A recovery of a log that begins at its beginning. */
function recoveryOf(snapshot: Snapshot): Recovery {
  const recovery = new Recovery(snapshot, 1_000_000);
  recovery.base(0, 0);
  return recovery;
}

test("a log that leads up to the snapshot is gone on with behind it", () => {
  const recovery = recoveryOf(snapshotAt(3, 2));
  for (const [i, of] of [1, 1, 2, 2, 2].entries()) recovery.entry(entry(i + 1, of));
  assert.equal(termsOf(recovery), [2, 2]);
  assert.is(recovery.recovered.needsReset, false);
});

test("what the log held before it began anew behind a received snapshot is void, whatever its terms", () => {
  const recovery = recoveryOf(snapshotAt(5, 4));
  for (let index = 1; index <= 7; index++) recovery.entry(entry(index, 3));
  recovery.reset(5, 4);
  recovery.entry(entry(6, 4));
  assert.equal(termsOf(recovery), [4]);
  assert.is(recovery.recovered.needsReset, false);
});

test("a crash after the snapshot was durable and before the log began anew: the log has to begin anew", () => {
  const recovery = recoveryOf(snapshotAt(5, 4));
  for (let index = 1; index <= 7; index++) recovery.entry(entry(index, 3));
  assert.equal(termsOf(recovery), []);
  assert.is(recovery.recovered.needsReset, true);
});

test("a log that ends before the snapshot has to begin anew behind it", () => {
  const recovery = recoveryOf(snapshotAt(5, 1));
  for (let index = 1; index <= 3; index++) recovery.entry(entry(index, 1));
  assert.is(recovery.recovered.needsReset, true);
  assert.is(recovery.recovered.log.lastIndex, 5);
});

test("a log that was compacted begins behind its base, and a gap up to the snapshot is none of its own", () => {
  const recovery = new Recovery(snapshotAt(5, 2), 1_000_000);
  recovery.base(4, 2);
  recovery.entry(entry(5, 2));
  recovery.entry(entry(6, 2));
  assert.equal(termsOf(recovery), [2]);
  const missing = new Recovery(snapshotAt(3, 2), 1_000_000);
  assert.throws(() => missing.base(4, 2), /the newest snapshot ends with entry 3/);
});

test("configurations come back with the entries that hold them, and go with those that were replaced", () => {
  const payload = encodeConfiguration(NOBODY);
  const recovery = recoveryOf(snapshotAt(0, 0));
  recovery.entry(entry(1, 1));
  recovery.entry(entry(2, 1, EntryKind.configuration, payload));
  recovery.entry(entry(3, 1, EntryKind.configuration, payload));
  recovery.entry(entry(3, 2));
  assert.equal(
    recovery.recovered.configurations.map(({ index }) => index),
    [2],
  );
});

test("whatever was written, replaced and begun anew: what is recovered is what was valid in the end", () => {
  const step = fc.record({ back: fc.nat(3), count: fc.integer({ min: 1, max: 4 }), isReset: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      // The log as it was, behind the last snapshot that it began anew behind.
      let base = { index: 0, term: 0 };
      let valid: number[] = [];
      const records: ((recovery: Recovery) => void)[] = [];
      for (const [i, { back, count, isReset }] of steps.entries()) {
        const now = i + 1;
        if (isReset) {
          base = { index: base.index + valid.length + count, term: now };
          valid = [];
          const { index } = base;
          records.push((recovery) => recovery.reset(index, now));
          continue;
        }
        valid = valid.slice(0, Math.max(0, valid.length - back));
        for (let n = 0; n < count; n++) {
          valid.push(now);
          const index = base.index + valid.length;
          records.push((recovery) => recovery.entry(entry(index, now)));
        }
      }
      const recovery = recoveryOf(snapshotAt(base.index, base.term));
      for (const record of records) record(recovery);
      assert.equal(termsOf(recovery), valid);
      assert.is(recovery.recovered.needsReset, false);
    }),
  );
});

test.run();
