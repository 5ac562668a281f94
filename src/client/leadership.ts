/**
 * Knows who leads and keeps a link there. Directories push every change; when none is there, or none has news, the
 * nodes themselves are asked, and push too.
 */

import { type ActorContext, type ActorRef, normalUrl, type Peer } from "../actor/index.ts";
import type { ClientEnvironment, Timer } from "../environment.ts";
import { askingDirectory, DIRECTORY_ACTOR } from "../protocol/asking-directory.ts";
import { askingNode, NODE_ACTOR, type NodeAnswer } from "../protocol/asking-node.ts";
import { type LeaderView, NO_LEADER } from "../protocol/leader.ts";
import type { NodeMessage } from "../protocol/node.ts";

export type NodeRef = ActorRef<NodeMessage, NodeAnswer>;

/**
 * Who leads, and in which term.
 *
 * @example
 * ```ts
 * import type { LeaderInfo } from "conclave/client";
 *
 * const show = (leader: LeaderInfo | null): void => console.log(`${leader?.id ?? "nobody"} leads`);
 * const end = client.on("leader", show);
 * end();
 * ```
 */
export interface LeaderInfo {
  readonly term: number;
  readonly id: string;
  readonly url: string;
}

/** The leader, and the link to it. */
export interface Leader extends LeaderInfo {
  readonly node: NodeRef;
}

export interface LeadershipOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly directories: readonly string[];
  readonly nodes: readonly string[];
  /** The node in this very process, if there is one. */
  readonly ownNode: string | null;
  /** Nobody waits for the leader. */
  readonly isIdle: () => boolean;
  /** A leader was found, another one, or the link to it came back. */
  onReady(leader: Leader): void;
  /** What was sent to the leader may be lost. */
  onLost(): void;
  /** Who leads has changed; null if the one that was known is gone, or does not act as one. */
  onChange(leader: LeaderInfo | null): void;
}

/** How long directories may take to name a leader before the nodes are asked as well; doubled with every search. */
const SEARCH_AFTER_MS = 100;
const SEARCH_EVERY_MS_MAX = 1_000;
/** So many times the others are asked first, when a leader did not act as one. */
const SEARCHES_IN_DOUBT = 1;
const ASK_TIMEOUT_MS = 2_000;
/**
 * Who has nothing to ask of a new leader goes there at some moment between these: thousands that did so when they hear of
 * it would keep it, and each other, from everything else, and from being told of it at all.
 */
const GO_THERE_MS_MIN = 2_000;
const GO_THERE_MS_MAX = 10_000;
/** Of those heard of, so many are remembered. */
const NODES_MAX = 128;

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #directories: readonly string[];
  readonly #seeds: ReadonlySet<string>;
  readonly #ownNode: string | null;
  /** Nodes heard of, by URL, the latest news last; the name is null until something has told it. */
  readonly #nodes = new Map<string, string | null>();
  readonly #linked = new Map<string, Peer>();
  /** How to let go of the links to nodes that are kept. */
  readonly #kept = new Map<string, () => void>();
  #view: LeaderView = NO_LEADER;
  /** Only a directory has told the view, and no node. */
  #isHearsay = false;
  /** What a directory said of this term, or a newer one, was wrong: it is not believed until a node says it, too. */
  #overruledTerm = Number.POSITIVE_INFINITY;
  #leader: Leader | null = null;
  /** Who leads, as it was last told. */
  #told: LeaderInfo | null = null;
  #searchTimer: Timer | null = null;
  /** Until then there is no hurry to go to the leader that is known. */
  #goThereTimer: Timer | null = null;
  /** There was a leader to talk to before. */
  #hasLed = false;
  /** Searches since there was a leader. */
  #searches = 0;
  /** The leader that this view names did not act as one: others are asked before it is believed again. */
  #doubted: LeaderView | null = null;
  #closed = false;
  /** The leader is being asked for the members. */
  #isAsking = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#directories = options.directories.map(normalUrl);
    this.#seeds = new Set(options.nodes.map(normalUrl));
    this.#ownNode = options.ownNode === null ? null : normalUrl(options.ownNode);
    for (const url of this.#seeds) this.#nodes.set(url, null);
  }

  /** The leader that commands can be sent to now. */
  get leader(): Leader | null {
    return this.#leader;
  }

  /** The same, for somebody who waits for it. */
  wanted(): Leader | null {
    if (this.#goThereTimer !== null) this.#goThere();
    return this.#leader;
  }

  /** Who leads, as far as is known. */
  get known(): LeaderInfo | null {
    return this.#told;
  }

  /** URLs and names of the nodes heard of. */
  get nodes(): ReadonlyMap<string, string | null> {
    return this.#nodes;
  }

  /**
   * The URLs and names of nodes to ask for what any of them may answer, the likeliest first: one that is preferred, then
   * the leader, whose link stands. Only the one that is wanted, if one is; if it was never heard of, the leader is asked
   * for the members, and it may be among the candidates the next time.
   */
  candidates(wanted: string | null, preferred: string | null = null): (readonly [string, string | null])[] {
    const all = [...this.#nodes];
    if (wanted !== null) {
      const found = all.filter(([, name]) => name === wanted);
      if (found.length === 0) this.#askForMembers();
      return found;
    }
    const rank = (url: string): number => (url === preferred ? 0 : url === this.#leader?.url ? 1 : 2);
    return all.sort(([a], [b]) => rank(a) - rank(b));
  }

  /** Notes the members as the leader has told them. */
  learnMembers(members: readonly { readonly id: string; readonly url: string }[]): void {
    for (const { id, url } of members) this.#remember(normalUrl(url), id);
    this.#keepFew();
  }

  #askForMembers(): void {
    if (this.#leader === null || this.#isAsking) return;
    this.#isAsking = true;
    this.#leader.node
      .ask({ type: "members" }, { timeoutMs: ASK_TIMEOUT_MS })
      .then(
        (answer) => answer.type === "members" && this.learnMembers(answer.members),
        () => {}, // Whoever wants to know asks again.
      )
      .finally(() => {
        this.#isAsking = false;
      });
  }

  start(): void {
    for (const url of this.#directories) this.#options.context.keepLink(url);
    if (this.#directories.length === 0) this.#search();
    else this.#searchSoon();
  }

  close(): void {
    this.#closed = true;
    this.#searchTimer?.cancel();
    this.#goThereTimer?.cancel();
  }

  linkUp(url: string, peer: Peer): void {
    const isDirectory = this.#directories.includes(url);
    // It may have been let go since: to greet the other side would bring it back, for nobody to let go again.
    if (!isDirectory && !this.#kept.has(url)) return;
    this.#linked.set(url, peer);
    if (isDirectory) this.#greetDirectory(url);
    else this.#greetNode(url, peer);
  }

  linkLost(url: string | null): void {
    if (url === null) return;
    this.#linked.delete(url);
    if (this.#leader?.url !== url) {
      this.#keepFew();
      return;
    }
    this.#drop();
    this.#tell(null);
    this.#searchOn();
  }

  /** News from a directory or a node. */
  learn(view: LeaderView, from: Peer | null): void {
    const isHearsay = this.#directories.some((url) => this.#linked.get(url) === from);
    if (this.#closed) return;
    const { term, leader } = view;
    if (leader === null) {
      // A term that nobody leads may come to nothing, and then the leader of an older one goes on: no more than a doubt.
      if (this.#told !== null && term > this.#told.term) this.#loseFaith();
      return;
    }
    if (!this.#isNews(term, leader.id, isHearsay)) return;
    const known = { id: leader.id, url: normalUrl(leader.url) };
    this.#view = { term, leader: known };
    this.#isHearsay = isHearsay;
    this.#remember(known.url, known.id);
    if (this.#leader !== null && this.#leader.url !== known.url) {
      this.#drop();
      if (!this.#canWait) this.#searchOn();
    }
    this.#tell({ term, ...known });
    if (this.#canWait && !this.#linked.has(known.url)) this.#goThereLater();
    else this.#follow();
  }

  /**
   * What is older than what is known is no news. Yet a directory may have been told anything: while the leader that it
   * named does not act as one, what a node says counts for more.
   */
  #isNews(term: number, leader: string, isHearsay: boolean): boolean {
    const before = this.#view;
    if (isHearsay && term >= this.#overruledTerm) return false;
    if (!isHearsay && term >= this.#overruledTerm) this.#overruledTerm = Number.POSITIVE_INFINITY;
    if (term > before.term) return true;
    if (term === before.term) {
      if (!isHearsay) this.#isHearsay = false;
      return leader !== before.leader?.id;
    }
    if (isHearsay || !this.#isHearsay || this.#leader !== null) return false;
    this.#overruledTerm = before.term;
    return true;
  }

  /** The leader said that it does not lead, or did not answer: look for another, or for the same in a newer term. */
  doubt(leader: Leader): void {
    if (this.#leader === leader) this.#loseFaith();
  }

  #loseFaith(): void {
    this.#doubted = this.#view;
    if (this.#leader !== null) this.#drop();
    this.#tell(null);
    this.#searchSoon();
  }

  #greetDirectory(url: string): void {
    const directory = this.#options.context.ref(`${url}/${DIRECTORY_ACTOR}`, askingDirectory);
    const options = { timeoutMs: ASK_TIMEOUT_MS };
    directory.ask({ type: "subscribe" }, options).then(
      (answer) => answer.type === "leader" && this.learn(answer.view, this.#linked.get(url) ?? null),
      () => {}, // Its link is lost or it does not answer: other directories, or the nodes, will.
    );
    directory.ask({ type: "list" }, options).then(
      (answer) => {
        if (answer.type !== "members") return;
        for (const { name, url: member } of answer.members) this.#remember(normalUrl(member), name);
      },
      () => {},
    );
  }

  #greetNode(url: string, peer: Peer): void {
    this.#remember(url, peer.hello.name);
    this.#node(url)
      .ask({ type: "subscribe" }, { timeoutMs: ASK_TIMEOUT_MS })
      .then(
        (answer) => answer.type === "leader" && this.learn(answer.view, peer),
        () => {},
      );
    this.#keepFew();
    this.#follow();
  }

  /** Notes a node, and forgets the one that was not heard of for longest if there are too many. */
  #remember(url: string, id: string): void {
    this.#nodes.delete(url);
    this.#nodes.set(url, id);
    if (this.#nodes.size <= NODES_MAX) return;
    for (const old of this.#nodes.keys()) {
      if (this.#seeds.has(old) || old === this.#view.leader?.url) continue;
      this.#nodes.delete(old);
      this.#letGo(old);
      return;
    }
  }

  #node(url: string): NodeRef {
    return this.#options.context.ref(`${url}/${NODE_ACTOR}`, askingNode);
  }

  get #canWait(): boolean {
    return this.#hasLed && this.#options.isIdle();
  }

  /** Nothing is looked for meanwhile: who leads is known. */
  #goThereLater(): void {
    this.#searchTimer?.cancel();
    this.#searchTimer = null;
    if (this.#goThereTimer !== null) return;
    const { clock, random } = this.#options.environment;
    const delayMs = GO_THERE_MS_MIN + random.next() * (GO_THERE_MS_MAX - GO_THERE_MS_MIN);
    this.#goThereTimer = clock.setTimer(delayMs, () => this.#goThere());
  }

  #goThere(): void {
    this.#goThereTimer?.cancel();
    this.#goThereTimer = null;
    this.#follow();
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
    this.#hasLed = true;
    this.#searchTimer?.cancel();
    this.#searchTimer = null;
    this.#searches = 0;
    this.#keepFew();
    if (this.#nodes.size === 1 && this.#directories.length === 0) this.#askForMembers();
    this.#tell({ term, ...leader });
    this.#options.onReady(this.#leader);
  }

  /** While there is a leader to talk to, only links to it and to a witness are needed. */
  #keepFew(): void {
    if (this.#leader === null) return;
    const needed = [this.#leader.url, ...this.#witnessesBeside(this.#leader.url)];
    for (const url of [...this.#kept.keys()]) if (!needed.includes(url)) this.#letGo(url);
    for (const url of needed) this.#keep(url);
  }

  /**
   * Should the leader hang, somebody else has to tell of the next one: directories, or the node in this process, or any
   * other one. As long as none is linked, it may become any of them.
   */
  #witnessesBeside(leader: string): string[] {
    if (this.#ownNode !== null) return [this.#ownNode];
    if (this.#directories.length > 0) return [];
    const others = [...this.#nodes.keys()].filter((url) => url !== leader);
    const linked = others.find((url) => this.#linked.has(url));
    return linked === undefined ? others : [linked];
  }

  #tell(leader: LeaderInfo | null): void {
    if (leader?.term === this.#told?.term && leader?.id === this.#told?.id) return;
    this.#told = leader;
    this.#options.onChange(leader);
  }

  #drop(): void {
    this.#leader = null;
    this.#options.onLost();
  }

  #searchOn(): void {
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
    for (const url of [...this.#nodes.keys()]) {
      this.#keep(url);
      const peer = this.#linked.get(url);
      if (peer !== undefined) this.#greetNode(url, peer);
    }
    this.#searchSoon();
  }

  #keep(url: string): void {
    if (!this.#kept.has(url)) this.#kept.set(url, this.#options.context.keepLink(url));
  }

  #letGo(url: string): void {
    const release = this.#kept.get(url);
    this.#kept.delete(url);
    this.#linked.delete(url); // Nobody tells of the end of a link that was let go.
    release?.();
  }
}
