/** The leader's watch over sessions: held ones live, idle ones are proposed for expiry. */

import * as assert from "uvu/assert";
import type { Peer } from "../../src/actor/index.ts";
import { encodePayload } from "../../src/machine/commands.ts";
import { KeyValueMachine, Replica } from "../../src/machine/index.ts";
import { SessionKeeper } from "../../src/node/session-keeper.ts";
import { suite } from "../support/suite.ts";

const TIMEOUT_MS = 1_000;

const peer = (name: string): Peer => ({
  hello: { protocol: 1, cluster: "test", process: name, name, incarnation: name, epoch: null, url: null },
  bufferedBytes: 0,
  ref: () => {
    throw new Error("nobody is called here");
  },
});

/** A replica with sessions 1, 2, 3, … */
function world(sessions: number): { readonly replica: Replica; readonly keeper: SessionKeeper } {
  const replica = new Replica(new KeyValueMachine(), () => {});
  for (let index = 1; index <= sessions; index++) replica.apply(index, encodePayload({ type: "open-session" }));
  return { replica, keeper: new SessionKeeper(replica, TIMEOUT_MS) };
}

const idle = (keeper: SessionKeeper, nowMs: number): number[] => keeper.idle(nowMs).map(({ id }) => id);

const test = suite("node: session keeper");

test("a session that a link holds never expires", () => {
  const { keeper } = world(1);
  keeper.hold(1, peer("a"));
  for (let nowMs = 0; nowMs < 10 * TIMEOUT_MS; nowMs += TIMEOUT_MS / 4) assert.equal(idle(keeper, nowMs), []);
});

test("a session without a link expires once its time is over, and not before", () => {
  const { keeper } = world(1);
  const link = peer("a");
  keeper.hold(1, link);
  keeper.linkLost(link, 5_000);
  assert.equal(idle(keeper, 5_000 + TIMEOUT_MS - 1), []);
  assert.equal(keeper.idle(5_000 + TIMEOUT_MS), [{ id: 1, next: 1 }]);
});

test("a session that nobody ever held has its full time from when the leader first looks", () => {
  const { keeper } = world(1);
  assert.equal(idle(keeper, 7_000), []);
  assert.equal(idle(keeper, 7_000 + TIMEOUT_MS - 1), []);
  assert.equal(idle(keeper, 7_000 + TIMEOUT_MS), [1]);
});

test("a new leader gives everyone the full time again", () => {
  const { keeper } = world(1);
  assert.equal(idle(keeper, 0), []);
  keeper.restart();
  assert.equal(idle(keeper, TIMEOUT_MS), []);
  assert.equal(idle(keeper, 2 * TIMEOUT_MS - 1), []);
  assert.equal(idle(keeper, 2 * TIMEOUT_MS), [1]);
});

test("a session that moved to another link is not ended by the loss of the first", () => {
  const { keeper } = world(1);
  const [first, second] = [peer("a"), peer("b")];
  keeper.hold(1, first);
  keeper.hold(1, second);
  keeper.linkLost(first, 0);
  assert.equal(idle(keeper, 5 * TIMEOUT_MS), []);
  keeper.linkLost(second, 5 * TIMEOUT_MS);
  assert.equal(idle(keeper, 6 * TIMEOUT_MS), [1]);
});

test("one link may hold several sessions, and all of them are idle without it", () => {
  const { keeper } = world(3);
  const link = peer("a");
  for (const session of [1, 2, 3]) keeper.hold(session, link);
  keeper.linkLost(link, 0);
  assert.equal(idle(keeper, TIMEOUT_MS), [1, 2, 3]);
});

test("a session that is held again in time starts anew", () => {
  const { keeper } = world(1);
  const [before, after] = [peer("a"), peer("b")];
  keeper.hold(1, before);
  keeper.linkLost(before, 0);
  assert.equal(idle(keeper, TIMEOUT_MS - 1), []);
  keeper.hold(1, after);
  assert.equal(idle(keeper, 2 * TIMEOUT_MS), []);
});

test("a link has to be watched from its first session on, once", () => {
  const { keeper } = world(2);
  const link = peer("a");
  assert.not(keeper.hold(1, link), "it was not known");
  assert.ok(keeper.hold(1, link));
  assert.ok(keeper.hold(2, link));
  keeper.linkLost(link, 0);
  assert.not(keeper.hold(1, link), "it has to be watched again");
});

test("what the session was up to goes with the proposal, so that one in use is not ended", () => {
  const { keeper, replica } = world(1);
  replica.apply(2, encodePayload({ type: "commands", session: 1, floor: 1, first: 1, commands: [new Uint8Array(0)] }));
  keeper.idle(0);
  assert.equal(keeper.idle(TIMEOUT_MS), [{ id: 1, next: 2 }]);
});

test("what strangers claim to hold is forgotten with their links, and what has ended with the next look", () => {
  const { replica, keeper } = world(1);
  for (let i = 0; i < 100; i++) {
    const stranger = peer(`stranger ${i}`);
    keeper.hold(1_000 + i, stranger);
    keeper.linkLost(stranger, 0);
  }
  assert.is(keeper.size, 0);
  const client = peer("client");
  keeper.hold(1, client);
  keeper.hold(2, client); // Perhaps on its way through the log.
  assert.is(keeper.size, 2);
  replica.apply(2, null);
  keeper.idle(0);
  assert.is(keeper.size, 1, "entry 2 opened no session");
});

test("one proposal ends at most a thousand sessions; the next takes the rest", () => {
  const { keeper } = world(1_500);
  keeper.idle(0);
  assert.is(idle(keeper, TIMEOUT_MS).length, 1_000);
});

test.run();
