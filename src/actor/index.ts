/** Actors: named mailboxes that are reached the same way in this process and in others. */

export type * from "./actor.ts";
export type { ListenAt } from "./links.ts";
export { type Asking, type Codec, isUrl, NO_ANSWER, normalUrl, type Protocol, packed, packing } from "./protocol.ts";
export { type ActorStory, ActorSystem, type SystemOptions } from "./system.ts";
