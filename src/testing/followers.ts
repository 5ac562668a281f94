/** Clients that follow changes, and whether they see what they should: those that were made, each once and in order. */

import { hasCode } from "../errors.ts";
import type { Worker } from "./workload.ts";

interface Revised {
  readonly revision: number;
}

/** Who follows what. */
export interface Following<Change extends Revised> {
  /** In words. */
  readonly what: string;
  /** The changes that he is to see. */
  isWanted(change: Change): boolean;
  /** Asks for them. */
  open(fromRevision: number | null): AsyncIterable<Change>;
  /** Null to begin with what is new. */
  readonly fromRevision: number | null;
}

/** How far somebody has come. */
interface Follower<Change extends Revised> {
  readonly name: string;
  readonly following: Following<Change>;
  readonly isGone: () => boolean;
  /** Before the changes were asked for, so many had been made anywhere. */
  readonly before: number;
  /** The first revision that he has not seen, nor passed by; null until that is known. */
  next: number | null;
  /** The first change that he has seen, if he did not say where to begin. */
  first: number | null;
  /** A change that he must see, if he did not say where to begin. */
  owed: number | null;
}

export interface FollowersOptions<Change extends Revised> {
  /** Is what somebody sees the change that was made? */
  isSame(made: Change, seen: Change, following: Following<Change>): boolean;
  /** May somebody be sent on to this revision, for lack of those before it? To any by default. */
  mayBegin?(revision: number): boolean;
}

export class Followers<Change extends Revised> {
  readonly #options: FollowersOptions<Change>;
  /** All that was ever changed: the change of revision 1 comes first. */
  readonly #log: Change[] = [];
  readonly #followers: Follower<Change>[] = [];
  #finding: string | null = null;
  #whenSeen: () => void = () => {};

  constructor(options: FollowersOptions<Change>) {
    this.#options = options;
  }

  /** The first of those who were told something wrong; null if there is none. */
  get finding(): string | null {
    return this.#finding;
  }

  /** How many changes have been made. */
  get revision(): number {
    return this.#log.length;
  }

  /** The change of that revision. */
  at(revision: number): Change | undefined {
    return this.#log[revision - 1];
  }

  /** A change was made: the first one has revision 1. */
  add(change: Change): void {
    this.#log.push(change);
  }

  /**
   * Begins to follow, for as long as its client lives.
   *
   * @returns takes the revision of a change that is wanted, made by a command that was given after this call
   */
  start({ name, isGone }: Pick<Worker, "name" | "isGone">, following: Following<Change>): (revision: number) => void {
    const { fromRevision, open } = following;
    const before = this.#log.length;
    const follower: Follower<Change> = { name, following, isGone, before, next: fromRevision, first: null, owed: null };
    this.#followers.push(follower);
    const read = async (changes: AsyncIterable<Change>): Promise<void> => {
      try {
        for await (const change of changes) this.#see(follower, change);
      } catch (error) {
        if (hasCode(error, "CLOSED")) return;
        if (!hasCode(error, "COMPACTED")) throw error;
        this.#skip(follower, Number(error.details["firstRevision"]));
        await read(open(follower.next));
      }
    };
    read(open(fromRevision)).catch((error) => this.#fail(follower, `fails: ${String(error)}`));
    return (revision) => {
      if (fromRevision === null) follower.owed ??= revision;
      this.#checkBeginning(follower);
    };
  }

  /** Waits until everybody whose client lives has seen everything. */
  async caughtUp(): Promise<void> {
    const isSo = (): boolean => this.#followers.every((follower) => follower.isGone() || this.#hasSeenAll(follower));
    await new Promise<void>((resolve) => {
      this.#whenSeen = () => {
        if (this.#finding !== null || isSo()) resolve();
      };
      this.#whenSeen();
    });
  }

  #see(follower: Follower<Change>, change: Change): void {
    const { revision } = change;
    const { following } = follower;
    const made = this.#log[revision - 1];
    if (made === undefined || !this.#options.isSame(made, change, following)) {
      this.#fail(follower, `sees ${JSON.stringify(change)}, and made was ${JSON.stringify(made)}`);
    }
    if (!following.isWanted(change)) this.#fail(follower, `sees ${JSON.stringify(change)}, which is none of those`);
    if (follower.next === null) {
      follower.first = revision;
      this.#checkBeginning(follower);
    } else if (revision < follower.next) this.#fail(follower, `sees ${revision} after ${follower.next - 1}`);
    else {
      const missed = this.#first(following, follower.next);
      if (missed !== revision) this.#fail(follower, `sees ${revision}, and not ${missed} before it`);
    }
    follower.next = revision + 1;
    this.#whenSeen();
  }

  /** A follower is told that what he should see next is kept no more. */
  #skip(follower: Follower<Change>, firstRevision: number): void {
    const { next } = follower;
    const isPast = firstRevision > (next ?? follower.before) && firstRevision <= this.#log.length + 1;
    const isSound = isPast && this.#options.mayBegin?.(firstRevision) !== false;
    if (!isSound) this.#fail(follower, `is sent on from ${next} to ${firstRevision} of ${this.#log.length}`);
    follower.next = firstRevision;
    this.#whenSeen();
  }

  /** Who begins with what is new is given nothing that was old when he asked, and nothing too new. */
  #checkBeginning(follower: Follower<Change>): void {
    const { first, owed, before } = follower;
    if (first === null) return;
    if (first <= before) this.#fail(follower, `begins with ${first}, and ${before} was past`);
    if (owed !== null && first > owed) this.#fail(follower, `begins with ${first}, and not with ${owed} before it`);
  }

  #hasSeenAll({ following, next, owed }: Follower<Change>): boolean {
    return next === null ? owed === null : this.#first(following, next) === null;
  }

  /** The first change that is wanted from a revision on. */
  #first({ isWanted }: Following<Change>, from: number): number | null {
    for (let at = from - 1; at < this.#log.length; at++) {
      const change = this.#log[at];
      if (change !== undefined && isWanted(change)) return at + 1;
    }
    return null;
  }

  #fail({ name, following }: Follower<Change>, detail: string): void {
    this.#finding ??= `${following.what} by ${name} ${detail}`;
    this.#whenSeen();
  }
}
