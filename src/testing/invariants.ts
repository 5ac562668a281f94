/**
 * The promises of Raft, looked after from outside at every event. The properties of Figure 3 of the paper, and what a
 * replica promises with a vote or an acknowledgement: that it is durable.
 */

import type { Raft, RaftStory } from "../raft/index.ts";
import type { DurableLog, Version } from "./durable-log.ts";

/** The names of the invariants, each with what it says. */
export const INVARIANTS = {
  "election-safety": "A term has at most one leader (Figure 3).",
  "leader-append-only": "A leader never removes or replaces entries of its own log (Figure 3).",
  "log-matching": "Entries with the same index and term are the same, and so are all before them (Figure 3).",
  "leader-completeness": "A leader's log holds every entry that was committed before (Figure 3).",
  "state-machine-safety":
    "No two replicas apply different commands, or come to different results, at an index (Figure 3).",
  "one-vote-per-term": "A server gives its vote to one candidate in a term, whatever crashes come between (5.2).",
  "vote-durable": "A vote is counted only once it is durable at the voter.",
  "applied-in-order":
    "A replica applies the entries that are committed, each once, in their order, and leaves none out.",
  "acknowledged-durable": "A leader takes for replicated only what is durable at the follower, and at itself.",
  "committed-durable": "What is committed is durable on a majority.",
  "own-term-counted": "A leader commits by counting only entries of its own term; those before follow (5.4.2).",
  "commit-final": "Once an entry is committed, no server without it could win an election (5.4.1 and 5.4.2).",
  "committed-forever": "What was committed once stays committed, at its index.",
  "one-acting-leader": "Once a newer leader has committed something, an older one commits nothing more.",
  "commit-monotonic": "A server's commit index never goes back while it lives, nor past the end of its log.",
  "recovery-exact": "A restart finds what was flushed, and no more than what was written.",
  "admitted-first": "No vote counts before every other server has taken note of the voter.",
  "admission-kept": "A node that every other has taken note of stays so for as long as it keeps its disk.",
  "leader-in-touch": "A leader that has not heard from a majority for two election timeouts leads no more.",
  "damage-noticed": "A node whose log was damaged where it had been flushed does not start.",
  "directory-order": "What a directory pushes never goes back to an older term.",
  "process-lives": "No process of the cluster fails by itself.",
  linearizable: "What clients saw can be explained by one order of their calls.",
  "client-order": "Commands of one client take effect in the order in which it issued them.",
  "stale-order": "Stale reads of one node never go back in time.",
  "watch-exact":
    "A watch gives every change with its prefix that the log makes, each once, in order, and in the end all.",
  "calls-answered": "Every call ends, with a result or an error.",
  "deadline-kept": "A call ends when its time is up.",
  "comes-to-rest": "Once everything works again, one node leads, all have the same log, and clients know it.",
  "heard-first": "A server that was held up reads what its leader has sent meanwhile before it calls for an election.",
  undisturbed: "While a healthy leader has a healthy majority, nobody deposes it.",
  workload: "What the workload itself checks.",
} as const;

/** The name of a promise that must never be broken. */
export type Invariant = keyof typeof INVARIANTS;

/** Takes what was found broken. */
export type Report = (invariant: Invariant, detail: string) => void;

/** How often something interesting came about. */
export interface Sights {
  /** Elections won. */
  elections: number;
  /** Terms in which more than one server was a candidate. */
  contested: number;
  /** Logs that lost entries to a newer leader's. */
  truncations: number;
}

interface Server {
  readonly raft: Raft;
  readonly disk: DurableLog;
  term: number;
  vote: string | null;
  wasLeader: boolean;
  commitIndex: number;
  /** The term of each entry, the first at index 1. */
  readonly terms: number[];
  /** How often it was looked at. */
  looks: number;
  /** Where its state machine is: the entry, and how many commands of it were applied. */
  applied: { readonly index: number; readonly commands: number };
}

interface Known {
  readonly previousTerm: number;
  readonly payload: Uint8Array;
}

/** A log with the same end is most likely the same; so often it is compared all the same. */
const LOOKS_PER_WHOLE_LOG = 64;

const NOTHING = { index: 0, commands: 0 };

export class Invariants {
  readonly sights: Sights = { elections: 0, contested: 0, truncations: 0 };
  readonly #majority: number;
  readonly #report: Report;
  readonly #isKnown: (id: string) => boolean;
  readonly #servers = new Map<string, Server>();
  /**
   * The durable log of every server. Of one that has lost its disk, what it held at the last: its answers may still be
   * on their way.
   */
  readonly #disks = new Map<string, DurableLog>();
  /** How many commands each entry has brought to the state machine, once a replica is past it. */
  readonly #commands: number[] = [];
  /** The disks of servers that were admitted. */
  readonly #admitted = new Set<DurableLog>();
  readonly #leaders = new Map<number, string>();
  readonly #candidates = new Map<number, string>();
  /** Who got whose vote, by term and voter. */
  readonly #votes = new Map<string, string>();
  /** Every entry ever seen, by index and term. */
  readonly #entries = new Map<string, Known>();
  /** The term of each committed entry, the first at index 1. */
  readonly #committed: number[] = [];
  readonly #applied: { readonly command: Uint8Array; readonly result: Uint8Array }[][] = [];

  /** @param isKnown says whether every other server holds it durably that it has met this one */
  constructor(voters: number, report: Report, isKnown: (id: string) => boolean) {
    this.#majority = Math.floor(voters / 2) + 1;
    this.#report = report;
    this.#isKnown = isKnown;
  }

  /** A server has started, and found this on its disk. */
  started(id: string, raft: Raft, disk: DurableLog): void {
    const { log, term, vote, commitIndex } = raft;
    const terms = Array.from({ length: log.lastIndex }, (_, i) => log.termAt((i + 1) as typeof log.lastIndex) ?? 0);
    const found: Version = { terms, term, vote };
    if (!disk.possible.some((version) => isSame(version, found))) {
      const expected = disk.possible.map((version) => JSON.stringify(version));
      this.#report("recovery-exact", `${id} found ${JSON.stringify(found)}, not ${expected.join(" or ")}`);
    }
    if (this.#admitted.has(disk) && !raft.isAdmitted) this.#report("admission-kept", `${id} has to be admitted again`);
    disk.settle(found);
    this.#disks.set(id, disk);
    this.#servers.set(id, { raft, disk, term, vote, wasLeader: false, commitIndex, terms, looks: 0, applied: NOTHING });
    for (let index = 1; index <= log.lastIndex; index++) this.#checkEntry(id, raft, index);
  }

  /** A server's process has ended. */
  ended(id: string): void {
    this.#servers.delete(id);
  }

  /** Something happened to a server. */
  inspect(id: string): void {
    const server = this.#servers.get(id);
    if (server === undefined) return;
    const { raft } = server;
    if (raft.isAdmitted && !this.#admitted.has(server.disk)) {
      this.#admitted.add(server.disk);
      if (!this.#isKnown(id))
        this.#report("admitted-first", `${id} takes part, and some other server has not noted it`);
    }
    this.#checkTerm(id, server);
    this.#checkLog(id, server);
    if (raft.role.name === "leader") this.#checkLeader(id, server, raft.role);
    else if (raft.role.name === "candidate") this.#checkCandidate(id, raft, raft.role.votes);
    if (raft.commitIndex !== server.commitIndex) this.#checkCommit(id, server);
    server.term = raft.term;
    server.vote = raft.vote;
    server.wasLeader = raft.role.name === "leader";
    server.commitIndex = raft.commitIndex;
  }

  /** A server has told something. */
  told(id: string, story: RaftStory): void {
    if (story.event !== "leader-elected") return;
    this.sights.elections++;
    for (const voter of story.votes) this.#countVote(id, story.term, voter);
  }

  /** A server has applied a command of an entry, the next one of that entry if it is the same as before. */
  applied(id: string, index: number, command: Uint8Array, result: Uint8Array): void {
    const server = this.#servers.get(id);
    if (server === undefined) return; // It has lost its disk, and is nobody's replica any more.
    const { raft, applied } = server;
    if (index < applied.index || index > raft.commitIndex) {
      const bounds = `after entry ${applied.index}, with ${raft.commitIndex} committed`;
      this.#report("applied-in-order", `${id} applies entry ${index} ${bounds}`);
      return;
    }
    if (index > applied.index) this.#passed(id, applied, index);
    const position = index === applied.index ? applied.commands : 0;
    server.applied = { index, commands: position + 1 };
    this.#checkResult(id, index, position, command, result);
  }

  /** Every replica has to take as many commands from an entry, be it none. */
  #passed(id: string, { index, commands }: Server["applied"], next: number): void {
    for (let at = index; at < next; at++) {
      const own = at === index ? commands : 0;
      const others = this.#commands[at] ?? own;
      this.#commands[at] = others;
      if (own === others) continue;
      this.#report(
        "applied-in-order",
        `${id} applies ${own} commands of entry ${at}, and another has applied ${others}`,
      );
    }
  }

  #checkResult(id: string, index: number, position: number, command: Uint8Array, result: Uint8Array): void {
    this.#applied[index] ??= [];
    const known = this.#applied[index][position];
    if (known === undefined) {
      // Machines may use their buffers again.
      this.#applied[index][position] = { command: command.slice(), result: result.slice() };
      return;
    }
    const where = `command ${position + 1} of entry ${index}`;
    if (!equal(known.command, command)) {
      this.#report("state-machine-safety", `${id} applies another ${where} than a replica before it`);
    } else if (!equal(known.result, result)) {
      this.#report("state-machine-safety", `${id} comes to another result for ${where} than a replica before it`);
    }
  }

  #checkTerm(id: string, server: Server): void {
    const { raft } = server;
    if (raft.term < server.term) this.#report("one-vote-per-term", `${id} goes back to term ${raft.term}`);
    if (raft.term === server.term && server.vote !== null && raft.vote !== server.vote) {
      this.#report("one-vote-per-term", `${id} takes its vote for ${server.vote} back in term ${raft.term}`);
    }
  }

  #checkLog(id: string, server: Server): void {
    const { raft, terms } = server;
    const { log } = raft;
    const termAt = (index: number): number => log.termAt(index as typeof log.lastIndex) ?? 0;
    const seemsSame = log.lastIndex === terms.length && log.lastTerm === (terms.at(-1) ?? 0);
    if (seemsSame && ++server.looks % LOOKS_PER_WHOLE_LOG !== 0) return;
    let same = Math.min(log.lastIndex, terms.length);
    while (same > 0 && termAt(same) !== terms[same - 1]) same--;
    if (same < terms.length) {
      this.sights.truncations++;
      if (same < server.commitIndex) this.#report("committed-forever", `${id} removes committed entry ${same + 1}`);
      if (server.wasLeader && raft.role.name === "leader" && raft.term === server.term) {
        this.#report("leader-append-only", `${id} removes entry ${same + 1} of its own in term ${raft.term}`);
      }
    }
    terms.length = same;
    for (let index = same + 1; index <= log.lastIndex; index++) {
      terms.push(termAt(index));
      this.#checkEntry(id, raft, index);
    }
  }

  #checkEntry(id: string, { log }: Raft, index: number): void {
    const at = index as typeof log.lastIndex;
    const [entry] = log.slice(at, 0, at) ?? [];
    if (entry === undefined) return; // It has left memory; it was checked when it came.
    const previousTerm = log.termAt((index - 1) as typeof log.lastIndex) ?? 0;
    const key = `${index}/${entry.term}`;
    const known = this.#entries.get(key);
    if (known === undefined) {
      this.#entries.set(key, { previousTerm, payload: entry.payload });
    } else if (known.previousTerm !== previousTerm || !equal(known.payload, entry.payload)) {
      this.#report("log-matching", `${id} has another entry ${index} of term ${entry.term} than a server before it`);
    }
  }

  #checkLeader(id: string, server: Server, role: Raft["role"] & { readonly name: "leader" }): void {
    const { raft, disk } = server;
    if (!server.wasLeader || server.term !== raft.term) {
      const other = this.#leaders.get(raft.term);
      if (other !== undefined && other !== id) {
        this.#report("election-safety", `${other} and ${id} both lead term ${raft.term}`);
      }
      this.#leaders.set(raft.term, id);
      const last = this.#committed.length;
      const newestTerm = this.#committed.at(-1) ?? 0;
      // An older leader may be elected late; what newer ones have committed is not its business.
      const term = raft.log.termAt(last as typeof raft.log.lastIndex);
      if (newestTerm < raft.term && term !== newestTerm) {
        this.#report("leader-completeness", `${id} leads term ${raft.term} without committed entry ${last}`);
      }
    }
    const heardMs = [...role.followers.values()].map((follower) => follower.heardMs).sort((a, b) => b - a);
    const outOfTouchMs = raft.nowMs - (heardMs[this.#majority - 2] ?? raft.nowMs);
    if (outOfTouchMs > 2 * raft.config.electionTimeoutMinMs) {
      this.#report("leader-in-touch", `${id} leads, and has heard from no majority for ${outOfTouchMs.toFixed(0)} ms`);
    }
    this.#checkDurable(id, id, raft, disk, raft.durableIndex);
    for (const [follower, { match }] of role.followers) {
      const theirs = this.#disks.get(follower);
      if (theirs !== undefined) this.#checkDurable(id, follower, raft, theirs, match);
    }
  }

  /** The leader thinks that `owner` holds everything up to `index`. What a newer leader has replaced since is no lie. */
  #checkDurable(leader: string, owner: string, raft: Raft, disk: DurableLog, index: number): void {
    if (disk.term > raft.term || disk.termAt(index) === raft.log.termAt(index as typeof raft.log.lastIndex)) return;
    this.#report("acknowledged-durable", `${leader} counts entry ${index} at ${owner}, where it is not durable`);
  }

  #checkCandidate(id: string, raft: Raft, votes: ReadonlyMap<string, boolean>): void {
    const other = this.#candidates.get(raft.term);
    if (other === undefined) this.#candidates.set(raft.term, id);
    else if (other !== id && other !== "several") {
      this.#candidates.set(raft.term, "several");
      this.sights.contested++;
    }
    for (const [voter, isGranted] of votes) if (isGranted) this.#countVote(id, raft.term, voter);
  }

  #countVote(candidate: string, term: number, voter: string): void {
    const key = `${term}/${voter}`;
    const before = this.#votes.get(key);
    if (before === candidate) return;
    if (before !== undefined) {
      this.#report("one-vote-per-term", `${voter} votes for ${before} and for ${candidate} in term ${term}`);
    }
    this.#votes.set(key, candidate);
    const disk = this.#disks.get(voter);
    if (disk !== undefined && !this.#admitted.has(disk)) {
      this.#report("admitted-first", `${candidate} counts the vote of ${voter}, which not all have met`);
    }
    if (disk !== undefined && (disk.term < term || (disk.term === term && disk.vote !== candidate))) {
      this.#report("vote-durable", `${candidate} counts the vote of ${voter} in term ${term}, which is not durable`);
    }
  }

  #checkCommit(id: string, { raft, commitIndex: before, wasLeader, term: termBefore }: Server): void {
    const { log, commitIndex } = raft;
    const counts = wasLeader && raft.role.name === "leader" && raft.term === termBefore;
    if (counts && log.termAt(commitIndex) !== raft.term) {
      this.#report("own-term-counted", `${id} commits up to entry ${commitIndex} of an earlier term in ${raft.term}`);
    }
    if (commitIndex < before || commitIndex > log.lastIndex) {
      this.#report("commit-monotonic", `${id} goes from commit index ${before} to ${commitIndex} of ${log.lastIndex}`);
      return;
    }
    for (let index = before + 1; index <= commitIndex; index++) {
      const term = log.termAt(index as typeof log.lastIndex) ?? 0;
      const known = this.#committed[index - 1];
      if (known !== undefined && known !== term) {
        this.#report("committed-forever", `${id} commits entry ${index} of term ${term}, not of term ${known}`);
      }
      if (known !== undefined) continue;
      const newestTerm = this.#committed.at(-1) ?? 0;
      if (raft.role.name === "leader" && raft.term < newestTerm) {
        this.#report(
          "one-acting-leader",
          `${id} commits entry ${index} in term ${raft.term}, after term ${newestTerm}`,
        );
      }
      this.#committed[index - 1] = term;
      const holders = [...this.#disks.values()].filter((disk) => disk.termAt(index) === term).length;
      if (holders < this.#majority) {
        this.#report("committed-durable", `${id} commits entry ${index}, which is durable on ${holders} disks`);
      }
      if (index === commitIndex) this.#checkFinal(id, index, term);
    }
  }

  /** Of entries that are committed together only the last is counted by the leader: with it, all are safe. */
  #checkFinal(id: string, index: number, term: number): void {
    const disks = [...this.#disks];
    for (const [candidate, disk] of disks) {
      if (disk.termAt(index) === term) continue;
      const votes = disks.filter(([, voter]) => isUpToDate(disk, voter)).length;
      if (votes < this.#majority) continue;
      this.#report("commit-final", `${id} commits entry ${index}, and ${candidate} could be elected without it`);
    }
  }
}

const isSame = (a: Version, b: Version): boolean =>
  a.term === b.term &&
  a.vote === b.vote &&
  a.terms.length === b.terms.length &&
  a.terms.every((term, i) => term === b.terms[i]);

/** Could the one have the other's vote, by their logs? */
function isUpToDate(candidate: DurableLog, voter: DurableLog): boolean {
  const theirs = candidate.termAt(candidate.lastIndex) ?? 0;
  const own = voter.termAt(voter.lastIndex) ?? 0;
  return theirs > own || (theirs === own && candidate.lastIndex >= voter.lastIndex);
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true;
  if (a.byteLength !== b.byteLength) return false;
  for (let i = 0; i < a.byteLength; i++) if (a[i] !== b[i]) return false;
  return true;
}
