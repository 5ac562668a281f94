/**
 * This node's place among the members, and the others': whom to keep links to, who has met whom, who is to be taken in,
 * and when it is over for this node itself. What is decided is decided in the log; this here asks and notices.
 */

import type { Answer, Peer } from "../actor/index.ts";
import { normalUrl } from "../actor/index.ts";
import { busy, ConclaveError } from "../errors.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { MemberView, MemberWish, NodeAnswer, NodeMessage } from "../protocol/node.ts";
import {
  type Configured,
  canCampaign,
  configurationAt,
  configurationOf,
  isJoint,
  isQuorum,
  knownLeader,
  type Member,
  memberNamed,
  newestOf,
  type Raft,
  type RaftEvent,
  type Wish,
} from "../raft/index.ts";
import { Changes } from "./changes.ts";
import type { Peers } from "./peers.ts";
import { notLeader } from "./proposals.ts";

export type MembersStory =
  /** A node whose disk is empty takes no part before the others, who are named, have all taken note of it. */
  | { readonly event: "newcomer"; readonly waitsFor: readonly string[] }
  | { readonly event: "admitted" }
  /** The others know another one by this node's name: it has lost its disk, and has to be taken in anew. */
  | { readonly event: "unrecognized"; readonly by: string }
  | { readonly event: "removed" };

export interface MembersParts {
  readonly raft: Raft;
  readonly peers: Peers;
  /** Where this node is reached. */
  readonly url: string;
  /** It was told to join a cluster. */
  readonly isJoining: boolean;
  /** It was taken out before. */
  readonly isRemoved: boolean;
  view(): LeaderView;
  firstMet(id: string): string | null;
  /** Sends a message to another node. */
  send(peer: Peer, message: NodeMessage): void;
  /** Keeps a link to a node; undone by the function returned. */
  keepLink(url: string): () => void;
  readonly tell: (story: MembersStory) => void;
  /** Every founder has taken note of this node. */
  onRecognized(): void;
  /** The members go on without this node, for good. */
  onRemoved(): void;
}

/** How soon the leader will have written down whom it has met. */
const NOTE_RETRY_MS = 100;

type Join = Extract<NodeMessage, { type: "join" }>;

export class Members {
  readonly #parts: MembersParts;
  readonly changes: Changes;
  readonly #kept = new Map<string, () => void>();
  /** Founders that have taken note of this node, as long as that matters. */
  readonly #recognizedBy = new Set<string>();
  /** Members that say that this node is none, since they have last been asked. */
  readonly #disownedBy = new Set<string>();
  #isUnrecognized = false;
  #wasMember = false;
  #isOver = false;
  /** When the leader was last known, and when the others were last asked. */
  #lastLedMs = 0;
  #askedMs = 0;

  constructor(parts: MembersParts) {
    this.#parts = parts;
    this.changes = new Changes(parts.raft);
  }

  /** The other members, by name. */
  get others(): Member[] {
    const { raft } = this.#parts;
    return configurationOf(raft).members.filter(({ id }) => id !== raft.config.id);
  }

  get own(): Member | undefined {
    const { raft } = this.#parts;
    return memberNamed(configurationOf(raft), raft.config.id);
  }

  /** How the members are told to those who ask. */
  get views(): MemberView[] {
    return configurationOf(this.#parts.raft).members.map(({ id, url, role, priority, incarnation, promotion }) => ({
      id,
      url,
      role,
      priority,
      incarnation,
      promotion,
    }));
  }

  start(nowMs: number): void {
    const { raft, tell } = this.#parts;
    this.#lastLedMs = nowMs;
    this.keepLinks();
    if (!canCampaign(raft) && this.own !== undefined && this.own.incarnation === null) {
      tell({ event: "newcomer", waitsFor: this.others.map(({ id }) => id) });
    }
  }

  /**
   * Keeps links to whoever is a member, and to nobody who is not for certain: until a change is committed, those who are
   * to leave are needed for it, the leader among them.
   */
  keepLinks(): void {
    const { configurations, commitIndex, config } = this.#parts.raft;
    const certain = Math.max(
      0,
      configurations.findLastIndex(({ index }) => index <= commitIndex),
    );
    const members = configurations.slice(certain).flatMap(({ configuration }) => configuration.members);
    const wanted = new Set(members.filter(({ id }) => id !== config.id).map(({ url }) => normalUrl(url)));
    for (const [url, release] of this.#kept) {
      if (wanted.has(url)) continue;
      this.#kept.delete(url);
      release();
      this.#parts.peers.forget(url); // Nobody tells of the end of a link that was let go.
    }
    for (const url of wanted) if (!this.#kept.has(url)) this.#kept.set(url, this.#parts.keepLink(url));
  }

  /** A link to another node has come up: it is told what this one thinks of it. */
  greet(peer: Peer): void {
    const { raft, peers, send } = this.#parts;
    const { index, configuration } = newestOf(raft);
    const isGenuine = peers.isGenuine(peer);
    if (isGenuine === true) {
      // Where the log names it, the log has to tell it so: it may be the one that came after the one that had promised.
      const isInLog = memberNamed(configuration, peer.hello.name)?.incarnation !== null;
      if (!isInLog) send(peer, { type: "recognized" });
    } else if (isGenuine === false || index > 0) send(peer, { type: "unrecognized" });
  }

  /** Only if none of the founders has met another one under its name can this node not have promised anything before. */
  recognized(peer: Peer): void {
    const { raft, onRecognized } = this.#parts;
    if (raft.isAdmitted || this.own?.incarnation !== null || this.#recognizedBy.has(peer.hello.name)) return;
    this.#recognizedBy.add(peer.hello.name);
    if (this.others.every(({ id }) => this.#recognizedBy.has(id))) onRecognized();
  }

  /** Whoever says so: all that this node began with may have been replaced. What comes of it is for the leader to say. */
  unrecognized(peer: Peer): void {
    if (this.#isUnrecognized || this.own?.incarnation !== null) return;
    this.#isUnrecognized = true;
    this.#parts.tell({ event: "unrecognized", by: peer.hello.name });
  }

  /**
   * It wants a place back, and no new one: what is committed has once named this very process, or it was started under
   * the name of a member without being told to join. If nobody has that name any more, it was taken out.
   */
  get wasMember(): boolean {
    return this.#wasMember || !this.#parts.isJoining;
  }

  /** Has this node to be taken in, or its address to be made known? */
  get hasToJoin(): boolean {
    const { raft, url, isJoining, isRemoved } = this.#parts;
    if (isRemoved || this.#isOver || raft.role.name === "leader") return false;
    const { own } = this;
    if (own === undefined) return isJoining && !this.#wasMember;
    // What has taken it in may never be committed: then nobody who leads knows of it, and it has to ask again.
    if (isJoining && !this.#wasMember && knownLeader(raft) === null) return true;
    if (own.incarnation === null && !raft.isAdmitted) return this.#isUnrecognized;
    if (own.incarnation !== null && own.incarnation !== raft.config.incarnation) return true;
    if (normalUrl(own.url) !== url) return true;
    // The same goes for what has made its address known.
    const certain = memberNamed(configurationAt(raft, raft.commitIndex), raft.config.id);
    return certain !== undefined && normalUrl(certain.url) !== url && knownLeader(raft) === null;
  }

  /** A node asks to be taken in. @throws ConclaveError `NOT_LEADER`, `NOT_ENTITLED`, `NAME_TAKEN`, `BUSY` */
  join(
    { id, url, incarnation, wasMember }: Join,
    peer: Peer | null,
    answer: Answer<NodeAnswer>,
    events: RaftEvent[],
  ): void {
    const { raft, peers, firstMet } = this.#parts;
    if (peer?.hello.name !== id || peer.hello.incarnation !== incarnation) {
      throw new ConclaveError("NOT_ENTITLED", `Only ${id} itself may ask for ${id} to be taken in.`);
    }
    this.#checkLeads();
    const member = memberNamed(configurationOf(raft), id);
    const known = member === undefined ? null : (member.incarnation ?? firstMet(id));
    if (known !== null && known !== incarnation && peers.isLinked(id)) {
      throw new ConclaveError("NAME_TAKEN", `${id} is a member, and runs elsewhere with other data: use another name.`);
    }
    // Before the log names the one that was met first, another one would pass for it.
    if (member?.incarnation === null && known !== null && known !== incarnation) {
      throw busy(`${id} was met with other data, which is not in the log yet.`, NOTE_RETRY_MS);
    }
    const isKnown = member?.incarnation === incarnation && normalUrl(member.url) === normalUrl(url);
    if (isKnown) answer.ok({ type: "done" });
    else if (member === undefined && wasMember) {
      throw new ConclaveError("NOT_ENTITLED", `${id} was taken out of the cluster.`);
    } else if (member === undefined) {
      this.#change([{ type: "add", id, url, incarnation, votes: true, priority: 0 }], answer, events);
    } else this.#change([{ type: "move", id, url, incarnation }], answer, events);
  }

  /** Somebody wants other members. @throws ConclaveError `NOT_LEADER`, `BUSY` */
  change(wishes: readonly MemberWish[], answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    this.#checkLeads();
    this.#change(wishes.map(toWish), answer, events);
  }

  /** One that hears no leader wants to know whether it is forgotten: it is if that is certain. */
  isForgotten(peer: Peer): number | null {
    const { raft } = this.#parts;
    const { index, configuration } = newestOf(raft);
    const isCertain = knownLeader(raft) !== null && index <= raft.commitIndex && !isJoint(configuration);
    return isCertain && memberNamed(configuration, peer.hello.name) === undefined ? index : null;
  }

  /** A member says that this node is none. If a quorum does, so it is. */
  disowned(peer: Peer, index: number): void {
    const { raft } = this.#parts;
    const { index: own, configuration } = newestOf(raft);
    // It may not have heard yet that this node was taken in.
    if (index < own || (index === own && this.own !== undefined)) return;
    this.#disownedBy.add(peer.hello.name);
    if (isQuorum(configuration, (id) => id === raft.config.id || this.#disownedBy.has(id))) this.#over();
  }

  /** Looks after what comes up with time, and with what the core has done. */
  tend(nowMs: number, events: RaftEvent[]): void {
    const { raft, peers, send } = this.#parts;
    this.changes.settle();
    this.#noteOwnFate();
    this.#noteMembers(events);
    if (knownLeader(raft) !== null) {
      this.#lastLedMs = nowMs;
      this.#disownedBy.clear();
      return;
    }
    const { electionTimeoutMaxMs } = raft.config;
    if (nowMs - this.#lastLedMs < electionTimeoutMaxMs || nowMs - this.#askedMs < electionTimeoutMaxMs) return;
    this.#askedMs = nowMs;
    for (const peer of peers.all) send(peer, { type: "am-i-a-member" });
  }

  /** It is over once the members without this node are certain; while it catches up it meets those from before it came. */
  #noteOwnFate(): void {
    const { raft } = this.#parts;
    // What is not committed may still be taken back, and then this node was never taken in.
    this.#wasMember ||= raft.configurations.some((one) => one.index <= raft.commitIndex && this.#isNamed(one));
    const isCertain = newestOf(raft).index <= raft.commitIndex && raft.role.name !== "leader";
    if (this.own === undefined && this.#wasMember && isCertain) this.#over();
  }

  /** Is it this very process that a configuration has under its name? */
  #isNamed({ configuration }: Configured): boolean {
    const { config, isAdmitted } = this.#parts.raft;
    const member = memberNamed(configuration, config.id);
    if (member === undefined) return false;
    return member.incarnation === null ? isAdmitted : member.incarnation === config.incarnation;
  }

  /**
   * A leader writes down which processes the members are, so that none of them can lose its disk unnoticed by those who
   * have not met it before; and where it is itself, if it has moved.
   */
  #noteMembers(events: RaftEvent[]): void {
    const { raft, peers, firstMet, url: ownUrl } = this.#parts;
    const { role, config, commitIndex } = raft;
    const { index, configuration } = newestOf(raft);
    if (role.name !== "leader" || role.transfer !== null) return;
    if (commitIndex < role.firstIndex || index > commitIndex || isJoint(configuration)) return;
    const wishes = configuration.members.flatMap(({ id, url, incarnation }): Wish[] => {
      const isSelf = id === config.id;
      // Its link may have stood before anybody made it a member: then it was not taken note of as it came up.
      const met = (): string | null => firstMet(id) ?? peers.get(id)?.hello.incarnation ?? null;
      const known = isSelf ? config.incarnation : met();
      if (isSelf && normalUrl(url) !== ownUrl) return [{ type: "move", id, url: ownUrl, incarnation: known }];
      return incarnation === null && known !== null ? [{ type: "move", id, url, incarnation: known }] : [];
    });
    if (wishes.length > 0) this.#change(wishes, null, events);
  }

  #change(wishes: readonly Wish[], answer: Answer<NodeAnswer> | null, events: RaftEvent[]): void {
    events.push({ type: "change", ticket: this.changes.offer(answer), wishes });
  }

  #checkLeads(): void {
    if (this.#parts.raft.role.name !== "leader") throw notLeader(this.#parts.view());
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.tell({ event: "removed" });
    this.#parts.onRemoved();
  }
}

/** Whoever asks knows names and addresses; who is behind them is found out when they are met. */
function toWish(wish: MemberWish): Wish {
  return wish.type === "add" || wish.type === "replace" ? { ...wish, incarnation: null } : wish;
}
