/** The languages of the actors: what is said arrives as it was, and nonsense is refused by a throw. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import type { Codec } from "../../src/actor/index.ts";
import { packed } from "../../src/actor/index.ts";
import { clientProtocol } from "../../src/protocol/client.ts";
import { type DirectoryAnswer, type DirectoryMessage, directoryProtocol } from "../../src/protocol/directory.ts";
import { type NodeAnswer, type NodeMessage, nodeProtocol } from "../../src/protocol/node.ts";
import * as v from "../../src/shape.ts";
import { suite } from "../support/suite.ts";

const count = fc.maxSafeNat();
const name = fc.string({ minLength: 1, maxLength: 20 });
const url = fc.constantFrom("ws://127.0.0.1:7101", "wss://example.org:443");
const bytes = fc.uint8Array({ maxLength: 40 });
const leader = fc.option(fc.record({ id: name, url }), { nil: null });
const view = fc.record({ term: count, leader });
const is = <T extends string>(text: T): fc.Arbitrary<T> => fc.constant(text);
const term = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });

const wish = fc.oneof(
  fc.record({ type: is("add"), id: name, url, votes: fc.boolean(), priority: fc.integer() }),
  fc.record({ type: fc.constantFrom("remove", "promote", "demote"), id: name }),
  fc.record({ type: is("replace"), id: name, by: name, url }),
  fc.record({ type: is("prefer"), id: name, priority: fc.integer() }),
);

const NODE_MESSAGES: { readonly [T in NodeMessage["type"]]: fc.Arbitrary<NodeMessage> } = {
  raft: fc.record({ type: is("raft"), packed: bytes }),
  commands: fc.record({ type: is("commands"), batch: bytes }),
  queries: fc.record({
    type: is("queries"),
    consistency: fc.constantFrom("linearizable", "lease", "stale"),
    anywhere: fc.boolean(),
    minIndex: count,
    queries: bytes,
  }),
  "open-session": fc.record({ type: is("open-session") }),
  "keep-session": fc.record({ type: is("keep-session"), session: count }),
  poll: fc.record({ type: is("poll"), id: count, waitMs: count, query: bytes }),
  "end-poll": fc.record({ type: is("end-poll"), id: count }),
  subscribe: fc.record({ type: is("subscribe") }),
  status: fc.record({ type: is("status") }),
  recognized: fc.record({ type: is("recognized") }),
  unrecognized: fc.record({ type: is("unrecognized") }),
  join: fc.record({ type: is("join"), id: name, url, incarnation: name, wasMember: fc.boolean() }),
  "am-i-a-member": fc.record({ type: is("am-i-a-member") }),
  "not-a-member": fc.record({ type: is("not-a-member"), index: count }),
  "disk-full": fc.record({ type: is("disk-full"), isFull: fc.boolean() }),
  machines: fc.record({
    type: is("machines"),
    machines: fc.array(fc.record({ name, versions: fc.array(count, { maxLength: 3 }) }), { maxLength: 3 }),
  }),
  "state-digest": fc.record({ type: is("state-digest"), index: count, form: fc.constant("1.0"), digest: name }),
  compare: fc.record({ type: is("compare") }),
  "lend-snapshot": fc.record({ type: is("lend-snapshot"), agreedAt: count }),
  change: fc.record({ type: is("change"), wishes: fc.array(wish, { maxLength: 5 }) }),
  members: fc.record({ type: is("members") }),
  "take-snapshot": fc.record({ type: is("take-snapshot") }),
  "release-snapshot": fc.record({ type: is("release-snapshot"), index: count }),
  "read-snapshot": fc.record({ type: is("read-snapshot"), index: count, offset: count }),
  transfer: fc.record({ type: is("transfer"), to: fc.option(name, { nil: null }) }),
};

const NODE_ANSWERS: { readonly [T in NodeAnswer["type"]]: fc.Arbitrary<NodeAnswer> } = {
  outcomes: fc.record({ type: is("outcomes"), index: count, outcomes: bytes }),
  results: fc.record({ type: is("results"), index: count, results: bytes }),
  session: fc.record({ type: is("session"), session: count }),
  leader: fc.record({ type: is("leader"), view }),
  polled: fc.record({ type: is("polled"), result: fc.option(bytes, { nil: null }) }),
  done: fc.record({ type: is("done") }),
  members: fc.record({
    type: is("members"),
    members: fc.array(
      fc.record({
        id: name,
        url,
        role: fc.constantFrom("voter", "learner", "incoming", "demoting", "leaving"),
        priority: fc.integer(),
        incarnation: fc.option(name, { nil: null }),
        promotion: fc.option(fc.record({ replaces: fc.option(name, { nil: null }) }), { nil: null }),
      }),
    ),
  }),
  snapshot: fc.record({ type: is("snapshot"), index: count, total: count, origin: bytes }),
  chunks: fc.record({
    type: is("chunks"),
    bytes,
    next: fc.option(count, { nil: null }),
    total: count,
    source: name,
  }),
  status: fc.record({
    type: is("status"),
    status: fc.record({
      id: name,
      role: fc.constantFrom("newcomer", "learner", "follower", "pre-candidate", "candidate", "leader"),
      term: count,
      leader: fc.option(name, { nil: null }),
      lastIndex: count,
      commitIndex: count,
      appliedIndex: count,
      snapshotIndex: count,
      sessions: count,
      state: fc.constantFrom("sound", "disputed", "diverged"),
      lagMs: count,
      links: fc.record({ n1: fc.boolean(), n2: fc.boolean() }),
    }),
  }),
};

const member = fc.record({ name, url });
const DIRECTORY_MESSAGES: { readonly [T in DirectoryMessage["type"]]: fc.Arbitrary<DirectoryMessage> } = {
  register: fc.record({ type: is("register"), name, url }),
  unregister: fc.record({ type: is("unregister"), name }),
  "look-up": fc.record({ type: is("look-up"), name }),
  list: fc.record({ type: is("list") }),
  subscribe: fc.record({ type: is("subscribe") }),
  claim: fc.record({ type: is("claim"), term, id: name, url }),
  resign: fc.record({ type: is("resign"), term, id: name }),
  members: fc.record({ type: is("members"), index: term, members: fc.array(member, { maxLength: 5 }) }),
};

const DIRECTORY_ANSWERS: { readonly [T in DirectoryAnswer["type"]]: fc.Arbitrary<DirectoryAnswer> } = {
  done: fc.record({ type: is("done") }),
  member: fc.record({ type: is("member"), member: fc.option(member, { nil: null }) }),
  members: fc.record({ type: is("members"), members: fc.array(member, { maxLength: 3 }) }),
  leader: fc.record({ type: is("leader"), view }),
};

const anyOf = <T>(all: Readonly<Record<string, fc.Arbitrary<T>>>): fc.Arbitrary<T> => fc.oneof(...Object.values(all));

const test = suite("protocol");

/** Records with and without a prototype are told apart by uvu; what arrives is plain either way. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_key, inner) => (inner instanceof Uint8Array ? [...inner] : inner)));

function language<T>(what: string, codec: Codec<T>, value: fc.Arbitrary<T>): void {
  test(`${what} arrive as they were`, () =>
    fc.assert(fc.property(value, (sent) => assert.equal(plain(codec.decode(codec.encode(sent))), plain(sent)))));

  test(`nonsense among ${what} is refused by a throw, never taken for more than it is`, () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (nonsense) => {
        try {
          const taken = codec.decode(nonsense);
          assert.equal(plain(codec.decode(codec.encode(taken))), plain(taken));
        } catch (error) {
          assert.ok(error instanceof Error && error.constructor.name !== "Assertion", String(error));
        }
      }),
      { numRuns: 500 },
    ));
}

language("messages to a node", nodeProtocol.message, anyOf(NODE_MESSAGES));
language("answers of a node", nodeProtocol.answer, anyOf(NODE_ANSWERS));
language("messages to a directory", directoryProtocol.message, anyOf(DIRECTORY_MESSAGES));
language("answers of a directory", directoryProtocol.answer, anyOf(DIRECTORY_ANSWERS));
language("messages to a client", clientProtocol.message, fc.record({ type: is("leader"), view }));

const anything = packed(v.unknown());
const control = (value: unknown): Uint8Array => Uint8Array.of(0, ...anything.encode(value));

for (const [what, message] of [
  ["a session that is no number", { type: "keep-session", session: "1" }],
  ["a negative session", { type: "keep-session", session: -1 }],
  ["a message of no type", {}],
  ["a message that comes only packed", { type: "commands", batch: new Uint8Array(0) }],
  ["a question that is no bytes", { type: "poll", id: 1, waitMs: 1, query: "k" }],
  ["no object", 7],
] as const) {
  test(`a node does not take ${what}`, () => assert.throws(() => nodeProtocol.message.decode(control(message))));
}

test("a node does not take an empty message, nor one of an unknown kind", () => {
  assert.throws(() => nodeProtocol.message.decode(new Uint8Array(0)));
  assert.throws(() => nodeProtocol.message.decode(Uint8Array.of(99)));
});

test("what a message carries beside its fields is dropped", () => {
  const decoded = nodeProtocol.message.decode(control({ type: "status", extra: 1 }));
  assert.equal(plain(decoded), { type: "status" });
});

test("a leader's address that is none is refused: whoever is told of it would stumble over it", () => {
  const nowhere = { type: "leader" as const, view: { term: 1, leader: { id: "n1", url: "not an address" } } };
  assert.throws(() => clientProtocol.message.decode(clientProtocol.message.encode(nowhere)));
});

test("a client answers no questions", () => assert.throws(() => clientProtocol.answer.decode(new Uint8Array(0))));

test.run();
