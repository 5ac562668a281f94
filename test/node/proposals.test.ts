/** What was proposed is answered once: with what became of it, or with the truth that nobody knows. */

import * as assert from "uvu/assert";
import type { Answer } from "../../src/actor/index.ts";
import { type ConclaveError, hasCode, retryAfterMs } from "../../src/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { decodeOutcomes } from "../../src/machine/commands.ts";
import { Proposals } from "../../src/node/proposals.ts";
import type { NodeAnswer } from "../../src/protocol/node.ts";
import { logIndex, term } from "../../src/raft/index.ts";
import { HandClock } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const VIEW = { term: 3, leader: { id: "n2", url: "ws://127.0.0.1:7102" } };
const PAYLOAD = new Uint8Array(10);

interface Asked extends Answer<NodeAnswer> {
  readonly got: (NodeAnswer | ConclaveError)[];
}

function asked(): Asked {
  const got: (NodeAnswer | ConclaveError)[] = [];
  return { got, ok: (answer) => void got.push(answer), fail: (error) => void got.push(error) };
}

const codes = ({ got }: Asked): unknown[] => got.map((answer) => ("code" in answer ? answer.code : answer.type));
const proposals = (limits: object = {}): Proposals => new Proposals({ ...DEFAULT_LIMITS, ...limits }, new HandClock());
/** Nobody may offer another one. */
function isFull(all: Proposals): boolean {
  try {
    all.checkRoom(null);
    return false;
  } catch (error) {
    assert.ok(hasCode(error, "BUSY") && retryAfterMs(error) !== null, String(error));
    return true;
  }
}
const placed = (ticket: number, index: number, at = 1) => ({ ticket, index: logIndex(index), term: term(at) });

const test = suite("node: proposals");

test("the outcomes of an applied batch go to the one who proposed it", () => {
  const all = proposals();
  const [first, second] = [asked(), asked()];
  const tickets = [all.offer(PAYLOAD, first, null), all.offer(PAYLOAD, second, null)];
  assert.is(new Set(tickets).size, 2, "every proposal has a ticket of its own");
  all.place(placed(tickets[1] ?? 0, 6), VIEW);
  all.place(placed(tickets[0] ?? 0, 5), VIEW);
  all.applied(6, 1, { type: "outcomes", outcomes: [{ type: "gap" }] });
  assert.equal(first.got, []);
  const [answer] = second.got;
  assert.ok(answer !== undefined && "type" in answer && answer.type === "outcomes");
  assert.equal(decodeOutcomes(answer.outcomes), [{ type: "gap" }]);
  assert.is(answer.index, 6, "whoever has applied the entry shows what it did");
});

test("an opened session is answered with its number, an unknown one with SESSION_EXPIRED", () => {
  const all = proposals();
  const [opened, unknown] = [asked(), asked()];
  all.place(placed(all.offer(PAYLOAD, opened, null), 5), VIEW);
  all.place(placed(all.offer(PAYLOAD, unknown, null), 6), VIEW);
  all.applied(5, 1, { type: "session-opened", session: 5 });
  all.applied(6, 1, { type: "session-unknown" });
  assert.equal(opened.got, [{ type: "session", session: 5 }]);
  assert.equal(codes(unknown), ["SESSION_EXPIRED"]);
});

test("another leader's entry at the index means: unknown, never success", () => {
  const all = proposals();
  const proposer = asked();
  all.place(placed(all.offer(PAYLOAD, proposer, null), 5, 1), VIEW);
  all.applied(5, 2, { type: "outcomes", outcomes: [{ type: "applied", result: PAYLOAD }] });
  assert.equal(codes(proposer), ["UNKNOWN_OUTCOME"]);
});

test("leadership lost: whatever waits is told that nobody knows, and later news is for nobody", () => {
  const all = proposals();
  const proposer = asked();
  all.place(placed(all.offer(PAYLOAD, proposer, null), 5), VIEW);
  all.abandon();
  all.applied(5, 1, { type: "outcomes", outcomes: [] });
  assert.equal(codes(proposer), ["UNKNOWN_OUTCOME"]);
});

test("a node that does not lead names the one that does", () => {
  const all = proposals();
  const proposer = asked();
  all.place({ ticket: all.offer(PAYLOAD, proposer, null), refusal: "not-leader" }, VIEW);
  assert.equal(codes(proposer), ["NOT_LEADER"]);
  const [error] = proposer.got;
  assert.ok(error !== undefined && "code" in error);
  assert.equal(error.details, { view: VIEW });
});

test("while leadership is handed over, proposals are refused with BUSY, and told when to come again", () => {
  const all = proposals();
  const proposer = asked();
  all.place({ ticket: all.offer(PAYLOAD, proposer, null), refusal: "transferring" }, VIEW);
  assert.equal(codes(proposer), ["BUSY"]);
  assert.ok((retryAfterMs(proposer.got[0]) ?? 0) > 0);
});

test("the number of proposals is bounded, placed or not, until they are applied", () => {
  const all = proposals({ proposalsMax: 2 });
  const first = all.offer(PAYLOAD, asked(), null);
  all.place(placed(first, 5), VIEW);
  assert.not(isFull(all));
  all.offer(PAYLOAD, null, null);
  assert.ok(isFull(all));
  all.applied(5, 1, null);
  assert.not(isFull(all));
});

test("their bytes are bounded, and come free in every way a proposal can end", () => {
  const all = proposals({ proposalBytesMax: 10 });
  const offer = (): number => {
    assert.not(isFull(all));
    const ticket = all.offer(PAYLOAD, asked(), null);
    assert.ok(isFull(all));
    return ticket;
  };
  all.place({ ticket: offer(), refusal: "transferring" }, VIEW);
  all.place(placed(offer(), 5), VIEW);
  all.applied(5, 1, null);
  all.place(placed(offer(), 6), VIEW);
  all.applied(6, 2, null);
  all.place(placed(offer(), 7), VIEW);
  all.abandon();
  assert.not(isFull(all));
});

test("entries that others proposed, and outcomes for tickets that nobody holds, change nothing", () => {
  const all = proposals();
  all.applied(5, 1, { type: "outcomes", outcomes: [] });
  all.place(placed(99, 5), VIEW);
  assert.not(isFull(all));
});

test.run();
