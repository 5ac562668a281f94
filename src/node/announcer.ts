/** Tells directories and subscribers who leads. */

import type { ActorContext, Peer } from "../actor/index.ts";
import type { Clock, Timer } from "../environment.ts";
import { hasCode } from "../errors.ts";
import { CLIENT_ACTOR, clientProtocol } from "../protocol/client.ts";
import { DIRECTORY_ACTOR, type DirectoryMessage, directoryProtocol } from "../protocol/directory.ts";
import { type LeaderView, NO_LEADER } from "../protocol/leader.ts";

/** What a node tells of its dealings with directories. */
export type AnnouncerStory =
  | { readonly event: "registered"; readonly directory: string }
  | { readonly event: "claim-refused"; readonly directory: string; readonly reason: string };

export interface AnnouncerOptions {
  readonly clock: Clock;
  readonly id: string;
  readonly url: string;
  /** The URLs of the directories; the node registers with all of them. */
  readonly directories: readonly string[];
  readonly tell: (story: AnnouncerStory) => void;
}

const DIRECTORY_TIMEOUT_MS = 5_000;
/** A directory that would not listen may have heard from the other nodes meanwhile who this one is. */
const RETRY_MS = 500;

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #context: Pick<ActorContext, "ref" | "keepLink" | "watch">;
  readonly #subscribers = new Map<Peer, string>();
  readonly #linked = new Set<string>();
  /** What directories have refused, and when they are to be asked again. */
  readonly #refused = new Map<string, { readonly reason: string; readonly retry: Timer }>();
  #view: LeaderView = NO_LEADER;
  #members: Extract<DirectoryMessage, { type: "members" }> | null = null;

  constructor(context: Pick<ActorContext, "ref" | "keepLink" | "watch">, options: AnnouncerOptions) {
    this.#options = options;
    this.#context = context;
  }

  /** What this node knows of the leader. */
  get view(): LeaderView {
    return this.#view;
  }

  start(): void {
    for (const url of this.#options.directories) this.#context.keepLink(url);
  }

  subscribe(peer: Peer, name: string): void {
    this.#subscribers.set(peer, name === "" ? CLIENT_ACTOR : name);
    this.#context.watch(peer);
  }

  linkUp(url: string): void {
    if (!this.#options.directories.includes(url)) return;
    this.#linked.add(url);
    this.#introduce(url);
  }

  /** No timer fires after this. */
  stop(): void {
    for (const { retry } of this.#refused.values()) retry.cancel();
  }

  /** Tells a directory all that it should know of this node. */
  #introduce(url: string): void {
    const { id, url: own, tell } = this.#options;
    this.#ask(url, { type: "register", name: id, url: own }, () => {
      this.#refused.delete(url);
      tell({ event: "registered", directory: url });
    });
    // A directory that has been started anew knows no more than its configuration.
    if (this.#members !== null) this.#ask(url, this.#members);
    this.#claim(url);
  }

  linkLost(url: string | null, peer: Peer): void {
    if (url !== null) {
      this.#linked.delete(url);
      this.#refused.get(url)?.retry.cancel();
      this.#refused.delete(url);
    }
    this.#subscribers.delete(peer);
  }

  /** Who the members are for certain, since that entry of the log. Whoever is one from then on may speak for itself. */
  updateMembers(index: number, members: readonly { readonly id: string; readonly url: string }[]): void {
    if (index <= (this.#members?.index ?? 0)) return;
    this.#members = { type: "members", index, members: members.map(({ id, url }) => ({ name: id, url })) };
    for (const url of this.#linked) {
      this.#ask(url, this.#members);
      this.#claim(url); // It may have been refused while this node was not known there.
    }
  }

  /** Takes what this node now knows, and passes it on if it is news. */
  update(view: LeaderView): void {
    const before = this.#view;
    if (view.term === before.term && view.leader?.id === before.leader?.id) return;
    this.#view = view;
    const { id } = this.#options;
    if (before.leader?.id === id && view.leader?.id !== id) {
      for (const url of this.#linked) this.#ask(url, { type: "resign", term: before.term, id });
    }
    if (view.leader === null) return;
    for (const url of this.#linked) this.#claim(url);
    for (const [peer, name] of this.#subscribers) peer.ref(name, clientProtocol).tell({ type: "leader", view });
  }

  #claim(url: string): void {
    const { term, leader } = this.#view;
    if (leader?.id === this.#options.id) this.#ask(url, { type: "claim", term, id: leader.id, url: leader.url });
  }

  /** A directory that can't be reached, or answers late, is told again when its link is back. */
  #ask(url: string, message: DirectoryMessage, done: () => void = () => {}): void {
    const directory = this.#context.ref(`${url}/${DIRECTORY_ACTOR}`, directoryProtocol);
    directory.ask(message, { timeoutMs: DIRECTORY_TIMEOUT_MS }).then(done, (error) => {
      const isRefused = hasCode(error, "STALE_CLAIM") || hasCode(error, "NOT_ENTITLED") || hasCode(error, "BUSY");
      if (isRefused) this.#noteRefusal(url, error.message, !hasCode(error, "STALE_CLAIM"));
    });
  }

  /** The same reason is told once, for as long as it lasts. */
  #noteRefusal(url: string, reason: string, isWorthRetrying: boolean): void {
    const before = this.#refused.get(url);
    if (before?.reason !== reason) this.#options.tell({ event: "claim-refused", directory: url, reason });
    if (!isWorthRetrying || !this.#linked.has(url)) return;
    before?.retry.cancel();
    const retry = this.#options.clock.setTimer(RETRY_MS, () => {
      if (this.#linked.has(url)) this.#introduce(url);
    });
    this.#refused.set(url, { reason, retry });
  }
}
