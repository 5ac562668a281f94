/** The check of watches finds every lie there is to tell about changes, and none where there is none. */

import * as assert from "uvu/assert";
import type { Change, Client } from "../../src/client/index.ts";
import { ConclaveError } from "../../src/errors.ts";
import { type ApplyContext, KeyValueMachine } from "../../src/machine/index.ts";
import { encodeCommand, type KeyValueCommand } from "../../src/machine/key-value-protocol.ts";
import type { TransactionCommand } from "../../src/machine/key-value-transaction.ts";
import { Watchers } from "../../src/testing/watchers.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: watchers");

const put = (key: string, value: string): KeyValueCommand => ({ op: "put", key, value });
const LOG: readonly KeyValueCommand[] = [
  put("a", "1"),
  put("b", "1"),
  { op: "append", key: "a", value: "2", valueBytesMax: 100 },
  { op: "delete", key: "none" },
  { op: "increment", key: "n", by: 3 },
  { op: "delete", key: "b" },
  { op: "cas", key: "a", expected: { value: "12" }, value: "3" },
  { op: "cas", key: "a", expected: { value: "12" }, value: "4" },
  { op: "increment", key: "b", by: 1 },
];

const CHANGES: readonly Change[] = [
  { type: "put", key: "a", value: "1", revision: 1 },
  { type: "put", key: "b", value: "1", revision: 2 },
  { type: "put", key: "a", value: "12", revision: 3 },
  { type: "put", key: "n", value: "3", revision: 4 },
  { type: "delete", key: "b", revision: 5 },
  { type: "put", key: "a", value: "3", revision: 6 },
  { type: "put", key: "b", value: "1", revision: 7 },
];
const [first, second, third, fourth, fifth, sixth, seventh] = CHANGES as [
  Change,
  Change,
  Change,
  Change,
  Change,
  Change,
  Change,
];

const compacted = (firstRevision: number): ConclaveError =>
  new ConclaveError("COMPACTED", "gone", { details: { firstRevision } });

const contextAt = (index: number): ApplyContext => ({
  index,
  position: 0,
  timeMs: 0,
  timers: { set: () => {}, clear: () => {} },
});

/** Watchers of a store, on two replicas of it, to which so much was done already. */
class Stage {
  readonly watchers = new Watchers();
  readonly #replicas = [new KeyValueMachine(), new KeyValueMachine()].map((one) => this.watchers.listenTo(one));

  do(commands: readonly (KeyValueCommand | TransactionCommand)[]): void {
    for (const replica of this.#replicas) {
      for (const [i, command] of commands.entries()) replica.apply(encodeCommand(command), contextAt(i + 1));
    }
  }

  /** Begins a watch that is told these things, one call of `watch` after the other. */
  start(prefix: string, from: number | null, ...told: readonly (readonly (Change | ConclaveError)[])[]) {
    const left = [...told];
    const asked: (number | undefined)[] = [];
    const watch = async function* (_prefix: string, { fromRevision }: { readonly fromRevision?: number } = {}) {
      asked.push(fromRevision);
      for (const one of left.shift() ?? []) {
        if (one instanceof ConclaveError) throw one;
        yield one;
      }
      throw new ConclaveError("CLOSED", "over");
    };
    const client = { watch } as unknown as Client;
    return { owe: this.watchers.start({ client, name: "c", isGone: () => false }, prefix, from), asked };
  }

  /** What is found once all was told. */
  async finding(): Promise<string | null> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    return this.watchers.finding;
  }
}

test("what was done is known, whatever the command was, and noted once for all replicas", async () => {
  const stage = new Stage();
  stage.do(LOG);
  assert.is(stage.watchers.revision, 7);
  stage.start("", 1, CHANGES);
  stage.start("a", 2, [third, sixth]);
  stage.start("b", 3, [fifth], []);
  assert.is(await stage.finding(), null);
});

const [wrongValue, wrongRevision]: readonly Change[] = [
  { type: "put", key: "b", value: "2", revision: 2 },
  { type: "put", key: "b", value: "1", revision: 3 },
];

for (const [what, prefix, told, found] of [
  ["misses a change", "", [first, third], /sees 3, and not 2 before it/],
  ["misses the first", "a", [third], /sees 3, and not 1 before it/],
  ["sees a change twice", "", [first, first], /sees 1 after 1/],
  ["sees changes out of order", "", [first, second, third, second], /sees 2 after 3/],
  ["sees another value", "", [first, wrongValue], /made was {"type":"put","key":"b","value":"1"/],
  ["sees another revision", "", [first, wrongRevision], /made was {"type":"put","key":"a"/],
  ["sees what was never made", "", [...CHANGES, { ...first, revision: 8 }], /made was undefined/],
  ["sees a change of another key", "a", [first, second], /sees {"type":"put","key":"b",.* which is none of those/],
  ["ends in an error", "", [first, new ConclaveError("BAD_MESSAGE", "no")], /fails: .*no/],
  ["is sent on where it is", "", [first, compacted(2)], /is sent on from 2 to 2 of 7/],
  ["is sent on to where nothing is", "", [first, compacted(9)], /is sent on from 2 to 9 of 7/],
] as const) {
  test(`a watch that ${what} is found`, async () => {
    const stage = new Stage();
    stage.do(LOG);
    stage.start(prefix, 1, told as readonly Change[]);
    assert.match((await stage.finding()) ?? "nothing", found);
  });
}

test("a watch that is told that changes are gone goes on with the first that is not", async () => {
  const stage = new Stage();
  stage.do(LOG);
  const { asked } = stage.start("", 1, [first, compacted(4)], [fourth, fifth]);
  assert.is(await stage.finding(), null);
  assert.equal(asked, [1, 4]);
});

/** Five changes in one step, one after it, and two that change nothing. */
const TRANSACTED: readonly (KeyValueCommand | TransactionCommand)[] = [
  put("a", "1"),
  {
    op: "transaction",
    compare: [{ key: "a", relation: "equal", value: "1" }],
    success: [
      { op: "put", key: "b", value: "2" },
      { op: "get", key: "b" },
      { op: "append", key: "a", value: "3" },
      { op: "delete", key: "none" },
      { op: "increment", key: "n", by: 4 },
    ],
    failure: [{ op: "delete", key: "a" }],
    valueBytesMax: 100,
    bytesMax: 1_000,
  },
  {
    op: "transaction",
    compare: [],
    success: [
      { op: "put", key: "c", value: "1" },
      { op: "increment", key: "a", by: 1 },
      { op: "append", key: "b", value: "0".repeat(200) },
    ],
    failure: [],
    valueBytesMax: 100,
    bytesMax: 1_000,
  },
  put("c", "2"),
];
const more = true as const;
const STEPS: readonly [Change, Change, Change, Change, Change] = [
  { type: "put", key: "a", value: "1", revision: 1 },
  { type: "put", key: "b", value: "2", revision: 2, more },
  { type: "put", key: "a", value: "13", revision: 3, more },
  { type: "put", key: "n", value: "4", revision: 4 },
  { type: "put", key: "c", value: "2", revision: 5 },
];
const [, firstStep, secondStep, lastStep] = STEPS;

test("what a transaction has changed is known, and that there is more of it only to those who are shown more", async () => {
  const stage = new Stage();
  stage.do(TRANSACTED);
  assert.is(stage.watchers.revision, 5);
  stage.start("", 1, STEPS);
  stage.start("a", 2, [{ type: "put", key: "a", value: "13", revision: 3 }]);
  stage.start("", 1, [STEPS[0], compacted(5)], [STEPS[4]]);
  assert.is(await stage.finding(), null);
});

for (const [what, prefix, told, found] of [
  ["is not told that there is more", "", [{ ...firstStep, more: undefined }], /made was .*"more":true/],
  ["is told that there is more where there is not", "n", [{ ...lastStep, more }], /sees .*"more":true/],
  ["is told of more that it is not shown", "a", [secondStep], /sees .*"more":true/],
  ["is sent on into the middle of a transaction", "", [compacted(3)], /is sent on from 2 to 3 of 5/],
] as const) {
  test(`a watch that ${what} is found`, async () => {
    const stage = new Stage();
    stage.do(TRANSACTED);
    stage.start(prefix, 2, told as readonly (Change | ConclaveError)[]);
    assert.match((await stage.finding()) ?? "nothing", found);
  });
}

for (const [what, told, found] of [
  ["with what is old", [third, fourth, fifth], /begins with 3, and 3 was past/],
  ["after what its client wrote then", [sixth, seventh], /begins with 6, and not with 5 before it/],
] as const) {
  test(`a watch of what is new that begins ${what} is found`, async () => {
    const stage = new Stage();
    stage.do(LOG.slice(0, 3));
    const { owe } = stage.start("", null, told);
    stage.do(LOG.slice(3));
    owe(5);
    assert.match((await stage.finding()) ?? "nothing", found);
  });
}

test("a watch of what is new may begin with anything that is", async () => {
  for (const told of [[fourth, fifth], [fifth, sixth], []]) {
    const stage = new Stage();
    stage.do(LOG.slice(0, 3));
    const { owe } = stage.start("", null, told);
    stage.do(LOG.slice(3));
    assert.is(await stage.finding(), null);
    owe(5);
    assert.is(await stage.finding(), null);
  }
});

test("the end waits for those who have not seen all, and for no others", async () => {
  const stage = new Stage();
  stage.do(LOG);
  stage.start("a", 1, [first, third, sixth]);
  stage.start("x", 1, []);
  stage.start("", null, []);
  await stage.finding();
  await stage.watchers.caughtUp();

  stage.start("b", 1, [second, fifth]);
  let isOver = false;
  void stage.watchers.caughtUp().then(() => {
    isOver = true;
  });
  await stage.finding();
  assert.not(isOver);
  stage.start("", 1, [second]);
  await stage.finding();
  assert.ok(isOver, "what is broken need not be waited for");
});

test.run();
