/** The language of the directory actor, all of it. */

import { type Protocol, packed } from "../actor/index.ts";
import * as v from "../shape.ts";
import { type DirectoryAnswer, memberSchema, packedAnswer, text } from "./asking-directory.ts";
import { address } from "./leader.ts";

export { DIRECTORY_ACTOR, type DirectoryAnswer, type Member } from "./asking-directory.ts";

const term = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

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

export type DirectoryMessage = v.InferOutput<typeof messageSchema>;

export const directoryProtocol: Protocol<DirectoryMessage, DirectoryAnswer> = {
  message: packed(messageSchema),
  answer: packedAnswer,
};
