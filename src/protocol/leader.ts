/** Who leads, as nodes and directories tell it. */

import { isUrl } from "../actor/index.ts";
import * as v from "../shape.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(255));

/** Where a process is reached. One that can't be read is refused where it comes in, not where it is used. */
export const address = v.pipe(
  text,
  v.check((url) => isUrl(url), "no address"),
);

export const leaderViewSchema = v.object({
  /** The newest term that the teller knows of. */
  term: count,
  /** Its leader; null if there is none, or it is not known. */
  leader: v.nullable(v.object({ id: text, url: address })),
});

export type LeaderView = v.InferOutput<typeof leaderViewSchema>;

export const NO_LEADER: LeaderView = { term: 0, leader: null };
