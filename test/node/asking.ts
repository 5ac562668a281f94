/** What a client says to a node, one question at a time. */

import type { ActorRef } from "../../src/actor/index.ts";
import { decodeOutcomes, encodePayload, type Outcome } from "../../src/machine/commands.ts";
import { encodeCommand } from "../../src/machine/key-value-protocol.ts";
import type { NodeAnswer, NodeMessage } from "./in-process.ts";

export type NodeRef = ActorRef<NodeMessage, NodeAnswer>;

export const ASK = { timeoutMs: 5_000 };

export const put = (key: string, value: string | Uint8Array): Uint8Array => encodeCommand({ op: "put", key, value });

export async function openSession(node: NodeRef): Promise<number> {
  const answer = await node.ask({ type: "open-session" }, ASK);
  if (answer.type !== "session") throw new Error(`the answer is ${answer.type}`);
  return answer.session;
}

export interface Numbers {
  readonly first?: number;
  readonly floor?: number;
}

export async function command(
  node: NodeRef,
  session: number,
  commands: readonly Uint8Array[],
  { first = 1, floor = 1 }: Numbers = {},
): Promise<Outcome[]> {
  const batch = encodePayload({ type: "commands", session, floor, first, commands });
  const answer = await node.ask({ type: "commands", batch }, ASK);
  if (answer.type !== "outcomes") throw new Error(`the answer is ${answer.type}`);
  return decodeOutcomes(answer.outcomes);
}

export const typesOf = (outcomes: readonly Outcome[]): string[] => outcomes.map(({ type }) => type);
