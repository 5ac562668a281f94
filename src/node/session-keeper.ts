/**
 * The leader's watch over client sessions. It only proposes: a session ends when the log says so, and not if it was
 * used after the leader looked. A new leader gives every session its full time again.
 */

import type { Peer } from "../actor/index.ts";
import type { Replica } from "../machine/index.ts";

/** One entry ends at most this many. */
const EXPIRED_PER_ENTRY_MAX = 1_000;
/** A client needs one; a link that speaks for more than this many is not heard. */
const SESSIONS_PER_LINK_MAX = 1_000;

export class SessionKeeper {
  readonly #replica: Replica;
  readonly #timeoutMs: number;
  /** Sessions that a standing link holds. */
  readonly #held = new Map<Peer, Set<number>>();
  readonly #heldBy = new Map<number, Peer>();
  /** Sessions that have not ended, by the link over which they were opened. */
  readonly #opened = new Map<Peer, Set<number>>();
  /** When each of the others was last heard of. */
  #lastSeenMs = new Map<number, number>();

  constructor(replica: Replica, timeoutMs: number) {
    this.#replica = replica;
    this.#timeoutMs = timeoutMs;
  }

  /** How many sessions are kept an eye on. */
  get size(): number {
    return this.#heldBy.size + this.#lastSeenMs.size;
  }

  /** May another session be opened over this link? */
  hasRoom(peer: Peer): boolean {
    return (this.#opened.get(peer)?.size ?? 0) < SESSIONS_PER_LINK_MAX;
  }

  /** A session was opened over this link, which is watched. It need not be the one that will hold it. */
  opened(session: number, peer: Peer): void {
    const known = this.#opened.get(peer);
    if (known === undefined) this.#opened.set(peer, new Set([session]));
    else known.add(session);
  }

  /** Something came over this link for this session. False if the link was not known yet: watch it. */
  hold(session: number, peer: Peer): boolean {
    const known = this.#held.get(peer);
    if (known !== undefined && known.size >= SESSIONS_PER_LINK_MAX) return true;
    if (this.#heldBy.get(session) !== peer) {
      const before = this.#heldBy.get(session);
      if (before !== undefined) this.#held.get(before)?.delete(session);
      this.#heldBy.set(session, peer);
      this.#lastSeenMs.delete(session);
      if (known === undefined) this.#held.set(peer, new Set([session]));
      else known.add(session);
    }
    return known !== undefined;
  }

  linkLost(peer: Peer, nowMs: number): void {
    for (const session of this.#held.get(peer) ?? []) {
      this.#heldBy.delete(session);
      if (this.#replica.hasSession(session)) this.#lastSeenMs.set(session, nowMs);
    }
    this.#held.delete(peer);
    this.#opened.delete(peer);
  }

  /** Sessions that have been without a link for too long, for a leader to propose for expiry. Forgets what has ended. */
  idle(nowMs: number): { readonly id: number; readonly next: number }[] {
    const idle: { readonly id: number; readonly next: number }[] = [];
    const seen = new Map<number, number>();
    for (const session of this.#replica.sessions()) {
      if (this.#heldBy.has(session.id)) continue;
      const lastSeenMs = this.#lastSeenMs.get(session.id) ?? nowMs;
      seen.set(session.id, lastSeenMs);
      if (nowMs - lastSeenMs >= this.#timeoutMs && idle.length < EXPIRED_PER_ENTRY_MAX) idle.push(session);
    }
    this.#lastSeenMs = seen; // Those that have ended are forgotten here, too.
    for (const [session, peer] of this.#heldBy) {
      if (session <= this.#replica.appliedIndex && !this.#replica.hasSession(session)) {
        this.#heldBy.delete(session);
        this.#held.get(peer)?.delete(session);
      }
    }
    for (const [peer, sessions] of this.#opened) {
      for (const session of sessions) if (!this.#replica.hasSession(session)) sessions.delete(session);
      if (sessions.size === 0) this.#opened.delete(peer); // Its link may have been lost before it had its session.
    }
    return idle;
  }

  /** A leader takes over: nobody's silence under another one counts. */
  restart(): void {
    this.#lastSeenMs.clear();
  }
}
