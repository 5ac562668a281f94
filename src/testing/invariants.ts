/**
 * The promises of Raft, looked after from outside at every event. The properties of Figure 3 of the paper, and what a
 * replica promises with a vote or an acknowledgement: that it is durable.
 */

import {
  type Configuration,
  configurationOf,
  decodeConfiguration,
  type Entry,
  EntryKind,
  memberNamed,
  type Raft,
  type RaftStory,
} from "../raft/index.ts";
import { Disks } from "./disks.ts";
import type { DurableLog, Version } from "./durable-log.ts";
import type { FoundSnapshot } from "./durable-snapshots.ts";
import type { Report, Sights } from "./invariant-names.ts";
import { Memberships, type Placed } from "./memberships.ts";
import { suffices } from "./quorums.ts";
import { equal, Replicas } from "./replicas.ts";

export { INVARIANTS, type Invariant, type Report, type Sights } from "./invariant-names.ts";

interface Server {
  readonly raft: Raft;
  readonly disk: DurableLog;
  term: number;
  vote: string | null;
  wasLeader: boolean;
  commitIndex: number;
  /** What it went by. */
  configuration: Configuration;
  /** Since when, by its clock. */
  configuredMs: number;
  /** Where its log began. */
  base: number;
  /** The term of each entry, the first at index 1, those that are in a snapshot included. */
  readonly terms: number[];
  /** The configurations in its log. */
  configurations: Placed[];
  /** How often it was looked at. */
  looks: number;
}

interface Known {
  readonly previousTerm: number;
  readonly payload: Uint8Array;
  readonly configuration: Configuration | null;
}

/** A log with the same end is most likely the same; so often it is compared all the same. */
const LOOKS_PER_WHOLE_LOG = 64;

export class Invariants {
  readonly replicas: Replicas;
  readonly #sights = { elections: 0, contested: 0, truncations: 0 };
  readonly #report: Report;
  readonly #isKnown: (id: string) => boolean;
  readonly #onEntry: (id: string, entry: Entry) => void;
  readonly #servers = new Map<string, Server>();
  readonly #disks = new Disks();
  readonly #memberships: Memberships;
  readonly #leaders = new Map<number, string>();
  readonly #candidates = new Map<number, string>();
  /** Who got whose vote, by term and disk. */
  readonly #votes = new Map<number, Map<DurableLog, string>>();
  /** Every entry ever seen, by index and term. */
  readonly #entries = new Map<string, Known>();
  /** The term of each committed entry, the first at index 1. */
  readonly #committed: number[] = [];
  /** The state that snapshots hold, by index. */
  readonly #snapshots = new Map<number, { readonly id: string; readonly digest: number }>();

  /**
   * @param isKnown says whether every other founder holds it durably that it has met this one
   * @param onEntry is told of each entry as the first server has it: its leader
   */
  constructor(
    report: Report,
    isKnown: (id: string) => boolean,
    onEntry: (id: string, entry: Entry) => void = () => {},
  ) {
    this.#report = report;
    this.#onEntry = onEntry;
    this.#isKnown = isKnown;
    this.replicas = new Replicas(report);
    this.#memberships = new Memberships(report);
  }

  get sights(): Sights {
    return { ...this.#sights, configurations: this.#memberships.changes };
  }

  /** The members by what is committed; null before anything is known of them. */
  get members(): Configuration | null {
    return this.#memberships.newest?.configuration ?? null;
  }

  /** Which disks may stand for a member. */
  get disks(): Disks {
    return this.#disks;
  }

  /** A server has started, and found this on its disk. */
  started(id: string, raft: Raft, disk: DurableLog): void {
    const { log, term, vote, commitIndex, snapshot } = raft;
    const { incarnation } = raft.config;
    const behind = Array.from(
      { length: log.lastIndex - log.base.index },
      (_, i) => log.termAt((log.base.index + i + 1) as typeof log.lastIndex) ?? 0,
    );
    const found: Version = { snapshot: snapshot.index, goesOn: raft.reset === null, terms: behind, term, vote };
    if (snapshot.index === 0) this.#memberships.begin(snapshot.configuration);
    if (
      !disk.settle(
        found,
        snapshot.index === 0 ? snapshot.configuration : (this.#memberships.at(0) ?? snapshot.configuration),
      )
    ) {
      const expected = disk.possible.map((version) => JSON.stringify(version));
      this.#report("recovery-exact", `${id} found ${JSON.stringify(found)}, not ${expected.join(" or ")}`);
    }
    if (this.#disks.isAdmitted(disk) && !raft.isAdmitted) {
      this.#report("admission-kept", `${id} has to be admitted again`);
    }
    this.#disks.add({ id, incarnation, disk });
    const server: Server = {
      raft,
      disk,
      term,
      vote,
      wasLeader: false,
      commitIndex,
      configuration: configurationOf(raft),
      configuredMs: raft.nowMs,
      base: log.base.index,
      terms: this.#committed.slice(0, log.base.index),
      configurations: [],
      looks: 0,
    };
    this.#servers.set(id, server);
    this.#checkBase(id, server);
    this.#take(id, server);
  }

  /** A server's process has ended. */
  ended(id: string): void {
    this.#servers.delete(id);
    this.replicas.end(id);
  }

  /** A machine has lost its disk for good. */
  lost(disk: DurableLog): void {
    this.#disks.lose(disk);
  }

  /** A snapshot is durable on the disk of a server. */
  hasSnapshot(id: string, found: FoundSnapshot): void {
    const { index, term, digest } = found;
    const expected = this.#committed[index - 1];
    if (expected !== term) {
      this.#report(
        "snapshot-exact",
        `${id} has a snapshot of entry ${index} of term ${term}, committed in ${expected}`,
      );
    }
    this.#memberships.checkSnapshot(id, found);
    if (this.replicas.wasAnyWrong) return;
    const known = this.#snapshots.get(index);
    if (known === undefined) this.#snapshots.set(index, { id, digest });
    else if (known.digest !== digest) {
      this.#report("snapshot-exact", `the snapshots of entry ${index} of ${id} and of ${known.id} are not the same`);
    }
  }

  /** Something happened to a server. */
  inspect(id: string): void {
    const server = this.#servers.get(id);
    if (server === undefined) return;
    const { raft } = server;
    if (raft.isAdmitted && !this.#disks.isAdmitted(server.disk)) {
      this.#disks.admit(server.disk);
      if (!this.#isKnown(id)) this.#report("admitted-first", `${id} takes part, and some founder has not noted it`);
    }
    if (server.configuration !== configurationOf(raft)) server.configuredMs = raft.nowMs;
    this.#checkTerm(id, server);
    this.#checkLog(id, server);
    if (raft.commitIndex !== server.commitIndex) this.#checkCommit(id, server);
    if (raft.role.name === "leader") this.#checkLeader(id, server, raft.role);
    else if (raft.role.name === "candidate") this.#checkCandidate(id, raft, raft.role.votes);
    server.term = raft.term;
    server.vote = raft.vote;
    server.wasLeader = raft.role.name === "leader";
    server.commitIndex = raft.commitIndex;
    server.configuration = configurationOf(raft);
  }

  /** A server has told something. */
  told(id: string, story: RaftStory): void {
    if (story.event !== "leader-elected") return;
    this.#sights.elections++;
    for (const voter of story.votes) this.#countVote(id, story.term, voter);
  }

  /** A server has applied a command of an entry, the next one of that entry if it is the same as before. */
  applied(id: string, index: number, command: Uint8Array, result: Uint8Array): void {
    const server = this.#servers.get(id);
    if (server !== undefined) this.replicas.applied(id, index, server.raft.commitIndex, command, result);
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
    if (log.base.index !== server.base) this.#checkBase(id, server);
    const termAt = (index: number): number => log.termAt(index as typeof log.lastIndex) ?? 0;
    const seemsSame = log.lastIndex === terms.length && log.lastTerm === (terms.at(-1) ?? 0);
    if (seemsSame && ++server.looks % LOOKS_PER_WHOLE_LOG !== 0) {
      if (configurationOf(raft) !== server.configuration) {
        this.#memberships.checkInEffect(id, raft, server.configurations);
      }
      return;
    }
    let same = Math.min(log.lastIndex, terms.length);
    while (same > log.base.index && termAt(same) !== terms[same - 1]) same--;
    if (same < terms.length) {
      this.#sights.truncations++;
      if (same < server.commitIndex) this.#report("committed-forever", `${id} removes committed entry ${same + 1}`);
      if (server.wasLeader && raft.role.name === "leader" && raft.term === server.term) {
        this.#report("leader-append-only", `${id} removes entry ${same + 1} of its own in term ${raft.term}`);
      }
    }
    terms.length = same;
    server.configurations = server.configurations.filter(({ index }) => index <= same);
    this.#take(id, server);
  }

  /** What is before the log is in a snapshot, and so committed. */
  #checkBase(id: string, server: Server): void {
    const { base } = server.raft.log;
    const expected = this.#committed[base.index - 1] ?? 0;
    if (base.term !== expected) {
      this.#report(
        "log-matching",
        `the log of ${id} begins behind entry ${base.index} of term ${base.term}, committed in ${expected}`,
      );
    }
    server.base = base.index;
    const { terms } = server;
    for (let index = 1; index <= base.index; index++) {
      const term = this.#committed[index - 1] ?? 0;
      // Another entry there, and all that followed it, has gone.
      if (terms.length >= index && terms[index - 1] !== term) terms.length = index - 1;
      if (terms.length < index) terms.push(term);
    }
    server.configurations = server.configurations.filter(({ index }) => index <= terms.length);
  }

  /** Takes the entries that are new in a log. */
  #take(id: string, server: Server): void {
    const { raft, terms } = server;
    const { log } = raft;
    for (let index = terms.length + 1; index <= log.lastIndex; index++) {
      const term = log.termAt(index as typeof log.lastIndex) ?? 0;
      terms.push(term);
      this.#checkEntry(id, raft, index);
      const configuration = this.#entries.get(`${index}/${term}`)?.configuration ?? null;
      if (configuration === null) continue;
      server.configurations.push({ index, configuration });
      this.#memberships.checkAppended(id, raft, server.configurations, this.#committed.length);
    }
    this.#memberships.checkInEffect(id, raft, server.configurations);
  }

  #checkEntry(id: string, { log }: Raft, index: number): void {
    const at = index as typeof log.lastIndex;
    const [entry] = log.slice(at, 0, at) ?? [];
    if (entry === undefined) return; // It has left memory; it was checked when it came.
    const previousTerm = log.termAt((index - 1) as typeof log.lastIndex) ?? 0;
    const key = `${index}/${entry.term}`;
    const known = this.#entries.get(key);
    if (known === undefined) {
      const configuration = entry.kind === EntryKind.configuration ? decodeConfiguration(entry.payload) : null;
      this.#entries.set(key, { previousTerm, payload: entry.payload, configuration });
      this.#onEntry(id, entry);
    } else if (known.previousTerm !== previousTerm || !equal(known.payload, entry.payload)) {
      this.#report("log-matching", `${id} has another entry ${index} of term ${entry.term} than a server before it`);
    }
  }

  #checkLeader(id: string, server: Server, role: Raft["role"] & { readonly name: "leader" }): void {
    const { raft, disk } = server;
    const isNew = !server.wasLeader || server.term !== raft.term;
    if (isNew) this.#checkElected(id, raft);
    this.#memberships.checkLeader(id, raft, isNew);
    const sinceMs = raft.nowMs - 2 * raft.config.electionTimeoutMinMs;
    const isHeard = (name: string): boolean =>
      name === id || (role.followers.get(name)?.heardMs ?? -Infinity) >= sinceMs;
    // Those that have just been given a say are heard of in time.
    if (server.configuredMs < sinceMs && !suffices(configurationOf(raft), (member) => isHeard(member.id))) {
      const heard = [...role.followers].map(
        ([name, { heardMs }]) => `${name} ${(raft.nowMs - heardMs).toFixed(0)} ms ago`,
      );
      this.#report("leader-in-touch", `${id} leads, and has heard from ${heard.join(", ")}`);
    }
    this.#checkDurable(id, id, raft, [disk], raft.durableIndex);
    for (const [follower, { match }] of role.followers) {
      const member = memberNamed(configurationOf(raft), follower);
      if (member !== undefined) this.#checkDurable(id, follower, raft, this.#disks.of(member), match);
    }
  }

  #checkElected(id: string, raft: Raft): void {
    const other = this.#leaders.get(raft.term);
    if (other !== undefined && other !== id) {
      this.#report("election-safety", `${other} and ${id} both lead term ${raft.term}`);
    }
    this.#leaders.set(raft.term, id);
    const last = this.#committed.length;
    const newestTerm = this.#committed.at(-1) ?? 0;
    // An older leader may be elected late; what newer ones have committed is not its business.
    const term = this.#termAt(raft, last);
    if (newestTerm < raft.term && term !== newestTerm) {
      this.#report("leader-completeness", `${id} leads term ${raft.term} without committed entry ${last}`);
    }
  }

  /** The leader thinks that `owner` holds everything up to `index`. What a newer leader has replaced since is no lie. */
  #checkDurable(leader: string, owner: string, raft: Raft, disks: readonly DurableLog[], index: number): void {
    const term = this.#termAt(raft, index);
    if (index === 0 || disks.some((disk) => disk.term > raft.term || (term !== null && disk.holds(index, term))))
      return;
    this.#report("acknowledged-durable", `${leader} counts entry ${index} at ${owner}, where it is not durable`);
  }

  /** The term of an entry of a server, be it in its log or in its snapshot. */
  #termAt({ log }: Raft, index: number): number | null {
    if (index < log.base.index) return this.#committed[index - 1] ?? 0;
    return log.termAt(index as typeof log.lastIndex);
  }

  #checkCandidate(id: string, raft: Raft, votes: ReadonlyMap<string, boolean>): void {
    const other = this.#candidates.get(raft.term);
    if (other === undefined) this.#candidates.set(raft.term, id);
    else if (other !== id && other !== "several") {
      this.#candidates.set(raft.term, "several");
      this.#sights.contested++;
    }
    for (const [voter, isGranted] of votes) if (isGranted) this.#countVote(id, raft.term, voter);
  }

  #countVote(candidate: string, term: number, voter: string): void {
    const raft = this.#servers.get(candidate)?.raft;
    const member = raft === undefined ? undefined : memberNamed(configurationOf(raft), voter);
    if (member === undefined) return;
    const disk = this.#disks.voterOf(member);
    if (disk === null) {
      this.#report("admitted-first", `${candidate} counts the vote of ${voter}, which not all have met`);
      return;
    }
    const votes = this.#votes.get(term) ?? new Map<DurableLog, string>();
    this.#votes.set(term, votes);
    const before = votes.get(disk);
    if (before === candidate) return;
    if (before !== undefined) {
      this.#report("one-vote-per-term", `${voter} votes for ${before} and for ${candidate} in term ${term}`);
    }
    votes.set(disk, candidate);
    if (disk.term < term || (disk.term === term && disk.vote !== candidate)) {
      this.#report("vote-durable", `${candidate} counts the vote of ${voter} in term ${term}, which is not durable`);
    }
  }

  #checkCommit(id: string, server: Server): void {
    const { raft, commitIndex: before, wasLeader, term: termBefore } = server;
    const { log, commitIndex } = raft;
    const counts = wasLeader && raft.role.name === "leader" && raft.term === termBefore;
    if (counts && log.termAt(commitIndex) !== raft.term) {
      this.#report("own-term-counted", `${id} commits up to entry ${commitIndex} of an earlier term in ${raft.term}`);
    }
    if (commitIndex < before || commitIndex > log.lastIndex) {
      this.#report("commit-monotonic", `${id} goes from commit index ${before} to ${commitIndex} of ${log.lastIndex}`);
      return;
    }
    for (let index = before + 1; index <= commitIndex; index++) this.#checkCommitted(id, server, index);
  }

  #checkCommitted(id: string, server: Server, index: number): void {
    const { raft } = server;
    const known = this.#committed[index - 1];
    const term = raft.log.termAt(index as typeof raft.log.lastIndex);
    if (term === null) {
      if (known === undefined)
        this.#report("committed-forever", `${id} has a snapshot of entry ${index}, which is not committed`);
      return;
    }
    if (known !== undefined && known !== term) {
      this.#report("committed-forever", `${id} commits entry ${index} of term ${term}, not of term ${known}`);
    }
    if (known !== undefined) return;
    const newestTerm = this.#committed.at(-1) ?? 0;
    if (raft.role.name === "leader" && raft.term < newestTerm) {
      this.#report("one-acting-leader", `${id} commits entry ${index} in term ${raft.term}, after term ${newestTerm}`);
    }
    this.#committed[index - 1] = term;
    const configuration = this.#entries.get(`${index}/${term}`)?.configuration ?? null;
    if (configuration !== null) this.#memberships.commit({ index, configuration });
    // With the commit it may have gone on to the next configuration.
    const configurations = [server.configuration, configurationOf(raft)];
    if (!configurations.some((one) => suffices(one, (member) => this.#disks.holds(member, index, term)))) {
      this.#report("committed-durable", `${id} commits entry ${index}, which is durable on no majority`);
    }
    if (index !== raft.commitIndex) return;
    // Of entries that are committed together only the last is counted by the leader: with it, all are safe.
    const candidate = this.#disks.electableWithout(index, term);
    if (candidate !== null) {
      this.#report("commit-final", `${id} commits entry ${index}, and ${candidate} could be elected without it`);
    }
  }
}
