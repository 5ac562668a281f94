/** The language of the directory actor for those who ask it. */

import { type Asking, packed, packing } from "../actor/index.ts";
import * as v from "../shape.ts";
import type { DirectoryMessage } from "./directory.ts";
import { address, leaderViewSchema } from "./leader.ts";

export const DIRECTORY_ACTOR = "directory";

export const text = v.pipe(v.string(), v.minLength(1), v.maxLength(255));

export const memberSchema = v.object({ name: text, url: address });

const answerSchema = v.variant("type", [
  v.object({ type: v.literal("done") }),
  v.object({ type: v.literal("member"), member: v.nullable(memberSchema) }),
  v.object({ type: v.literal("members"), members: v.array(memberSchema) }),
  v.object({ type: v.literal("leader"), view: leaderViewSchema }),
]);

export type Member = v.InferOutput<typeof memberSchema>;
export type DirectoryAnswer = v.InferOutput<typeof answerSchema>;

export const packedAnswer = packed(answerSchema);

export const askingDirectory: Asking<DirectoryMessage, DirectoryAnswer> = { message: packing, answer: packedAnswer };
