/** Tells directories and subscribers who leads. */

import type { ActorContext, ActorRef, Peer } from "../actor/index.ts";
import type { Clock, Timer } from "../environment.ts";
import { type ConclaveError, hasCode } from "../errors.ts";
import {
  DIRECTORY_ACTOR,
  type DirectoryAnswer,
  type DirectoryMessage,
  directoryProtocol,
} from "../protocol/directory.ts";
import { type LeaderView, NO_LEADER } from "../protocol/leader.ts";
import { Subscribers } from "../protocol/subscribers.ts";

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
  /** Calls `run` in a later turn. */
  readonly continueLater: () => void;
}

/** How this node stands with a directory, for as long as a link to it does. */
interface Standing {
  isRegistered: boolean;
  /** Why it has refused what it was told last, by what that was. */
  readonly refused: Map<DirectoryMessage["type"], string>;
  retry: Timer | null;
}

const DIRECTORY_TIMEOUT_MS = 5_000;
/** A directory that would not listen may have heard from the other nodes meanwhile who this one is. */
const RETRY_MS = 500;

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #context: Pick<ActorContext, "ref" | "keepLink" | "watch">;
  readonly #subscribers: Subscribers;
  readonly #linked = new Map<string, Standing>();
  /** The URLs of those who are registered with each directory, as it last told. */
  readonly #registered = new Map<string, readonly string[]>();
  #view: LeaderView = NO_LEADER;
  #members: Extract<DirectoryMessage, { type: "members" }> | null = null;

  constructor(context: Pick<ActorContext, "ref" | "keepLink" | "watch">, options: AnnouncerOptions) {
    this.#options = options;
    this.#context = context;
    this.#subscribers = new Subscribers(options.continueLater);
  }

  /** What this node knows of the leader. */
  get view(): LeaderView {
    return this.#view;
  }

  start(): void {
    for (const url of this.#options.directories) this.#context.keepLink(url);
  }

  subscribe(peer: Peer, name: string): void {
    this.#subscribers.add(peer, name);
    this.#context.watch(peer);
  }

  linkUp(url: string): void {
    if (!this.#options.directories.includes(url)) return;
    this.#forget(url);
    this.#linked.set(url, { isRegistered: false, refused: new Map(), retry: null });
    this.#introduce(url);
  }

  linkLost(url: string | null, peer: Peer): void {
    if (url !== null) this.#forget(url);
    this.#subscribers.remove(peer);
  }

  /** Whom the directories know of, as they last told; they are asked again, for the next time. */
  lookAround(): string[] {
    for (const url of this.#linked.keys()) {
      this.#directory(url)
        .ask({ type: "list" }, { timeoutMs: DIRECTORY_TIMEOUT_MS })
        .then(
          (answer) => {
            if (answer.type === "members")
              this.#registered.set(
                url,
                answer.members.map((member) => member.url),
              );
          },
          () => {}, // Whoever looks around again asks again.
        );
    }
    return [...this.#registered.values()].flat();
  }

  /** No timer fires after this. */
  stop(): void {
    for (const url of [...this.#linked.keys()]) this.#forget(url);
  }

  #forget(url: string): void {
    this.#linked.get(url)?.retry?.cancel();
    this.#linked.delete(url);
  }

  /** Tells a directory all that it should know of this node. */
  #introduce(url: string): void {
    const { id, url: own } = this.#options;
    this.#ask(url, { type: "register", name: id, url: own });
    // A directory that has been started anew knows no more than its configuration.
    if (this.#members !== null) this.#ask(url, this.#members);
    this.#claim(url);
  }

  /** Who the members are for certain, since that entry of the log. Whoever is one from then on may speak for itself. */
  updateMembers(index: number, members: readonly { readonly id: string; readonly url: string }[]): void {
    if (index <= (this.#members?.index ?? 0)) return;
    this.#members = { type: "members", index, members: members.map(({ id, url }) => ({ name: id, url })) };
    for (const url of this.#linked.keys()) {
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
      for (const url of this.#linked.keys()) this.#ask(url, { type: "resign", term: before.term, id });
    }
    if (view.leader === null) return;
    for (const url of this.#linked.keys()) this.#claim(url);
    this.#subscribers.tell(view);
  }

  /** Goes on telling those who have subscribed. */
  run(): void {
    this.#subscribers.run();
  }

  #claim(url: string): void {
    const { term, leader } = this.#view;
    if (leader?.id === this.#options.id) this.#ask(url, { type: "claim", term, id: leader.id, url: leader.url });
  }

  /** A directory that can't be reached, or answers late, is told again when its link is back. */
  #ask(url: string, message: DirectoryMessage): void {
    this.#directory(url)
      .ask(message, { timeoutMs: DIRECTORY_TIMEOUT_MS })
      .then(
        () => this.#noteConsent(url, message.type),
        (error) => {
          const isRefused = hasCode(error, "STALE_CLAIM", "NOT_ENTITLED", "BUSY");
          if (isRefused) this.#noteRefusal(url, message.type, error);
        },
      );
  }

  #directory(url: string): ActorRef<DirectoryMessage, DirectoryAnswer> {
    return this.#context.ref(`${url}/${DIRECTORY_ACTOR}`, directoryProtocol);
  }

  #noteConsent(url: string, type: DirectoryMessage["type"]): void {
    const standing = this.#linked.get(url);
    standing?.refused.delete(type);
    if (type !== "register" || standing === undefined || standing.isRegistered) return;
    standing.isRegistered = true;
    this.#options.tell({ event: "registered", directory: url });
  }

  /** The same reason is told once, for as long as it lasts. */
  #noteRefusal(url: string, type: DirectoryMessage["type"], error: ConclaveError): void {
    const standing = this.#linked.get(url);
    if (standing === undefined) return;
    const reason = error.message;
    const isNews = ![...standing.refused.values()].includes(reason);
    standing.refused.set(type, reason);
    if (isNews) this.#options.tell({ event: "claim-refused", directory: url, reason });
    if (error.code === "STALE_CLAIM") return;
    standing.retry?.cancel();
    standing.retry = this.#options.clock.setTimer(RETRY_MS, () => this.#introduce(url));
  }
}
