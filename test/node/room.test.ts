/** Room for what waits is bounded in all, for each link, and in time; whoever finds none is told when to come again. */

import * as assert from "uvu/assert";
import { ConclaveError, retryAfterMs } from "../../src/errors.ts";
import { Room, type RoomOptions, type Stay } from "../../src/node/room.ts";
import { Unwritten } from "../../src/node/unwritten.ts";
import { EntryKind, logIndex, term } from "../../src/raft/index.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

function bench(options: Partial<RoomOptions> = {}) {
  const clock = new HandClock();
  const room = new Room({
    clock,
    what: "things",
    countMax: 16,
    bytesMax: 1_600,
    linkCountMax: 4,
    linkBytesMax: 400,
    waitMsMax: 1_000,
    ...options,
  });
  return { clock, room };
}

/** Why there is no room, or null if there is. */
function refusal(room: Pick<Room, "check">, link: object | null = null): ConclaveError | null {
  try {
    room.check(link);
    return null;
  } catch (error) {
    assert.ok(error instanceof ConclaveError && error.code === "BUSY", String(error));
    assert.ok((retryAfterMs(error) ?? 0) >= 20, "every refusal has a hint");
    assert.ok((retryAfterMs(error) ?? 0) <= 1_000, "that nobody need wait for long");
    return error;
  }
}

const hint = (room: Room): number => retryAfterMs(refusal(room)) ?? Number.NaN;

/** Goes in for as long as there is room. */
function fill(room: Room, link: object | null, bytes = 1): Stay[] {
  const stays: Stay[] = [];
  while (refusal(room, link) === null) stays.push(room.enter(link, bytes));
  return stays;
}

const test = suite("node: room");

test("so many may wait and no more, and those who leave make room", () => {
  const { room } = bench();
  const stays = fill(room, null);
  assert.is(stays.length, 16);
  const [first, second] = stays;
  if (first !== undefined) room.leave(first);
  assert.is(refusal(room), null);
  if (second !== undefined) room.giveUp(second);
  assert.is(fill(room, null).length, 2);
});

test("so many bytes, and the last to come may overshoot", () => {
  const { room } = bench();
  room.enter(null, 1_599);
  assert.is(refusal(room), null);
  room.enter(null, 5_000);
  assert.match(refusal(room)?.message ?? "", /Too many things wait on this node/);
});

test("one link takes its share, of places or of bytes, and another one finds room", () => {
  const { room } = bench();
  const [greedy, hungry, modest] = [{}, {}, {}];
  assert.is(fill(room, greedy).length, 4);
  assert.match(refusal(room, greedy)?.message ?? "", /of this connection/);
  assert.is(fill(room, hungry, 150).length, 3, "450 bytes");
  assert.is(refusal(room, modest), null);
  assert.is(refusal(room, null), null);
});

test("several who would take all with their shares leave something, and the more the longer they wait", () => {
  const { room } = bench({ countMax: 100, linkCountMax: 50, bytesMax: 1e9, linkBytesMax: 1e9 });
  const [first, second, third] = [{}, {}, {}];
  const stays = fill(room, first);
  assert.equal([stays.length, fill(room, second).length, fill(room, third).length], [50, 25, 13]);
  assert.is(refusal(room, {}), null);
  for (const stay of stays) room.leave(stay);
  assert.is(fill(room, first).length, 31, "now it gets no more than it leaves");
});

test("what a link gave back is free again, twice given back counts once, and links without anything are forgotten", () => {
  const { room } = bench();
  const link = {};
  for (let round = 0; round < 10; round++) {
    const stays = fill(room, link);
    assert.is(stays.length, 4);
    for (const stay of [...stays, ...stays]) room.leave(stay);
  }
  assert.is(fill(room, null).length, 16);
});

test("nobody is let in behind what has stood still for too long", () => {
  const { room, clock } = bench();
  const stay = room.enter(null, 1);
  clock.advance(999);
  assert.is(refusal(room), null);
  clock.advance(1);
  assert.match(refusal(room)?.message ?? "", /to be done within 1000 ms/);
  room.leave(stay);
  assert.is(refusal(room), null);
});

test("nobody is let in behind a queue that would take too long at its pace", () => {
  const { room, clock } = bench({ countMax: 1e6, bytesMax: 1e9 });
  const stays = Array.from({ length: 2_000 }, () => room.enter(null, 0));
  for (let ms = 0; ms < 150; ms++) {
    clock.advance(1);
    const stay = stays.pop();
    if (stay !== undefined) room.leave(stay);
  }
  assert.match(refusal(room)?.message ?? "", /to be done within 1000 ms/);
  while (stays.length > 900) {
    const stay = stays.pop();
    if (stay !== undefined) room.leave(stay);
  }
  assert.is(refusal(room), null);
});

test("the hint is for when a part of the queue will be gone", () => {
  const { room, clock } = bench({ waitMsMax: 800 });
  room.enter(null, 1);
  clock.advance(800);
  assert.is(hint(room), 100);
  clock.advance(200);
  assert.is(hint(room), 325, "the overdue, and an eighth of all");
  clock.advance(100_000);
  assert.is(hint(room), 1_000);
});

test("what is accepted waits for about as long as it may, under ten times the load that can be borne", () => {
  const waitMsMax = 500;
  const { room, clock } = bench({ countMax: 1e6, bytesMax: 1e9, waitMsMax });
  const queue: Stay[] = [];
  let longestMs = 0;
  let served = 0;
  for (let ms = 0; ms < 10_000; ms++) {
    clock.advance(1);
    for (let i = 0; i < 20; i++) if (refusal(room) === null) queue.push(room.enter(null, 100));
    for (const stay of queue.splice(0, 2)) {
      longestMs = Math.max(longestMs, clock.nowMs() - stay.item.sinceMs);
      served++;
      room.leave(stay);
    }
  }
  assert.is(served, 20_000, "nobody waited in vain");
  assert.ok(longestMs < 2.5 * waitMsMax, `${longestMs} ms`);
});

test("a leader's disk that hangs ends what it takes, though others commit without it", () => {
  const clock = new HandClock();
  const unwritten = new Unwritten({ proposalBytesMax: 1_000 }, clock);
  const entry = { index: logIndex(1), term: term(1), kind: EntryKind.command, payload: new Uint8Array(468) };
  unwritten.writing(1, [entry]);
  unwritten.writing(2, []);
  assert.is(refusal(unwritten), null);
  unwritten.writing(3, [entry]);
  assert.match(refusal(unwritten)?.message ?? "", /leader's disk/);
  clock.advance(60_000);
  unwritten.written(2);
  assert.is(refusal(unwritten), null, "however old, it keeps nobody waiting");
  unwritten.writing(4, [entry, entry]);
  unwritten.written(4);
  assert.is(refusal(unwritten), null);
});

test.run();
