/** Questions about the state that wait until they may be answered, and their answers, a slice at a time. */

import type { Answer } from "../actor/index.ts";
import { Alarm } from "../alarm.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { encodeList } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import { List, PassingMap, type Place } from "../passing.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { ReadOutcome } from "../raft/index.ts";
import { ANSWER_HEADROOM_BYTES } from "./admission.ts";
import { TURN_MS_MAX } from "./applier.ts";
import { notLeader } from "./proposals.ts";
import { Room, type Stay } from "./room.ts";

/** What a list adds to each of its items. */
const LENGTH_BYTES = 4;
/**
 * How long a stale read waits for this node to have applied what its asker has seen: less than a client waits before it
 * asks another node.
 */
export const BEHIND_MS_MAX = 250;
/** Those that have waited long enough are refused together, and no more often than this. */
const EXPIRY_EVERY_MS = 50;
/** Another node may do at once. */
const BEHIND_RETRY_MS = 20;

export interface ReadsOptions {
  readonly clock: Clock;
  readonly replica: Replica;
  readonly limits: Pick<Limits, "readsMax" | "readBytesMax" | "linkReadsMax" | "linkReadBytesMax" | "messageBytesMax">;
  /** Calls `run` again in a later turn. */
  continueLater(): void;
}

interface Read {
  readonly queries: readonly Uint8Array[];
  /** Where it waits: first for the core, then for this node's time. */
  room: Room;
  stay: Stay;
  readonly answer: Answer<NodeAnswer>;
  /** Where it stands among those that may be served. */
  ready: Place<Read> | null;
  /** What has been answered so far, and its size. */
  readonly results: Uint8Array[];
  resultBytes: number;
}

/** A read that waits for an index to be applied. */
interface Waiting {
  readonly index: number;
  readonly read: Read;
  /** It is refused then; Infinity for what a majority has confirmed, which is sure to come. */
  readonly untilMs: number;
}

export class Reads {
  readonly #options: ReadsOptions;
  /** By ticket, until the core has said from which index on they may be served. */
  readonly #asked = new PassingMap<number, Read>();
  /** The lowest index first, and of those that wait for the same, the one that came first. */
  #waiting: Waiting[] = [];
  /** Those that may be served now, oldest first. */
  readonly #ready = new List<Read>();
  /** Also for those that wait for this node to catch up. */
  readonly #unconfirmedRoom: Room;
  /** Those that are ready count for themselves: they wait for this node's time, the others for a majority's. */
  readonly #readyRoom: Room;
  #lastTicket = 0;
  readonly #alarm: Alarm;

  constructor(options: ReadsOptions) {
    this.#options = options;
    const { clock, limits } = options;
    this.#alarm = new Alarm(clock, () => this.#expire());
    const room = (): Room =>
      new Room({
        clock,
        what: "reads",
        countMax: limits.readsMax,
        bytesMax: limits.readBytesMax,
        linkCountMax: limits.linkReadsMax,
        linkBytesMax: limits.linkReadBytesMax,
        waitMsMax: Number.POSITIVE_INFINITY,
      });
    this.#unconfirmedRoom = room();
    this.#readyRoom = room();
  }

  /** The ticket for a linearizable read. @throws ConclaveError `BUSY` */
  ask(queries: readonly Uint8Array[], answer: Answer<NodeAnswer>, link: object | null): number {
    this.#readyRoom.check(link); // It will have to go there.
    this.#asked.set(++this.#lastTicket, open(this.#unconfirmedRoom, queries, answer, link));
    return this.#lastTicket;
  }

  /**
   * A read of the state as it is, if as much as `minIndex` is applied: then it does not wait for those that wait for the
   * core. Otherwise it waits, for a while, and is then refused.
   *
   * @throws ConclaveError `BUSY`
   */
  askStale(queries: readonly Uint8Array[], minIndex: number, answer: Answer<NodeAnswer>, link: object | null): void {
    if (minIndex <= this.#options.replica.appliedIndex) {
      this.#serve(open(this.#readyRoom, queries, answer, link));
      return;
    }
    this.#readyRoom.check(link); // It will have to go there.
    const untilMs = this.#options.clock.nowMs() + BEHIND_MS_MAX;
    this.#wait({ index: minIndex, read: open(this.#unconfirmedRoom, queries, answer, link), untilMs });
    this.#watch(untilMs);
  }

  /** The core has spoken. */
  take(outcomes: readonly ReadOutcome[], view: LeaderView): void {
    for (const outcome of outcomes) {
      const read = this.#asked.get(outcome.ticket);
      if (read === undefined) continue;
      this.#asked.delete(outcome.ticket);
      if ("index" in outcome) this.#wait({ index: outcome.index, read, untilMs: Number.POSITIVE_INFINITY });
      else this.#end(read, () => read.answer.fail(notLeader(view)));
    }
  }

  /** Whoever waits waits for nothing. */
  refuse(why: ConclaveError): void {
    const all = [...this.#asked.values(), ...this.#waiting.map(({ read }) => read), ...this.#ready];
    this.#asked.clear();
    this.#waiting = [];
    for (const read of all) this.#end(read, () => read.answer.fail(why));
  }

  /** Serves, for as long as a turn may take, what has waited for no more than has been applied. */
  run(): void {
    const { clock, continueLater } = this.#options;
    this.#release();
    const endMs = clock.nowMs() + TURN_MS_MAX;
    for (let read = this.#ready.first; read !== undefined; read = this.#ready.first) {
      for (let isOpen = true; isOpen; ) {
        isOpen = this.#serveOne(read);
        if (clock.nowMs() < endMs) continue;
        if (this.#ready.size > 0) continueLater();
        return;
      }
    }
  }

  /** No timer fires after this. */
  stop(): void {
    this.#alarm.cancel();
  }

  #wait(waiting: Waiting): void {
    // Clients differ in what they have seen, and may claim anything: looking for the place must not take a walk.
    let at = 0;
    for (let end = this.#waiting.length; at < end; ) {
      const middle = (at + end) >>> 1;
      if ((this.#waiting[middle]?.index ?? 0) <= waiting.index) at = middle + 1;
      else end = middle;
    }
    this.#waiting.splice(at, 0, waiting);
  }

  #release(): void {
    const { appliedIndex } = this.#options.replica;
    const pending = this.#waiting.findIndex(({ index }) => index > appliedIndex);
    const due = this.#waiting.splice(0, pending === -1 ? this.#waiting.length : pending);
    for (const { read } of due) {
      const { link, bytes } = read.stay.item;
      read.room.leave(read.stay);
      read.room = this.#readyRoom;
      read.stay = this.#readyRoom.enter(link, bytes);
      this.#serve(read);
    }
  }

  #serve(read: Read): void {
    read.ready = this.#ready.add(read);
  }

  /** Several that end at about the same time are looked at together. */
  #watch(untilMs: number): void {
    this.#alarm.setFor(Math.max(untilMs, this.#options.clock.nowMs() + EXPIRY_EVERY_MS));
  }

  /** This node may be cut off from what is new, or far behind: others may be further. */
  #expire(): void {
    const nowMs = this.#options.clock.nowMs();
    const { appliedIndex } = this.#options.replica;
    const due = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs);
    this.#waiting = this.#waiting.filter(({ untilMs }) => untilMs > nowMs);
    for (const { read, index } of due) this.#end(read, () => read.answer.fail(behind(index, appliedIndex)));
    const nextMs = this.#waiting.reduce(
      (earliest, { untilMs }) => Math.min(earliest, untilMs),
      Number.POSITIVE_INFINITY,
    );
    if (nextMs !== Number.POSITIVE_INFINITY) this.#watch(nextMs);
  }

  /** Answers the next query of a message; false once the message is done with. */
  #serveOne(read: Read): boolean {
    const { replica, limits } = this.#options;
    const query = read.queries[read.results.length];
    if (query === undefined) {
      // It may have come further while the answers were made, in several turns: none shows more than this.
      const index = replica.appliedIndex;
      this.#end(read, () => read.answer.ok({ type: "results", index, results: encodeList(read.results) }));
      return false;
    }
    try {
      const result = replica.query(query);
      read.resultBytes += result.byteLength + LENGTH_BYTES;
      read.results.push(result);
    } catch (error) {
      const failure = `The state machine failed on a query: ${messageOf(error)}`;
      this.#end(read, () => read.answer.fail(new ConclaveError("MACHINE_FAILED", failure)));
      return false;
    }
    if (read.resultBytes <= limits.messageBytesMax - ANSWER_HEADROOM_BYTES) return true;
    const tooLarge = "What was asked for does not fit into one message: ask for less at a time.";
    this.#end(read, () => read.answer.fail(new ConclaveError("ANSWER_TOO_LARGE", tooLarge)));
    return false;
  }

  #end(read: Read, answer: () => void): void {
    read.room.leave(read.stay);
    if (read.ready !== null) this.#ready.remove(read.ready);
    answer();
  }
}

/** `details.appliedIndex` tells this from a lack of room. */
const behind = (index: number, appliedIndex: number): ConclaveError =>
  new ConclaveError("BUSY", `This node has come to entry ${appliedIndex}, and its asker has seen entry ${index}.`, {
    details: { retryAfterMs: BEHIND_RETRY_MS, appliedIndex },
  });

/** @throws ConclaveError `BUSY` */
function open(room: Room, queries: readonly Uint8Array[], answer: Answer<NodeAnswer>, link: object | null): Read {
  room.check(link);
  const bytes = queries.reduce((sum, query) => sum + query.byteLength + LENGTH_BYTES, LENGTH_BYTES);
  return { queries, room, stay: room.enter(link, bytes), answer, ready: null, results: [], resultBytes: 0 };
}
