/** The log in memory, by itself. */

import fc from "fast-check";
import * as assert from "uvu/assert";
import { type Entry, entryBytes, Log, logIndex, term } from "../../src/raft/index.ts";
import { suite } from "../support/suite.ts";
import { entriesOf, first } from "./messages.ts";

const test = suite("raft: Log");

const ALL = Number.POSITIVE_INFINITY;

function logOf(...terms: number[]): Log {
  const log = new Log();
  for (const entry of entriesOf(terms)) log.append(entry);
  return log;
}

const termsOf = (log: Log): (number | null)[] =>
  Array.from({ length: log.lastIndex }, (_, i) => log.termAt(logIndex(i + 1)));

test("an empty log ends at index 0 in term 0", () => {
  const log = new Log();
  assert.equal([log.lastIndex, log.lastTerm, log.cacheBytes], [0, 0, 0]);
  assert.is(log.termAt(logIndex(0)), 0);
  assert.is(log.termAt(logIndex(1)), null);
  assert.equal(log.slice(logIndex(1), ALL), []);
});

test("the term of every entry is known, in memory or not", () => {
  const log = logOf(1, 1, 4, 4, 4, 7);
  log.evict(logIndex(6), 0);

  assert.equal(termsOf(log), [1, 1, 4, 4, 4, 7]);
  assert.equal([log.lastIndex, log.lastTerm, log.termAt(logIndex(7))], [6, 7, null]);
});

test("where a term begins, and where the terms up to one end", () => {
  const log = logOf(1, 1, 4, 4, 4, 7);
  assert.equal(
    [1, 2, 3, 5, 6].map((index) => log.firstIndexOfTermAt(logIndex(index))),
    [1, 1, 3, 3, 6],
  );
  assert.equal(
    [0, 1, 2, 4, 6, 7, 8].map((value) => log.lastIndexUpToTerm(term(value))),
    [0, 2, 2, 5, 5, 6, 6],
  );
});

test("an entry at or before the end replaces that entry and all that follow", () => {
  const log = logOf(1, 1, 2, 2);
  log.append(first(entriesOf([3], 3)));

  assert.equal(termsOf(log), [1, 1, 3]);
  assert.equal(log.slice(logIndex(2), ALL), [...entriesOf([1], 2), ...entriesOf([3], 3)]);
});

test("also when what it replaces has left memory", () => {
  const log = logOf(1, 1, 2, 2);
  log.evict(logIndex(4), 0);
  log.append(first(entriesOf([3], 3)));

  assert.equal(termsOf(log), [1, 1, 3]);
  assert.equal(log.slice(logIndex(3), ALL), entriesOf([3], 3));
  assert.is(log.slice(logIndex(2), ALL), null);
});

test("a gap and a falling term are refused", () => {
  const log = logOf(1, 2);
  assert.throws(() => log.append(first(entriesOf([2], 4))), /can't follow/);
  assert.throws(() => log.append(first(entriesOf([1], 3))), /term 1 follows term 2/);
});

test("a slice is as long as its bytes allow, but never empty if there is something", () => {
  const log = logOf(1, 1, 1, 1);
  const bytes = entryBytes(first(entriesOf([1])));
  const length = (bytesMax: number) => log.slice(logIndex(2), bytesMax)?.length;

  assert.equal([0, bytes, 2 * bytes - 1, 2 * bytes, ALL].map(length), [1, 1, 1, 2, 3]);
  assert.equal(log.slice(logIndex(2), ALL, logIndex(3)), entriesOf([1, 1], 2));
  assert.equal(log.slice(logIndex(5), ALL), []);
});

test("what is evicted is the oldest, up to the index given, and only while there is too much", () => {
  const log = logOf(1, 1, 1, 1);
  const bytes = entryBytes(first(entriesOf([1])));
  log.evict(logIndex(4), 4 * bytes);
  assert.is(log.cacheBytes, 4 * bytes);
  log.evict(logIndex(4), 3 * bytes);
  assert.is(log.cacheBytes, 3 * bytes);
  log.evict(logIndex(2), 0);
  assert.is(log.cacheBytes, 2 * bytes);

  assert.is(log.slice(logIndex(2), ALL), null);
  assert.equal(log.slice(logIndex(3), ALL), entriesOf([1, 1], 3));
});

/** A log that begins behind entry 4, of term 2, and holds three entries. */
function logBehind4(...terms: number[]): Log {
  const log = new Log({ index: logIndex(4), term: term(2) });
  for (const entry of entriesOf(terms, 5)) log.append(entry);
  return log;
}

test("a log that begins behind an entry ends there while it is empty, and knows that entry's term", () => {
  const log = logBehind4();
  assert.equal([log.base, log.lastIndex, log.lastTerm], [{ index: 4, term: 2 }, 4, 2]);
  assert.equal(
    [3, 4, 5].map((index) => log.termAt(logIndex(index))),
    [null, 2, null],
  );
  assert.is(log.lastIndexUpToTerm(term(2)), 4);
  assert.is(log.lastIndexUpToTerm(term(1)), 0, "what comes before is not known");
  assert.equal(log.slice(logIndex(5), ALL), []);
});

test("what lies before the base can't be replaced, and a gap can't follow it", () => {
  for (const index of [3, 4, 6]) {
    assert.throws(() => logBehind4().append(first(entriesOf([2], index))), /can't follow/);
  }
  assert.throws(() => logBehind4().append(first(entriesOf([1], 5))), /term 1 follows term 2/);
});

test("a compacted log has the same entries behind its base, and its base for what there was before", () => {
  const log = logOf(1, 1, 4, 4, 4, 7);
  log.compact(logIndex(4));

  assert.equal([log.base, log.lastIndex, log.lastTerm], [{ index: 4, term: 4 }, 6, 7]);
  assert.equal(
    [3, 4, 5, 6].map((index) => log.termAt(logIndex(index))),
    [null, 4, 4, 7],
  );
  assert.is(log.firstIndexOfTermAt(logIndex(5)), 5, "as far back as it goes");
  assert.equal(
    [3, 4, 7].map((value) => log.lastIndexUpToTerm(term(value))),
    [0, 5, 6],
  );
  assert.is(log.slice(logIndex(4), ALL), null);
  assert.equal(log.slice(logIndex(5), ALL), entriesOf([4, 7], 5));
});

test("what is compacted leaves memory, and what has left memory can be compacted", () => {
  const log = logOf(1, 1, 1, 1);
  const bytes = log.cacheBytes / 4;
  log.compact(logIndex(1));
  assert.is(log.cacheBytes, 3 * bytes);
  log.evict(logIndex(3), 0);
  log.compact(logIndex(2));
  assert.is(log.cacheBytes, bytes);
  log.compact(logIndex(4));
  assert.equal([log.cacheBytes, log.lastIndex, log.lastTerm], [0, 4, 1]);
  log.append(first(entriesOf([2], 5)));
  assert.equal(log.slice(logIndex(5), ALL), entriesOf([2], 5));
});

test("a log is compacted no further than it goes, and never back", () => {
  const log = logOf(1, 2, 2);
  assert.throws(() => log.compact(logIndex(4)), /entry 4 is not in the log, which ends at 3/);
  log.compact(logIndex(2));
  log.compact(logIndex(1));
  assert.is(log.base.index, 2);
});

test("an entry that replaces others behind the base leaves the base", () => {
  const log = logBehind4(2, 3, 3);
  log.append(first(entriesOf([4], 5)));
  assert.equal([log.base.index, log.lastIndex, log.lastTerm, log.termAt(logIndex(6))], [4, 5, 4, null]);
});

test("a log that begins anew has nothing but its base", () => {
  const log = logOf(1, 1, 3);
  log.reset({ index: logIndex(9), term: term(5) });
  assert.equal([log.base, log.lastIndex, log.lastTerm, log.cacheBytes], [{ index: 9, term: 5 }, 9, 5, 0]);
  log.append(first(entriesOf([5], 10)));
  assert.equal(log.slice(logIndex(10), ALL), entriesOf([5], 10));
});

/** What a log is, without the cleverness. The first entries are there, but nobody may know of them. */
class Model {
  entries: Entry[] = [];
  evicted = 0;
  base = 0;

  append(entry: Entry): void {
    this.entries = [...this.entries.slice(0, entry.index - 1), entry];
    this.evicted = Math.min(this.evicted, entry.index - 1);
  }

  get cacheBytes(): number {
    return this.entries.slice(this.evicted).reduce((sum, entry) => sum + entryBytes(entry), 0);
  }

  evict(through: number, bytesMax: number): void {
    while (this.cacheBytes > bytesMax && this.evicted < Math.min(through, this.entries.length)) this.evicted++;
  }

  compact(index: number): void {
    this.base = Math.max(this.base, index);
    this.evicted = Math.max(this.evicted, index);
  }

  /** Begins behind an entry that comes so many entries after the last one. */
  reset(after: number): void {
    this.entries = [...this.entries, ...entriesOf(Array(after).fill(this.lastTerm), this.entries.length + 1)];
    this.compact(this.entries.length);
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? 0;
  }

  termAt(index: number): number | null {
    if (index < this.base) return null;
    return index === 0 ? 0 : (this.entries[index - 1]?.term ?? null);
  }

  slice(from: number, bytesMax: number, through: number): Entry[] | null {
    if (from > Math.min(through, this.entries.length)) return [];
    if (from <= this.evicted) return null;
    let bytes = 0;
    return this.entries.slice(from - 1, through).filter((entry, i) => {
      bytes += entryBytes(entry);
      return i === 0 || bytes <= bytesMax;
    });
  }
}

test("it behaves like a plain array, whatever is done to it", () => {
  const operation = fc.oneof(
    fc.record({ do: fc.constant("append" as const), back: fc.constant(0), newTerm: fc.boolean(), size: fc.nat(9) }),
    fc.record({ do: fc.constant("append" as const), back: fc.constant(0), newTerm: fc.boolean(), size: fc.nat(9) }),
    fc.record({ do: fc.constant("append" as const), back: fc.nat(6), newTerm: fc.boolean(), size: fc.nat(9) }),
    fc.record({ do: fc.constant("evict" as const), through: fc.nat(30), bytesMax: fc.nat(400) }),
    fc.record({ do: fc.constant("compact" as const), index: fc.nat(20) }),
    fc.record({ do: fc.constant("reset" as const), after: fc.nat(3) }),
  );
  const question = fc.record({ from: fc.integer({ min: 1, max: 30 }), bytesMax: fc.nat(300), through: fc.nat(30) });
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 60 }),
      fc.array(question, { maxLength: 8 }),
      (operations, questions) => {
        const log = new Log();
        const model = new Model();
        for (const operation of operations) {
          if (operation.do === "evict") {
            log.evict(logIndex(operation.through), operation.bytesMax);
            model.evict(operation.through, operation.bytesMax);
          } else if (operation.do === "compact") {
            const index = Math.min(operation.index, model.entries.length);
            log.compact(logIndex(index));
            model.compact(index);
          } else if (operation.do === "reset") {
            model.reset(operation.after);
            log.reset({ index: logIndex(model.entries.length), term: term(model.lastTerm) });
          } else {
            const index = Math.max(model.base + 1, model.entries.length + 1 - operation.back);
            const previous = model.entries[index - 2]?.term ?? 1;
            const payload = new Uint8Array(operation.size);
            const entry: Entry = {
              index: logIndex(index),
              term: term(previous + (operation.newTerm ? 1 : 0)),
              kind: 1,
              payload,
            };
            log.append(entry);
            model.append(entry);
          }
          assert.is(log.cacheBytes, model.cacheBytes);
          assert.equal([log.base.index, log.base.term], [model.base, model.termAt(model.base)]);
          assert.equal([log.lastIndex, log.lastTerm], [model.entries.length, model.lastTerm]);
        }
        const terms = model.entries.map((entry) => entry.term);
        for (let index = 0; index <= terms.length + 1; index++) {
          assert.is(log.termAt(logIndex(index)), model.termAt(index), `entry ${index}`);
          if (index <= model.base || index > terms.length) continue;
          const firstOfTerm = terms.indexOf(terms[index - 1] ?? term(0)) + 1;
          assert.is(log.firstIndexOfTermAt(logIndex(index)), Math.max(firstOfTerm, model.base + 1));
        }
        for (let value = 0; value <= 31; value++) {
          const last = terms.filter((other) => other <= value).length;
          assert.is(log.lastIndexUpToTerm(term(value)), last < model.base ? 0 : last);
        }
        for (const { from, bytesMax, through } of questions) {
          assert.equal(log.slice(logIndex(from), bytesMax, logIndex(through)), model.slice(from, bytesMax, through));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test.run();
