/** What nodes and directories push to a client. */

import { NO_ANSWER, type Protocol, packed } from "../actor/index.ts";
import * as v from "../shape.ts";
import { leaderViewSchema } from "./leader.ts";

const messageSchema = v.object({ type: v.literal("leader"), view: leaderViewSchema });

export type ClientMessage = v.InferOutput<typeof messageSchema>;

export const CLIENT_ACTOR = "client";
export const clientProtocol: Protocol<ClientMessage, never> = { message: packed(messageSchema), answer: NO_ANSWER };
