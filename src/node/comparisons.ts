/**
 * Replicas compare what they have come to. The leader puts an entry into the log, and whoever applies it captures its
 * state there, makes a digest of it a slice at a time, and tells the others. Who has come to another state than a majority
 * can't be trusted any more; where there is no majority, a person has to decide.
 */

import type { Peer } from "../actor/index.ts";
import type { Clock, Timer } from "../environment.ts";
import { busy, messageOf } from "../errors.ts";
import { Digest, type Replica } from "../machine/index.ts";
import type { NodeMessage } from "../protocol/node.ts";
import { configurationOf, type Entry, EntryKind, entryBytes, type Raft } from "../raft/index.ts";
import { agreementOf } from "./agreement.ts";

export type ComparisonStory =
  | { readonly event: "states-agree"; readonly index: number; readonly nodes: readonly string[] }
  /** No majority has the same state: which of them is right is for a person to say. */
  | { readonly event: "states-differ"; readonly index: number; readonly groups: readonly (readonly string[])[] }
  | { readonly event: "comparison-failed"; readonly index: number; readonly reason: string };

/** A digest is there. */
export interface ComparisonEvent {
  readonly type: "digested";
  readonly index: number;
  readonly digest: string;
}

/** What a node tells of its state at an entry. */
export type Told = Extract<NodeMessage, { type: "state-digest" }>;

export interface ComparisonsParts {
  readonly clock: Clock;
  readonly raft: Raft;
  readonly replica: Replica;
  /** What the log may take on disk. */
  readonly logBytesMax: number;
  /** Sends it to all members that are reached. */
  tellAll(message: Told): void;
  send(peer: Peer, message: Told): void;
  /** Puts it into the node's own mailbox. */
  post(event: ComparisonEvent): void;
  /** At that entry a majority, these nodes among them, has another state than this node. */
  onDiverged(index: number, others: readonly string[]): void;
  /** At that entry this node's state is that of a majority. */
  onAgreed(index: number): void;
  readonly tell: (story: ComparisonStory) => void;
}

/** After as much of the log as makes a snapshot due: to look through the state costs no more than to write it down. */
const LOG_SHARE = 0.75;
/** Where little happens, after so long. */
const EVERY_MS_MAX = 3_600_000;
/** So many comparisons back it is known what a node has told. */
const KEPT = 4;
/** For so long at a time the state is looked through, and for so long nothing is done about it then. */
const SLICE_MS_MAX = 2;
const REST_MS = 6;
/** How soon one that is under way may be over. */
const BUSY_RETRY_MS = 250;

interface Digesting {
  readonly index: number;
  readonly pieces: Iterator<Uint8Array>;
  readonly digest: Digest;
  timer: Timer | null;
}

export class Comparisons {
  readonly #parts: ComparisonsParts;
  /** What was told by each node, this one included, the newest entry last. */
  readonly #told = new Map<string, Told[]>();
  #digesting: Digesting | null = null;
  /** What has come into the log since states were last compared, and when that was. */
  #bytes = 0;
  #comparedMs: number;
  #isProposed = false;
  #agreedIndex = 0;
  /** The newest entry at which no majority agreed, if none has since. */
  #disputedAt: number | null = null;
  /** Entries at which some differ, and all may yet come to light; and those of which that was so for long enough. */
  #doubtful = new Set<number>();
  #late: ReadonlySet<number> = new Set<number>();
  #stopped = false;

  constructor(parts: ComparisonsParts) {
    this.#parts = parts;
    this.#comparedMs = parts.clock.nowMs();
  }

  /** @throws ConclaveError `BUSY` unless this node's state was that of a majority at that entry or a later one */
  checkAgreed(index: number): void {
    if (this.#agreedIndex >= index && !this.isDisputed) return;
    throw busy(`That this state is that of a majority is not known at entry ${index} or later.`, BUSY_RETRY_MS);
  }

  /** States differ, and no majority agrees on one. */
  get isDisputed(): boolean {
    return this.#disputedAt !== null;
  }

  /** Is a leader to have states compared? Once it has been told so it is not, for a while. */
  due(): boolean {
    const { clock, logBytesMax, raft } = this.#parts;
    if (this.#isProposed || this.#bytes === 0 || configurationOf(raft).members.length === 1) return false;
    const isOverdue = clock.nowMs() - this.#comparedMs >= EVERY_MS_MAX;
    this.#isProposed = isOverdue || this.#bytes >= logBytesMax * LOG_SHARE;
    return this.#isProposed;
  }

  /** What was proposed and is not in the log yet may never come there. */
  startOver(): void {
    this.#isProposed = false;
  }

  /** @throws ConclaveError `BUSY` if one is under way */
  checkIdle(): void {
    if (this.#digesting !== null || this.#isProposed) throw busy("States are being compared.", BUSY_RETRY_MS);
  }

  /** An entry was applied. */
  applied(entry: Entry, isComparison: boolean): void {
    if (isComparison) {
      this.#bytes = 0;
      this.#comparedMs = this.#parts.clock.nowMs();
      this.#isProposed = false;
      this.#begin(entry.index);
    } else if (entry.kind === EntryKind.command) this.#bytes += entryBytes(entry);
  }

  /** The digest of this node's own state is there. */
  take({ index, digest }: ComparisonEvent): void {
    const { raft, replica, tellAll } = this.#parts;
    if (this.#digesting?.index !== index) return;
    this.#digesting = null;
    const told: Told = { type: "state-digest", index, form: replica.snapshotForm, digest };
    this.#note(raft.config.id, told);
    tellAll(told);
    this.#judge(index);
  }

  /** A member says what it has come to. */
  learn(from: string, told: Told): void {
    this.#note(from, told);
    this.#judge(told.index);
  }

  /** A link has come up: what was said before may not have got there. */
  greet(peer: Peer): void {
    for (const told of this.#own) this.#parts.send(peer, told);
  }

  /**
   * Looks again, from time to time: those may count now who did not before, and some may never answer. Links that break
   * take with them what was said; so it is said again.
   */
  look(): void {
    const newest = this.#own.at(-1);
    if (newest !== undefined) this.#parts.tellAll(newest);
    const late = this.#late;
    this.#late = this.#doubtful;
    this.#doubtful = new Set();
    for (const { index } of this.#own) this.#judge(index, late.has(index));
  }

  /** The state is another one: what was said of the one before, and found out about it, means nothing any more. */
  startAnew(): void {
    this.#told.delete(this.#parts.raft.config.id);
    this.#agreedIndex = 0;
    this.#abandon();
  }

  stop(): void {
    this.#stopped = true;
    this.#abandon();
  }

  get #own(): readonly Told[] {
    return this.#told.get(this.#parts.raft.config.id) ?? [];
  }

  #note(id: string, told: Told): void {
    const { members } = configurationOf(this.#parts.raft);
    for (const known of this.#told.keys()) if (!members.some((member) => member.id === known)) this.#told.delete(known);
    const others = (this.#told.get(id) ?? []).filter(({ index }) => index !== told.index);
    this.#told.set(id, [...others, told].sort((a, b) => a.index - b.index).slice(-KEPT));
  }

  /** One at a time: a node that is behind leaves those out that it comes past meanwhile. */
  #begin(index: number): void {
    const { clock, replica } = this.#parts;
    if (this.#digesting !== null || this.#stopped) return;
    try {
      const pieces = replica.snapshot().pieces[Symbol.iterator]();
      const digesting: Digesting = { index, pieces, digest: new Digest(), timer: null };
      this.#digesting = digesting;
      clock.defer(() => this.#goOn(digesting));
    } catch (error) {
      this.#parts.tell({ event: "comparison-failed", index, reason: messageOf(error) });
    }
  }

  #goOn(digesting: Digesting): void {
    const { clock, post, tell } = this.#parts;
    const { index, pieces, digest } = digesting;
    if (this.#digesting !== digesting) return;
    const endMs = clock.nowMs() + SLICE_MS_MAX;
    try {
      for (let next = pieces.next(); next.done !== true; next = pieces.next()) {
        digest.add(next.value);
        if (clock.nowMs() < endMs) continue;
        digesting.timer = clock.setTimer(REST_MS, () => this.#goOn(digesting));
        return;
      }
      post({ type: "digested", index, digest: digest.value });
    } catch (error) {
      this.#digesting = null;
      tell({ event: "comparison-failed", index, reason: messageOf(error) });
    }
  }

  #abandon(): void {
    const { timer, pieces } = this.#digesting ?? {};
    this.#digesting = null;
    timer?.cancel();
    try {
      pieces?.return?.();
    } catch {
      // How the machine ends what nobody wants any more is its own affair.
    }
  }

  /** @param isLate those who have not answered by now are not waited for */
  #judge(index: number, isLate = false): void {
    const { raft, onDiverged, tell } = this.#parts;
    const own = this.#own.find((told) => told.index === index);
    if (own === undefined) return;
    const digests = new Map<string, string>();
    for (const [id, all] of this.#told) {
      const told = all.find((one) => one.index === index && one.form === own.form);
      if (told !== undefined) digests.set(id, told.digest);
    }
    const { digest, groups, isHopeless } = agreementOf(configurationOf(raft), digests);
    if (digest === own.digest) this.#agreed(index, nodesOf(groups, digest));
    else if (index <= this.#agreedIndex) return;
    else if (digest !== null) onDiverged(index, nodesOf(groups, digest));
    else if (groups.length < 2 || index <= (this.#disputedAt ?? 0)) return;
    else if (isHopeless || isLate) {
      this.#disputedAt = index;
      tell({ event: "states-differ", index, groups: groups.map(([, nodes]) => nodes) });
    } else this.#doubtful.add(index);
  }

  #agreed(index: number, nodes: readonly string[]): void {
    if (index <= this.#agreedIndex) return;
    this.#agreedIndex = index;
    if (this.#disputedAt !== null && this.#disputedAt <= index) this.#disputedAt = null;
    this.#parts.tell({ event: "states-agree", index, nodes });
    this.#parts.onAgreed(index);
  }
}

const nodesOf = (groups: readonly (readonly [string, readonly string[]])[], digest: string): readonly string[] =>
  groups.find(([other]) => other === digest)?.[1] ?? [];
