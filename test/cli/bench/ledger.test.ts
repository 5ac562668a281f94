/** The benchmark notices whatever a store may do wrong. */

import * as assert from "uvu/assert";
import { Failure } from "../../../src/cli/bench/failure.ts";
import { type Held, keyOf, Ledger } from "../../../src/cli/bench/ledger.ts";
import { Writers } from "../../../src/cli/bench/load/writers.ts";
import { suite } from "../../support/suite.ts";

const test = suite("cli: bench: ledger");

const VALUE_BYTES = 12;

/** Puts by client and key, acknowledged with these revisions. */
function ledgerOf(puts: readonly (readonly [client: number, key: number, revision: number | undefined])[]): Ledger {
  const ledger = new Ledger({ valueBytes: VALUE_BYTES });
  for (const [client, key] of puts) ledger.issue(client, key);
  for (const [put, [, , revision]] of puts.entries()) {
    if (revision !== undefined) ledger.acknowledge(put, revision);
  }
  return ledger;
}

const throwsWrong = (act: () => void, message: RegExp): void =>
  assert.throws(
    act,
    (error: unknown) => error instanceof Failure && error.code === "WRONG_ANSWER" && message.test(error.message),
  );

test("clients whose puts are mixed, each in its own order, are all right", () => {
  ledgerOf([
    [0, 1, 7],
    [1, 2, 6],
    [0, 3, 9],
    [1, 1, 8],
  ]).checkOrder();
});

test("a put that took effect before an earlier one of the same client is noticed", () => {
  const ledger = ledgerOf([
    [0, 1, 2],
    [1, 1, 3],
    [0, 2, 1],
  ]);
  throwsWrong(() => ledger.checkOrder(), /^Reordered: put 2 .* revision 1, before put 0 .* revision 2\.$/);
});

test("two puts with one revision are noticed", () => {
  const ledger = ledgerOf([
    [0, 1, 1],
    [1, 1, 1],
  ]);
  throwsWrong(() => ledger.checkOrder(), /^Two puts .* same revision, 1\.$/);
});

test("a put that took effect twice is noticed by the revision that nobody was told", () => {
  const ledger = ledgerOf([
    [0, 1, 4],
    [0, 2, 6],
  ]);
  throwsWrong(() => ledger.checkOrder(), /^Doubled: between revisions 4 and 6 /);
});

test("a put that was never acknowledged, or with no revision, is noticed", () => {
  const ledger = ledgerOf([
    [0, 1, 1],
    [0, 2, undefined],
  ]);
  throwsWrong(() => ledger.checkOrder(), /^put 1 .* never acknowledged\.$/);
  throwsWrong(() => ledger.acknowledge(1, 0), /revision 0, which is none/);
  throwsWrong(() => ledger.acknowledge(1, undefined), /which is none/);
});

test("many more puts than there was room for at first are kept", () => {
  const puts = 200_000;
  const ledger = ledgerOf(Array.from({ length: puts }, (_, i) => [i % 3, i, i + 1] as const));
  ledger.checkOrder();
  assert.is(ledger.puts, puts);
  assert.is(ledger.newest().size, puts, "each had a key of its own");
});

/** Two keys, the second of which was written twice, and not in the order of issue. */
const written = (): Ledger =>
  ledgerOf([
    [0, 1, 1],
    [0, 2, 3],
    [1, 2, 2],
  ]);

function storeOf(ledger: Ledger, held: readonly (readonly [key: number, put: number, revision: number])[]) {
  return new Map<string, Held>(
    held.map(([key, put, revision]) => [keyOf(key), { value: ledger.valueOf(put), revision }]),
  );
}

test("a store that holds the last of everything is right, whatever else it holds", () => {
  const ledger = written();
  const store = storeOf(ledger, [
    [1, 0, 1],
    [2, 1, 3],
  ]);
  store.set("another", { value: "what", revision: 99 });
  ledger.checkStore(store, 3);
});

test("a key that is gone, has an older value, another revision or another's value was lost", () => {
  const ledger = written();
  const first = [1, 0, 1] as const;
  for (const second of [[], [[2, 2, 2]], [[2, 1, 4]], [[2, 0, 3]]] as const) {
    const store = storeOf(ledger, [first, ...second]);
    throwsWrong(() => ledger.checkStore(store, 3), /^Lost: k0{14}2 holds .*, and not what put 1 .* revision 3\.$/);
  }
});

test("a store that has changed once more than anybody was told has doubled a put", () => {
  const ledger = written();
  const store = storeOf(ledger, [
    [1, 0, 1],
    [2, 1, 3],
  ]);
  throwsWrong(() => ledger.checkStore(store, 4), /^Doubled: the store is at revision 4, .* with 3:/);
});

test("keys and values are as long as they should be", () => {
  assert.is(keyOf(0).length, 16);
  const { length } = new Ledger({ valueBytes: 64 }).valueOf(123_456_789);
  assert.is(length, 64);
});

/** A store in this process, which may forget a put. */
class Store {
  readonly #entries = new Map<string, { key: string; value: string; revision: number }>();
  readonly #forgets: number;
  #revision = 0;

  constructor({ forgets = 0 }: { readonly forgets?: number } = {}) {
    this.#forgets = forgets;
  }

  async put(key: string, value: string | Uint8Array): Promise<{ revision: number }> {
    const revision = ++this.#revision;
    if (revision !== this.#forgets) this.#entries.set(key, { key, value: String(value), revision });
    return { revision };
  }

  async list(_prefix: string, { limit = 0, after = "" }: { readonly limit?: number; readonly after?: string } = {}) {
    const found = [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).filter(({ key }) => key > after);
    return { entries: found.slice(0, limit), more: found.length > limit, revision: this.#revision };
  }
}

async function write(store: Store): Promise<Writers> {
  // Large values, so that a page holds few of them.
  const writers = new Writers({ clients: [store], keys: 40, valueBytes: 200_000 });
  await writers.open();
  for (let i = 1; i < 30; i++) await writers.put(0);
  return writers;
}

test("writers read everything back, a page at a time, and miss what is not there", async () => {
  await (await write(new Store())).check();
  const writers = await write(new Store({ forgets: 25 }));
  const error = await writers.check().catch((thrown: unknown) => thrown);
  assert.instance(error, Failure);
  assert.match(String(error), /Lost: k0{13}24 holds nothing/);
});

test.run();
