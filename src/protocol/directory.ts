/** The language of the directory actor. */

import * as v from "valibot";
import { type Protocol, packed } from "../actor/index.ts";
import { address, leaderViewSchema } from "./leader.ts";

const text = v.pipe(v.string(), v.minLength(1), v.maxLength(255));
const term = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const memberSchema = v.object({ name: text, url: address });

const messageSchema = v.variant("type", [
  /** Makes a name known, for as long as the link stands that this came by. */
  v.object({ type: v.literal("register"), name: text, url: address }),
  v.object({ type: v.literal("unregister"), name: text }),
  v.object({ type: v.literal("look-up"), name: text }),
  v.object({ type: v.literal("list") }),
  /** Answers the current leader, and from then on pushes every change to the sender. */
  v.object({ type: v.literal("subscribe") }),
  /** "I lead this term." Refused with `STALE_CLAIM` if a newer term is known, or another leader of this one. */
  v.object({ type: v.literal("claim"), term, id: text, url: address }),
  /** "Since entry `index` these are the nodes": from one of them. */
  v.object({ type: v.literal("members"), index: term, members: v.pipe(v.array(memberSchema), v.maxLength(1_000)) }),
  /** "I led this term and do so no more." */
  v.object({ type: v.literal("resign"), term, id: text }),
]);

const answerSchema = v.variant("type", [
  v.object({ type: v.literal("done") }),
  v.object({ type: v.literal("member"), member: v.nullable(memberSchema) }),
  v.object({ type: v.literal("members"), members: v.array(memberSchema) }),
  v.object({ type: v.literal("leader"), view: leaderViewSchema }),
]);

export type Member = v.InferOutput<typeof memberSchema>;
export type DirectoryMessage = v.InferOutput<typeof messageSchema>;
export type DirectoryAnswer = v.InferOutput<typeof answerSchema>;

export const DIRECTORY_ACTOR = "directory";
export const directoryProtocol: Protocol<DirectoryMessage, DirectoryAnswer> = {
  message: packed(messageSchema),
  answer: packed(answerSchema),
};
