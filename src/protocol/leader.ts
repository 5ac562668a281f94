/** Who leads, as nodes and directories tell it. */

import * as v from "valibot";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(255));

export const leaderViewSchema = v.object({
  /** The newest term that the teller knows of. */
  term: count,
  /** Its leader; null if there is none, or it is not known. */
  leader: v.nullable(v.object({ id: text, url: text })),
});

export type LeaderView = v.InferOutput<typeof leaderViewSchema>;

export const NO_LEADER: LeaderView = { term: 0, leader: null };
