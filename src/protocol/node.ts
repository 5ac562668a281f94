/**
 * The language of a node actor. What every command and every read goes through is a tag and raw bytes; the rest is
 * MessagePack.
 */

import * as v from "valibot";
import { type Codec, type Protocol, packed } from "../actor/index.ts";
import { leaderViewSchema } from "./leader.ts";

/** A server of the cluster, by name and address. */
export interface Member {
  readonly id: string;
  readonly url: string;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** `linearizable`: no older than any answer given before the question was asked. `stale`: what this node has. */
export type Consistency = "linearizable" | "stale";

/** How many queries may share a message. */
export const QUERIES_MAX = 2_048;

const controlSchema = v.variant("type", [
  /** Opens a session for commands. */
  v.object({ type: v.literal("open-session") }),
  /** "I am still here": the session is kept for as long as this link stands. */
  v.object({ type: v.literal("keep-session"), session: count }),
  /** Answers who leads, as far as this node knows, and from then on tells the sender of every new leader. */
  v.object({ type: v.literal("subscribe") }),
  v.object({ type: v.literal("status") }),
  /** "I have taken note of you, for ever": from one member to another, once their link stands. */
  v.object({ type: v.literal("recognized") }),
  /** Hands leadership over, to a node of the leader's choice if `to` is null. */
  v.object({ type: v.literal("transfer"), to: v.nullable(v.string()) }),
]);

export type NodeMessage =
  /** A message of the Raft protocol, packed; from members only. */
  | { readonly type: "raft"; readonly packed: Uint8Array }
  /** A batch of commands, as `machine/commands.ts` encodes it. */
  | { readonly type: "commands"; readonly batch: Uint8Array }
  /** A list of queries, as `machine/commands.ts` encodes it. */
  | { readonly type: "queries"; readonly consistency: Consistency; readonly queries: Uint8Array }
  | v.InferOutput<typeof controlSchema>;

const statusSchema = v.object({
  id: v.string(),
  /** `newcomer`: it takes no part before every other node has taken note of it. */
  role: v.picklist(["newcomer", "follower", "pre-candidate", "candidate", "leader"]),
  term: count,
  leader: v.nullable(v.string()),
  lastIndex: count,
  commitIndex: count,
  appliedIndex: count,
  sessions: count,
  /** Whether a link stands to each of the other members. */
  links: v.record(v.string(), v.boolean()),
});

/** How a node sees itself. */
export type NodeStatus = v.InferOutput<typeof statusSchema>;

const controlAnswerSchema = v.variant("type", [
  v.object({ type: v.literal("session"), session: count }),
  v.object({ type: v.literal("leader"), view: leaderViewSchema }),
  v.object({ type: v.literal("status"), status: statusSchema }),
  v.object({ type: v.literal("done") }),
]);

export type NodeAnswer =
  /** What became of the commands, in their order. */
  | { readonly type: "outcomes"; readonly outcomes: Uint8Array }
  /** The answers to the queries, in their order. */
  | { readonly type: "results"; readonly results: Uint8Array }
  | v.InferOutput<typeof controlAnswerSchema>;

const Tag = { control: 0, raft: 1, commands: 2, queries: 3, staleQueries: 4, outcomes: 5, results: 6 } as const;

const control = packed(controlSchema);
const controlAnswer = packed(controlAnswerSchema);

function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + bytes.byteLength);
  message[0] = tag;
  message.set(bytes, 1);
  return message;
}

const messageCodec: Codec<NodeMessage> = {
  encode: (message) => {
    switch (message.type) {
      case "raft":
        return tagged(Tag.raft, message.packed);
      case "commands":
        return tagged(Tag.commands, message.batch);
      case "queries":
        return tagged(message.consistency === "stale" ? Tag.staleQueries : Tag.queries, message.queries);
      default:
        return tagged(Tag.control, control.encode(message));
    }
  },
  decode: (bytes) => {
    const rest = bytes.subarray(1);
    switch (bytes[0]) {
      case Tag.raft:
        return { type: "raft", packed: rest };
      case Tag.commands:
        return { type: "commands", batch: rest };
      case Tag.queries:
        return { type: "queries", consistency: "linearizable", queries: rest };
      case Tag.staleQueries:
        return { type: "queries", consistency: "stale", queries: rest };
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
        return tagged(Tag.outcomes, answer.outcomes);
      case "results":
        return tagged(Tag.results, answer.results);
      default:
        return tagged(Tag.control, controlAnswer.encode(answer));
    }
  },
  decode: (bytes) => {
    const rest = bytes.subarray(1);
    switch (bytes[0]) {
      case Tag.outcomes:
        return { type: "outcomes", outcomes: rest };
      case Tag.results:
        return { type: "results", results: rest };
      case Tag.control:
        return controlAnswer.decode(rest);
      default:
        throw new RangeError(`an answer of kind ${bytes[0]} is not known`);
    }
  },
};

export const NODE_ACTOR = "node";
export const nodeProtocol: Protocol<NodeMessage, NodeAnswer> = { message: messageCodec, answer: answerCodec };
