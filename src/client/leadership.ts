/**
 * Knows who leads and keeps a link there. Directories push every change; when none is there, or none has news, the
 * nodes themselves are asked, and push too.
 */

import { type ActorContext, type ActorRef, normalUrl, type Peer } from "../actor/index.ts";
import type { ClientEnvironment, Timer } from "../environment.ts";
import { DIRECTORY_ACTOR, directoryProtocol } from "../protocol/directory.ts";
import { type LeaderView, NO_LEADER } from "../protocol/leader.ts";
import { NODE_ACTOR, type NodeAnswer, type NodeMessage, nodeProtocol } from "../protocol/node.ts";

export type NodeRef = ActorRef<NodeMessage, NodeAnswer>;

/** The leader, and the link to it. */
export interface Leader {
  readonly term: number;
  readonly id: string;
  readonly url: string;
  readonly node: NodeRef;
}

export interface LeadershipOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly directories: readonly string[];
  readonly nodes: readonly string[];
  /** A leader was found, another one, or the link to it came back. */
  onReady(leader: Leader): void;
  /** What was sent to the leader may be lost. */
  onLost(): void;
  /** Who leads has changed. */
  onChange(view: LeaderView): void;
}

/** How long directories may take to name a leader before the nodes are asked as well; doubled with every search. */
const SEARCH_AFTER_MS = 100;
const SEARCH_EVERY_MS_MAX = 1_000;
/** So many times the others are asked first, when a leader did not act as one. */
const SEARCHES_IN_DOUBT = 1;
const ASK_TIMEOUT_MS = 2_000;

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #directories: readonly string[];
  /** Every node heard of, by URL; the name is null until something has told it. */
  readonly #nodes = new Map<string, string | null>();
  readonly #linked = new Map<string, Peer>();
  /** How to let go of the links to nodes that are kept. */
  readonly #kept = new Map<string, () => void>();
  #view: LeaderView = NO_LEADER;
  #leader: Leader | null = null;
  #searchTimer: Timer | null = null;
  /** Searches since there was a leader. */
  #searches = 0;
  /** The leader that this view names did not act as one: others are asked before it is believed again. */
  #doubted: LeaderView | null = null;
  #closed = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#directories = options.directories.map(normalUrl);
    for (const url of options.nodes) this.#nodes.set(normalUrl(url), null);
  }

  /** The leader that commands can be sent to now. */
  get leader(): Leader | null {
    return this.#leader;
  }

  get view(): LeaderView {
    return this.#view;
  }

  /** URLs and names of all nodes heard of. */
  get nodes(): ReadonlyMap<string, string | null> {
    return this.#nodes;
  }

  start(): void {
    for (const url of this.#directories) this.#options.context.keepLink(url);
    if (this.#directories.length === 0) this.#search();
    else this.#searchSoon();
  }

  close(): void {
    this.#closed = true;
    this.#searchTimer?.cancel();
  }

  linkUp(url: string, peer: Peer): void {
    this.#linked.set(url, peer);
    if (this.#directories.includes(url)) this.#greetDirectory(url);
    else this.#greetNode(url, peer);
  }

  linkLost(url: string | null): void {
    if (url === null) return;
    this.#linked.delete(url);
    if (this.#leader?.url === url) this.#lose();
  }

  /** News from a directory or a node. Older than what is known, it is no news. */
  learn(view: LeaderView): void {
    const before = this.#view;
    if (this.#closed || view.term < before.term) return;
    // Within a term, only the name of its leader is news; that it is not known, or has resigned, helps nobody.
    if (view.term === before.term && (view.leader === null || view.leader.id === before.leader?.id)) return;
    const known = view.leader === null ? null : { id: view.leader.id, url: normalUrl(view.leader.url) };
    this.#view = { term: view.term, leader: known };
    if (known !== null) this.#nodes.set(known.url, known.id);
    if (known !== null || before.leader !== null) this.#options.onChange(this.#view);
    if (this.#leader !== null && this.#leader.url !== known?.url) this.#lose();
    this.#follow();
  }

  /** The leader said that it does not lead, or did not answer: look for another, or for the same in a newer term. */
  doubt(leader: Leader): void {
    if (this.#leader !== leader) return;
    this.#doubted = this.#view;
    this.#leader = null;
    this.#options.onLost();
    this.#searchSoon();
  }

  #greetDirectory(url: string): void {
    const directory = this.#options.context.ref(`${url}/${DIRECTORY_ACTOR}`, directoryProtocol);
    const options = { timeoutMs: ASK_TIMEOUT_MS };
    directory.ask({ type: "subscribe" }, options).then(
      (answer) => answer.type === "leader" && this.learn(answer.view),
      () => {}, // Its link is lost or it does not answer: other directories, or the nodes, will.
    );
    directory.ask({ type: "list" }, options).then(
      (answer) => {
        if (answer.type !== "members") return;
        for (const { name, url: member } of answer.members) this.#nodes.set(normalUrl(member), name);
      },
      () => {},
    );
  }

  #greetNode(url: string, peer: Peer): void {
    this.#nodes.set(url, peer.hello.name);
    this.#node(url)
      .ask({ type: "subscribe" }, { timeoutMs: ASK_TIMEOUT_MS })
      .then(
        (answer) => answer.type === "leader" && this.learn(answer.view),
        () => {},
      );
    this.#follow();
  }

  #node(url: string): NodeRef {
    return this.#options.context.ref(`${url}/${NODE_ACTOR}`, nodeProtocol);
  }

  /** Goes to the leader that is known: with a link to it, it can be talked to. */
  #follow(): void {
    const { term, leader } = this.#view;
    if (leader === null || this.#closed || this.#view === this.#doubted) return;
    this.#keep(leader.url);
    if (!this.#linked.has(leader.url)) {
      this.#searchSoon();
      return;
    }
    if (this.#leader?.url === leader.url && this.#leader.term === term) return;
    this.#leader = { term, id: leader.id, url: leader.url, node: this.#node(leader.url) };
    this.#searchTimer?.cancel();
    this.#searchTimer = null;
    this.#searches = 0;
    for (const [url, release] of this.#kept) {
      if (url === leader.url) continue;
      this.#kept.delete(url);
      release();
    }
    this.#options.onReady(this.#leader);
  }

  #lose(): void {
    this.#leader = null;
    this.#options.onLost();
    if (this.#directories.length === 0) this.#search();
    else this.#searchSoon();
  }

  #searchSoon(): void {
    if (this.#closed || this.#searchTimer !== null) return;
    const { clock, random } = this.#options.environment;
    const delayMs = Math.min(SEARCH_AFTER_MS * 2 ** this.#searches, SEARCH_EVERY_MS_MAX);
    this.#searchTimer = clock.setTimer(delayMs * (0.5 + random.next()), () => {
      this.#searchTimer = null;
      if (this.#leader === null) this.#search();
    });
  }

  /** Asks every node heard of, until a leader is found. */
  #search(): void {
    if (this.#closed) return;
    this.#searches = Math.min(this.#searches + 1, 30);
    if (this.#searches > SEARCHES_IN_DOUBT) this.#doubted = null;
    for (const url of this.#directories) if (this.#linked.has(url)) this.#greetDirectory(url);
    for (const url of this.#nodes.keys()) {
      this.#keep(url);
      const peer = this.#linked.get(url);
      if (peer !== undefined) this.#greetNode(url, peer);
    }
    this.#searchSoon();
  }

  #keep(url: string): void {
    if (!this.#kept.has(url)) this.#kept.set(url, this.#options.context.keepLink(url));
  }
}
