/** The language of a node actor, all of it. */

import { type Codec, type Protocol, packed } from "../actor/index.ts";
import { ByteReader, ByteWriter } from "../bytes.ts";
import * as v from "../shape.ts";
import {
  ANYWHERE,
  askingNode,
  bytes,
  CONSISTENCIES,
  type Consistency,
  count,
  type NodeAnswer,
  name,
  packedAnswer,
  priority,
  Tag,
  tagged,
} from "./asking-node.ts";
import { address } from "./leader.ts";

export {
  type Consistency,
  type MemberView,
  NODE_ACTOR,
  type NodeAnswer,
  type NodeStatus,
  QUERIES_MAX,
} from "./asking-node.ts";

/**
 * A server of the cluster, by name and address.
 *
 * @example
 * ```ts
 * import type { Member } from "conclave";
 *
 * const members: readonly Member[] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host, i) => ({
 *   id: `n${i + 1}`,
 *   url: `ws://${host}:7101`,
 * }));
 * ```
 */
export interface Member {
  readonly id: string;
  readonly url: string;
}

const incarnation = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
const digest = v.pipe(v.string(), v.minLength(1), v.maxLength(64));

/**
 * What may be wished of the members. A change may hold several wishes, which then come true together.
 *
 * @example
 * ```ts
 * import type { MemberWish } from "conclave/client";
 *
 * const wish: MemberWish = { type: "prefer", id: "n2", priority: 1 };
 * await cluster.client.change([wish]);
 * ```
 */
export type MemberWish =
  /** A new member, which votes once it keeps up if it is to vote. */
  | {
      readonly type: "add";
      readonly id: string;
      readonly url: string;
      readonly votes: boolean;
      readonly priority: number;
    }
  | { readonly type: "remove"; readonly id: string }
  /** A learner is to vote, once it keeps up. */
  | { readonly type: "promote"; readonly id: string }
  /** A voter becomes a learner. */
  | { readonly type: "demote"; readonly id: string }
  /** A new member takes the place of another one, once it keeps up. */
  | { readonly type: "replace"; readonly id: string; readonly by: string; readonly url: string }
  /** Of two that could lead, the one with the higher priority is preferred. */
  | { readonly type: "prefer"; readonly id: string; readonly priority: number };

const wishSchema: v.Shape<MemberWish> = v.variant("type", [
  v.object({ type: v.literal("add"), id: name, url: address, votes: v.boolean(), priority }),
  v.object({ type: v.literal("remove"), id: name }),
  v.object({ type: v.literal("promote"), id: name }),
  v.object({ type: v.literal("demote"), id: name }),
  v.object({ type: v.literal("replace"), id: name, by: name, url: address }),
  v.object({ type: v.literal("prefer"), id: name, priority }),
]);

/** How many wishes a change may hold. */
/** How many machines may share a log, and how far back their versions may go. */
const MACHINES_MAX = 1_000;
const VERSIONS_MAX = 1_000;
const WISHES_MAX = 64;

const controlSchema = v.variant("type", [
  /** Opens a session for commands. */
  v.object({ type: v.literal("open-session") }),
  /** "I am still here": the session is kept for as long as this link stands. */
  v.object({ type: v.literal("keep-session"), session: count }),
  /** A question to the state machine that may wait for its answer, at most so long. */
  v.object({ type: v.literal("poll"), id: count, waitMs: count, query: bytes }),
  /** The answer to that question is not wanted any more. */
  v.object({ type: v.literal("end-poll"), id: count }),
  /** Answers who leads, as far as this node knows, and from then on tells the sender of every new leader. */
  v.object({ type: v.literal("subscribe") }),
  v.object({ type: v.literal("status") }),
  /** "I have taken note of you, for ever": from one member to another, once their link stands. */
  v.object({ type: v.literal("recognized") }),
  /** "I know another one by your name": whoever has lost its disk has to join anew. */
  v.object({ type: v.literal("unrecognized") }),
  /**
   * From a node that is new, was moved, or has lost its disk: takes it in as a learner that votes once it keeps up. One
   * that was a member before on the disk that it has now is not taken in as a new one.
   */
  v.object({ type: v.literal("join"), id: name, url: address, incarnation, wasMember: v.boolean() }),
  /** "Am I still a member?", from one that hears no leader. */
  v.object({ type: v.literal("am-i-a-member") }),
  /** "You are not, since entry `index`." */
  v.object({ type: v.literal("not-a-member"), index: count }),
  /** "My disk is full", or has room again: from one node to the others. */
  v.object({ type: v.literal("disk-full"), isFull: v.boolean() }),
  /** "These are the machines that I can run, and in which versions": from one node to another, once their link stands. */
  v.object({
    type: v.literal("machines"),
    machines: v.pipe(
      v.array(v.object({ name, versions: v.pipe(v.array(count), v.maxLength(VERSIONS_MAX)) })),
      v.maxLength(MACHINES_MAX),
    ),
  }),
  /** "This is what my state at entry `index` comes to": from one member to another. Of another form, it says nothing. */
  v.object({ type: v.literal("state-digest"), index: count, form: v.pipe(v.string(), v.maxLength(32)), digest }),
  /** Has the members compare their states; answers once the leader has come to the entry at which they do. */
  v.object({ type: v.literal("compare") }),
  /**
   * From a member whose state is wrong, to one that has agreed with the majority at entry `agreedAt` or a later one: takes
   * a snapshot, and keeps it like one for a backup.
   */
  v.object({ type: v.literal("lend-snapshot"), agreedAt: count }),
  /** Changes the members, and answers once the change is through. */
  v.object({ type: v.literal("change"), wishes: v.pipe(v.array(wishSchema), v.maxLength(WISHES_MAX)) }),
  v.object({ type: v.literal("members") }),
  /** From a client: takes a snapshot of all that was acknowledged before, and keeps it for as long as it is drawn. */
  v.object({ type: v.literal("take-snapshot") }),
  /** It need not be kept any longer. */
  v.object({ type: v.literal("release-snapshot"), index: count }),
  /** Some of the snapshot that ends at entry `index`, from a place between two of its chunks on. */
  v.object({ type: v.literal("read-snapshot"), index: count, offset: count }),
  /** Hands leadership over, to a node of the leader's choice if `to` is null. */
  v.object({ type: v.literal("transfer"), to: v.nullable(v.string()) }),
]);

export type NodeMessage =
  /** A message of the Raft protocol, packed; from members only. */
  | { readonly type: "raft"; readonly packed: Uint8Array }
  /** A batch of commands, as `machine/commands.ts` encodes it. */
  | { readonly type: "commands"; readonly batch: Uint8Array }
  /** A list of queries, as `machine/commands.ts` encodes it. */
  | {
      readonly type: "queries";
      readonly consistency: Consistency;
      /** Any node may answer, which may have to ask the leader first; otherwise only the leader does. */
      readonly anywhere: boolean;
      /** For a stale read: a node that has applied less than this waits until it has, or refuses. */
      readonly minIndex: number;
      readonly queries: Uint8Array;
    }
  | v.InferOutput<typeof controlSchema>;

const control = packed(controlSchema);

/** With a log index before the bytes. */
const indexed = (tag: number, index: number, bytes: Uint8Array): Uint8Array =>
  new ByteWriter(9 + bytes.byteLength).u8(tag).u53(index).raw(bytes).finish();

const messageCodec: Codec<NodeMessage> = {
  encode: askingNode.message.encode,
  decode: (bytes) => {
    const rest = bytes.subarray(1);
    switch (bytes[0]) {
      case Tag.raft:
        return { type: "raft", packed: rest };
      case Tag.commands:
        return { type: "commands", batch: rest };
      case Tag.queries: {
        const reader = new ByteReader(rest);
        const flags = reader.u8();
        const consistency = CONSISTENCIES[flags & ~ANYWHERE];
        if (consistency === undefined) throw new RangeError("a consistency of an unknown kind");
        const anywhere = (flags & ANYWHERE) !== 0;
        return {
          type: "queries",
          consistency,
          anywhere,
          minIndex: reader.u53(),
          queries: reader.raw(reader.remaining),
        };
      }
      case Tag.control:
        return control.decode(rest);
      default:
        throw new RangeError(`a message of kind ${bytes[0]} is not known`);
    }
  },
};

const answerCodec: Codec<NodeAnswer> = {
  encode: (answer) => {
    switch (answer.type) {
      case "outcomes":
        return indexed(Tag.outcomes, answer.index, answer.outcomes);
      case "results":
        return indexed(Tag.results, answer.index, answer.results);
      default:
        return tagged(Tag.control, packedAnswer.encode(answer));
    }
  },
  decode: askingNode.answer.decode,
};

export const nodeProtocol: Protocol<NodeMessage, NodeAnswer> = { message: messageCodec, answer: answerCodec };
