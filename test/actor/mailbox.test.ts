import * as assert from "uvu/assert";
import { Mailbox } from "../../src/actor/mailbox.ts";
import { HandClock, turns } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("actor/mailbox");

/** A mailbox of numbers whose turns are made by hand. */
function mailbox(capacity = 100, handle?: (batch: readonly number[]) => void | Promise<void>) {
  const clock = new HandClock();
  const batches: (readonly number[])[] = [];
  const box = new Mailbox<number>(clock, capacity, (batch) => {
    batches.push(batch);
    return handle?.(batch);
  });
  return { clock, batches, box };
}

test("what arrives in one turn is one batch, in order", () => {
  const { clock, batches, box } = mailbox();
  for (const value of [1, 2, 3]) assert.is(box.put(value), true);
  assert.equal(batches, [], "nothing is handled within the turn");
  clock.turn();
  assert.equal(batches, [[1, 2, 3]]);
  box.put(4);
  clock.turn();
  clock.turn();
  assert.equal(batches, [[1, 2, 3], [4]]);
});

test("what a handler puts into its own mailbox is the next batch, in another turn", () => {
  const { clock, batches, box } = mailbox(100, (batch) => {
    if (batch[0] === 1) box.put(2);
  });
  box.put(1);
  clock.turn();
  assert.equal(batches, [[1]]);
  clock.turn();
  assert.equal(batches, [[1], [2]]);
});

test("while a batch is being handled the next one gathers", async () => {
  const gate = Promise.withResolvers<void>();
  const { clock, batches, box } = mailbox(100, (batch) => (batch[0] === 1 ? gate.promise : undefined));
  box.put(1);
  clock.turn();
  for (const value of [2, 3]) {
    box.put(value);
    clock.turn();
  }
  await turns();
  clock.turn();
  assert.equal(batches, [[1]]);
  gate.resolve();
  await turns();
  clock.turn();
  assert.equal(batches, [[1], [2, 3]]);
});

test("a full mailbox takes nothing more, until it is emptied", () => {
  const { clock, batches, box } = mailbox(2);
  assert.equal(
    [1, 2, 3].map((value) => box.put(value)),
    [true, true, false],
  );
  clock.turn();
  assert.is(box.put(4), true);
  clock.turn();
  assert.equal(batches, [[1, 2], [4]]);
});

test("one who floods it takes a part of what is free, and there is room for others", () => {
  const { clock, batches, box } = mailbox(16);
  const [greedy, greedier, modest] = [{}, {}, {}];
  const taken = (sender: object): number => {
    let count = 0;
    while (box.put(1, sender)) count++;
    return count;
  };
  assert.is(taken(greedy), 2);
  assert.is(taken(greedier), 2);
  assert.is(box.put(2, modest), true);
  clock.turn();
  assert.equal(batches, [[1, 1, 1, 1, 2]]);
  assert.is(taken(greedy), 2, "what was handled counts no more");
});

test("what one sender may not take, the process itself may", () => {
  const { box } = mailbox(2);
  const greedy = {};
  assert.equal([box.put(1, greedy), box.put(2, greedy), box.put(3)], [true, false, true]);
  assert.is(box.put(4), false, "up to the bound");
});

test("the bound holds while a batch is being handled", async () => {
  const { clock, box } = mailbox(2, () => new Promise(() => {}));
  box.put(1);
  clock.turn();
  assert.equal(
    [2, 3, 4].map((value) => box.put(value)),
    [true, true, false],
  );
});

test("the process's own word is never refused for lack of room", () => {
  const { clock, batches, box } = mailbox(1);
  box.put(1);
  box.putOwn(2);
  assert.is(box.put(3), false);
  clock.turn();
  assert.equal(batches, [[1, 2]]);
});

test("a closed mailbox handles nothing and takes nothing", () => {
  const { clock, batches, box } = mailbox();
  box.put(1);
  box.close();
  assert.is(box.put(2), false);
  box.putOwn(3);
  clock.turn();
  assert.equal(batches, []);
});

test("a mailbox closed during a batch handles no further one", async () => {
  const gate = Promise.withResolvers<void>();
  const { clock, batches, box } = mailbox(100, () => gate.promise);
  box.put(1);
  clock.turn();
  box.put(2);
  box.close();
  gate.resolve();
  await turns();
  clock.turn();
  assert.equal(batches, [[1]]);
});

test.run();
