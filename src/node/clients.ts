/** What clients want of this node: their commands in the log, their reads answered, their sessions kept. */

import type { Answer, Peer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import { busy, ConclaveError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { type Applied, decodeList, encodeList, encodePayload, type Payload, stampTime } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import type { LeaderView } from "../protocol/leader.ts";
import { type NodeAnswer, type NodeMessage, QUERIES_MAX } from "../protocol/node.ts";
import {
  configurationOf,
  type Effects,
  type Entry,
  knownLeader,
  memberNamed,
  type Raft,
  type RaftEvent,
  type RaftStory,
} from "../raft/index.ts";
import { admit } from "./admission.ts";
import type { Divergence } from "./divergence.ts";
import { Polls } from "./polls.ts";
import { notLeader, Proposals } from "./proposals.ts";
import { Reads } from "./reads.ts";
import { SessionKeeper } from "./session-keeper.ts";

export interface ClientsParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly replica: Replica;
  readonly limits: Limits;
  view(): LeaderView;
  /** @throws ConclaveError `BUSY`, `DISK_FULL` if the disks take nothing more just now */
  checkDisks(): void;
  /** Is the state one to answer from? */
  readonly divergence: Pick<Divergence, "isSound" | "check">;
  /** Has this node anything of its own to show? An empty state is not an old one. */
  canShow(): boolean;
  /** The link to this client is to be watched. */
  watch(peer: Peer): void;
  /** Calls `run` again in a later turn. */
  continueLater(): void;
}

type Message<Type extends NodeMessage["type"]> = Extract<NodeMessage, { type: Type }>;

/** A read of nothing tells when reads may be answered. */
const NO_QUERIES = {
  type: "queries",
  consistency: "linearizable",
  anywhere: true,
  minIndex: 0,
  queries: encodeList([]),
} as const satisfies NodeMessage;

/** So many may wait for one hand-over of leadership. */
const HEIRS_MAX = 100;
/** How soon sessions may have ended that nobody uses, a newcomer may take part, and a hand-over may be over. */
const SESSIONS_RETRY_MS = 1_000;
const NEWCOMER_RETRY_MS = 250;
const TRANSFER_RETRY_MS = 100;

export class Clients {
  readonly #parts: ClientsParts;
  readonly #proposals: Proposals;
  readonly #sessions: SessionKeeper;
  readonly #reads: Reads;
  readonly #polls: Polls;
  /** Sessions that are proposed and not applied yet. */
  #opening = 0;
  /** Who wants to know how the hand-over of leadership under way ends. */
  #heirs: Answer<NodeAnswer>[] = [];
  #wasLeader = false;

  constructor(parts: ClientsParts) {
    const { replica, limits, clock, continueLater } = parts;
    this.#parts = parts;
    this.#proposals = new Proposals(limits, clock);
    this.#sessions = new SessionKeeper(replica, limits.sessionTimeoutMs);
    this.#reads = new Reads({ clock, replica, limits, continueLater });
    const leaderTimeoutMs = parts.raft.config.electionTimeoutMaxMs;
    this.#polls = new Polls({ clock, replica, limits, leaderTimeoutMs, continueLater });
  }

  get #isLeader(): boolean {
    return this.#parts.raft.role.name === "leader";
  }

  /** @throws ConclaveError see `admit`; `NOT_LEADER`, `BUSY`, `DISK_FULL` */
  takeBatch(batch: Uint8Array, peer: Peer | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    this.#checkRoom(peer);
    const session = admit(batch, this.#parts.replica, this.#parts.limits);
    if (peer !== null) this.holdSession(session, peer);
    stampTime(batch, this.#parts.clock.timeMs());
    this.#propose(batch, peer, answer, events);
  }

  /** @throws ConclaveError `NOT_LEADER`, `BUSY`, `DISK_FULL` */
  openSession(peer: Peer | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    const { replica, limits, watch } = this.#parts;
    this.#checkRoom(peer);
    if (replica.sessionCount + this.#opening >= limits.sessionsMax) {
      throw busy(`${replica.sessionCount} sessions are open, of ${limits.sessionsMax}.`, SESSIONS_RETRY_MS);
    }
    if (peer !== null && !this.#sessions.hasRoom(peer)) {
      throw busy("Too many sessions of this connection are open.", SESSIONS_RETRY_MS);
    }
    if (peer !== null) watch(peer);
    this.#opening++;
    const counted: Answer<NodeAnswer> = {
      ok: (opened) => {
        this.#opening--;
        if (peer !== null && opened.type === "session") this.#sessions.opened(opened.session, peer);
        answer.ok(opened);
      },
      fail: (error) => {
        this.#opening--;
        answer.fail(error);
      },
    };
    this.#propose(encodePayload({ type: "open-session" }), peer, counted, events);
  }

  /** @throws ConclaveError `NOT_LEADER`, `BUSY`; RangeError if the bytes are no queries */
  read(
    { consistency, anywhere, minIndex, queries: bytes }: Message<"queries">,
    peer: Peer | null,
    answer: Answer<NodeAnswer>,
    events: RaftEvent[],
  ): void {
    this.#checkShows();
    const queries = decodeList(bytes, QUERIES_MAX);
    if (consistency === "stale") this.#reads.askStale(queries, minIndex, answer, peer);
    else if (!anywhere && !this.#isLeader) throw notLeader(this.#parts.view());
    else events.push({ type: "read", ticket: this.#reads.ask(queries, answer, peer), lease: consistency === "lease" });
  }

  /** Calls `act` once all is applied here that was acknowledged before, be it by another node. @throws like `read` */
  catchUp(act: () => void, peer: Peer | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    this.read(NO_QUERIES, peer, { ok: act, fail: answer.fail }, events);
  }

  /** A question that waits until there is something to answer. @throws ConclaveError `BUSY`, `NO_LEADER` */
  poll(message: Message<"poll">, peer: Peer | null, answer: Answer<NodeAnswer>): void {
    this.#checkShows();
    if (peer !== null) this.#parts.watch(peer);
    this.#polls.ask(message, peer, answer);
  }

  /** The one who asked does not wait any longer. */
  endPoll(id: number, peer: Peer): void {
    this.#polls.end(id, peer);
  }

  /** @throws ConclaveError `NOT_LEADER`, `INVALID_ARGUMENT`, `BUSY` */
  transfer(to: string | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    const { raft, view } = this.#parts;
    if (!this.#isLeader) throw notLeader(view());
    if (to === raft.config.id) {
      answer.ok({ type: "done" });
      return;
    }
    const heir = to === null ? null : memberNamed(configurationOf(raft), to);
    if (heir === undefined) throw new ConclaveError("INVALID_ARGUMENT", `${to} is no member.`);
    if (heir?.role === "learner") throw new ConclaveError("INVALID_ARGUMENT", `${to} is a learner, and can't lead.`);
    if (this.#heirs.length >= HEIRS_MAX) throw busy("Leadership is being handed over.", TRANSFER_RETRY_MS);
    this.#heirs.push(answer);
    events.push({ type: "transfer", to });
  }

  /** The state is wrong: whoever waits for an answer from it gets none. */
  refuse(why: ConclaveError): void {
    this.#reads.refuse(why);
    this.#polls.refuse(why);
    this.#abandon();
  }

  /** Something came over this link for this session. */
  holdSession(session: number, peer: Peer): void {
    if (!this.#sessions.hold(session, peer)) this.#parts.watch(peer);
  }

  linkLost(peer: Peer): void {
    this.#sessions.linkLost(peer, this.#parts.clock.nowMs());
    this.#polls.linkLost(peer);
  }

  /** The leader proposes to end what has been idle for too long. */
  expireSessions(events: RaftEvent[]): void {
    const sessions = this.#sessions.idle(this.#parts.clock.nowMs());
    if (!this.#isLeader || !this.#parts.divergence.isSound || sessions.length === 0) return;
    this.propose({ type: "expire-sessions", sessions }, events);
  }

  /** The leader proposes something of its own. */
  propose(payload: Payload, events: RaftEvent[]): void {
    this.#propose(encodePayload(payload), null, null, events);
  }

  /** Somebody wants states to be compared. @throws ConclaveError `NOT_LEADER`, `DIVERGED`, `BUSY`, `DISK_FULL` */
  compare(peer: Peer | null, answer: Answer<NodeAnswer>, events: RaftEvent[]): void {
    this.#checkRoom(peer);
    this.#propose(encodePayload({ type: "compare" }), peer, answer, events);
  }

  /** What the core has made of proposals. */
  place({ proposals }: Effects): void {
    for (const outcome of proposals) this.#proposals.place(outcome, this.#parts.view());
  }

  /** Leadership may have come or gone: if it is lost, what waits for it is told so. */
  noteRole(story: readonly RaftStory[]): void {
    if (!this.#isLeader) this.#proposals.abandon();
    else if (!this.#parts.divergence.isSound) this.#abandon();
    if (!this.#wasLeader && this.#isLeader) this.#sessions.restart();
    this.#wasLeader = this.#isLeader;
    const hasFailed = story.some(({ event }) => event === "transfer-failed");
    if (this.#isLeader && !hasFailed) return;
    for (const answer of this.#heirs.splice(0)) {
      if (!this.#isLeader) answer.ok({ type: "done" });
      else answer.fail(new ConclaveError("TRANSFER_FAILED", "The other node is not reached, or did not take over."));
    }
  }

  applied(entry: Entry, applied: Applied | null): void {
    this.#proposals.applied(entry.index, entry.term, applied);
  }

  /** What the core has made of reads. */
  takeReads({ reads }: Effects): void {
    this.#reads.take(reads, this.#parts.view());
  }

  /** Answers the reads that may be answered, as far as there is time. */
  run(): void {
    this.#reads.run();
    this.#polls.run(knownLeader(this.#parts.raft) !== null);
  }

  /** No timer fires after this. */
  stop(): void {
    this.#reads.stop();
    this.#polls.stop();
  }

  /** Another leader is to say what has come of what was proposed: its state tells, and this one does not. */
  #abandon(): void {
    const why = "The state of this node is wrong, and can't tell what has come of the command.";
    this.#proposals.abandon(new ConclaveError("UNKNOWN_OUTCOME", why));
  }

  /**
   * Before it takes part it has nothing of its own to show, and an empty state is not an old one.
   *
   * @throws ConclaveError `BUSY`, `DIVERGED`
   */
  #checkShows(): void {
    this.#parts.divergence.check();
    if (!this.#parts.canShow()) throw busy("This node takes no part in its cluster yet.", NEWCOMER_RETRY_MS);
  }

  /** @throws ConclaveError `NOT_LEADER`, `DIVERGED`, `BUSY`, `DISK_FULL` */
  #checkRoom(peer: Peer | null): void {
    if (!this.#isLeader) throw notLeader(this.#parts.view());
    this.#parts.divergence.check();
    this.#parts.checkDisks();
    this.#proposals.checkRoom(peer);
  }

  #propose(payload: Uint8Array, peer: Peer | null, answer: Answer<NodeAnswer> | null, events: RaftEvent[]): void {
    events.push({ type: "propose", ticket: this.#proposals.offer(payload, answer, peer), payload });
  }
}
