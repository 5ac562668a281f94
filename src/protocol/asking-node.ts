/**
 * The language of a node actor for those who ask it: how it reads what it is asked, nobody else needs to know, and pages
 * don't load it. What every command and every read goes through is a tag and raw bytes; the rest is packed.
 */

import { type Asking, packed, packing } from "../actor/index.ts";
import { allocate, ByteReader, ByteWriter } from "../bytes.ts";
import * as v from "../shape.ts";
import { leaderViewSchema } from "./leader.ts";
import type { NodeMessage } from "./node.ts";

export const NODE_ACTOR = "node";

/**
 * `linearizable`: no older than any answer given before the question was asked. `lease`: the same, as long as clocks run
 * as evenly as the configuration says (thesis, section 6.4.1). `stale`: what some node has, but never older than what the
 * same client has seen: it shows its own writes, and does not go back, whichever nodes it asks.
 *
 * @example
 * ```ts
 * import type { Consistency } from "conclave/client";
 *
 * const consistency: Consistency = "stale";
 * const price = await client.get("price", { consistency });
 * ```
 */
export type Consistency = "linearizable" | "lease" | "stale";

/** How many queries may share a message. */
export const QUERIES_MAX = 2_048;

export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(64));
export const priority = v.pipe(v.number(), v.safeInteger());
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
export const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array, "bytes");

/**
 * A member of the cluster: who it is, what part it has, and what is to become of it.
 *
 * @example
 * ```ts
 * import type { MemberView } from "conclave/client";
 *
 * const votes = ({ role }: MemberView): boolean => role === "voter";
 * console.log((await client.members()).filter(votes).length); // 3
 * ```
 */
export interface MemberView {
  readonly id: string;
  readonly url: string;
  /** As in the Raft core; see `Member` there for what each means. */
  readonly role: "voter" | "learner" | "incoming" | "demoting" | "leaving";
  readonly priority: number;
  readonly incarnation: string | null;
  /** It becomes a voter once it keeps up, and takes the place of that one if there is one. */
  readonly promotion: { readonly replaces: string | null } | null;
}

const memberSchema: v.Shape<MemberView> = v.object({
  id: name,
  url: v.string(),
  role: v.picklist(["voter", "learner", "incoming", "demoting", "leaving"]),
  priority,
  incarnation: v.nullable(v.string()),
  promotion: v.nullable(v.object({ replaces: v.nullable(v.string()) })),
});

/**
 * How a node sees itself.
 *
 * @example
 * ```ts
 * import type { NodeStatus } from "conclave/client";
 *
 * const behind = ({ commitIndex, appliedIndex }: NodeStatus): number => commitIndex - appliedIndex;
 * for (const report of await client.status()) {
 *   if (!("error" in report)) console.log(`${report.id} is ${behind(report)} entries behind`);
 * }
 * ```
 */
export interface NodeStatus {
  readonly id: string;
  /** `newcomer`: it takes no part before every other node has taken note of it. */
  readonly role: "newcomer" | "learner" | "follower" | "pre-candidate" | "candidate" | "leader";
  readonly term: number;
  readonly leader: string | null;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly sessions: number;
  /** The last entry that its newest snapshot stands for. */
  readonly snapshotIndex: number;
  /**
   * What is known of its replicated state. `sound`: nothing is wrong with it as far as anybody can tell. `disputed`: nodes
   * have come to different states, and no majority to the same. `diverged`: a majority has come to another one than this
   * node, which answers nothing until it has theirs.
   */
  readonly state: "sound" | "disputed" | "diverged";
  /** By how much its event loop was late of late, at worst. */
  readonly lagMs: number;
  /** Whether a link stands to each of the other members. */
  readonly links: Readonly<Record<string, boolean>>;
}

const statusSchema: v.Shape<NodeStatus> = v.object({
  id: v.string(),
  role: v.picklist(["newcomer", "learner", "follower", "pre-candidate", "candidate", "leader"]),
  term: count,
  leader: v.nullable(v.string()),
  lastIndex: count,
  commitIndex: count,
  appliedIndex: count,
  sessions: count,
  snapshotIndex: count,
  state: v.picklist(["sound", "disputed", "diverged"]),
  lagMs: count,
  links: v.record(v.string(), v.boolean()),
});

const controlAnswerSchema = v.variant("type", [
  v.object({ type: v.literal("session"), session: count }),
  v.object({ type: v.literal("leader"), view: leaderViewSchema }),
  v.object({ type: v.literal("status"), status: statusSchema }),
  v.object({ type: v.literal("members"), members: v.array(memberSchema) }),
  /** A snapshot that was taken, how large it is, and what stands before it in a backup. */
  v.object({ type: v.literal("snapshot"), index: count, total: count, origin: bytes }),
  /** Chunks of a snapshot, whole ones. `next` is where those after them begin; null if these were the last. */
  v.object({
    type: v.literal("chunks"),
    bytes,
    next: v.nullable(count),
    /** The size of the whole, and whose it is: only what comes from one place fits together. */
    total: count,
    source: v.string(),
  }),
  /** What the state machine answers; null if there was nothing to answer in all that time. */
  v.object({ type: v.literal("polled"), result: v.nullable(bytes) }),
  v.object({ type: v.literal("done") }),
]);

export type NodeAnswer =
  /** What became of the commands, in their order. All of it is seen where as much as `index` is applied. */
  | { readonly type: "outcomes"; readonly index: number; readonly outcomes: Uint8Array }
  /** The answers to the queries, in their order, and what the node had applied: they show no more than that. */
  | { readonly type: "results"; readonly index: number; readonly results: Uint8Array }
  | v.InferOutput<typeof controlAnswerSchema>;

export const Tag = { control: 0, raft: 1, commands: 2, queries: 3, outcomes: 4, results: 5 } as const;
export const CONSISTENCIES = ["linearizable", "lease", "stale"] as const satisfies readonly Consistency[];
export const ANYWHERE = 0x80;

export function tagged(tag: number, bytes: Uint8Array): Uint8Array {
  const message = allocate(1 + bytes.byteLength);
  message[0] = tag;
  message.set(bytes, 1);
  return message;
}

function encodeMessage(message: NodeMessage): Uint8Array {
  switch (message.type) {
    case "raft":
      return tagged(Tag.raft, message.packed);
    case "commands":
      return tagged(Tag.commands, message.batch);
    case "queries": {
      const { consistency, anywhere, minIndex, queries } = message;
      const flags = CONSISTENCIES.indexOf(consistency) | (anywhere ? ANYWHERE : 0);
      return new ByteWriter(10 + queries.byteLength).u8(Tag.queries).u8(flags).u53(minIndex).raw(queries).finish();
    }
    default:
      return tagged(Tag.control, packing.encode(message));
  }
}

export const packedAnswer = packed(controlAnswerSchema);

function decodeAnswer(bytes: Uint8Array): NodeAnswer {
  const rest = bytes.subarray(1);
  switch (bytes[0]) {
    case Tag.outcomes: {
      const reader = new ByteReader(rest);
      return { type: "outcomes", index: reader.u53(), outcomes: reader.raw(reader.remaining) };
    }
    case Tag.results: {
      const reader = new ByteReader(rest);
      return { type: "results", index: reader.u53(), results: reader.raw(reader.remaining) };
    }
    case Tag.control:
      return packedAnswer.decode(rest);
    default:
      throw new RangeError(`an answer of kind ${bytes[0]} is not known`);
  }
}

export const askingNode: Asking<NodeMessage, NodeAnswer> = {
  message: { encode: encodeMessage },
  answer: { decode: decodeAnswer },
};
