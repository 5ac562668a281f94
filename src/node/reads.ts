/** Questions about the state that wait until they may be answered, and their answers, a slice at a time. */

import type { Answer } from "../actor/index.ts";
import type { Clock } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { encodeList } from "../machine/commands.ts";
import type { Replica } from "../machine/index.ts";
import type { LeaderView } from "../protocol/leader.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import type { ReadOutcome } from "../raft/index.ts";
import { ANSWER_HEADROOM_BYTES } from "./admission.ts";
import { TURN_MS_MAX } from "./applier.ts";
import { notLeader } from "./proposals.ts";
import { Room, type Stay } from "./room.ts";

/** What a list adds to each of its items. */
const LENGTH_BYTES = 4;

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
  /** What has been answered so far, and its size. */
  readonly results: Uint8Array[];
  resultBytes: number;
}

export class Reads {
  readonly #options: ReadsOptions;
  /** By ticket, until the core has said from which index on they may be served. */
  readonly #asked = new Map<number, Read>();
  /** Those that wait for an index to be applied, lowest first. */
  readonly #confirmed: { readonly index: number; readonly read: Read }[] = [];
  /** Those that may be served now, oldest first. */
  readonly #ready = new Set<Read>();
  readonly #unconfirmedRoom: Room;
  /** Those that are ready count for themselves: they wait for this node's time, the others for a majority's. */
  readonly #readyRoom: Room;
  #lastTicket = 0;

  constructor(options: ReadsOptions) {
    this.#options = options;
    const { clock, limits } = options;
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

  /** A read of the state as it is; it does not wait for those that wait for the core. @throws ConclaveError `BUSY` */
  askStale(queries: readonly Uint8Array[], answer: Answer<NodeAnswer>, link: object | null): void {
    this.#ready.add(open(this.#readyRoom, queries, answer, link));
  }

  /** The core has spoken. */
  take(outcomes: readonly ReadOutcome[], view: LeaderView): void {
    for (const outcome of outcomes) {
      const read = this.#asked.get(outcome.ticket);
      if (read === undefined) continue;
      this.#asked.delete(outcome.ticket);
      if ("index" in outcome) this.#confirmed.push({ index: outcome.index, read });
      else this.#end(read, () => read.answer.fail(notLeader(view)));
    }
  }

  /** Serves, for as long as a turn may take, what has waited for no more than has been applied. */
  run(): void {
    const { clock, continueLater } = this.#options;
    this.#release();
    const endMs = clock.nowMs() + TURN_MS_MAX;
    for (const read of this.#ready) {
      for (let isOpen = true; isOpen; ) {
        isOpen = this.#serveOne(read);
        if (clock.nowMs() < endMs) continue;
        if (this.#ready.size > 0) continueLater();
        return;
      }
    }
  }

  /** Indices were confirmed in ascending order. */
  #release(): void {
    const { appliedIndex } = this.#options.replica;
    const pending = this.#confirmed.findIndex(({ index }) => index > appliedIndex);
    const due = this.#confirmed.splice(0, pending === -1 ? this.#confirmed.length : pending);
    for (const { read } of due) {
      const { link, bytes } = read.stay;
      read.room.leave(read.stay);
      read.room = this.#readyRoom;
      read.stay = this.#readyRoom.enter(link, bytes);
      this.#ready.add(read);
    }
  }

  /** Answers the next query of a message; false once the message is done with. */
  #serveOne(read: Read): boolean {
    const { replica, limits } = this.#options;
    const query = read.queries[read.results.length];
    if (query === undefined) {
      this.#end(read, () => read.answer.ok({ type: "results", results: encodeList(read.results) }));
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
    this.#ready.delete(read);
    answer();
  }
}

/** @throws ConclaveError `BUSY` */
function open(room: Room, queries: readonly Uint8Array[], answer: Answer<NodeAnswer>, link: object | null): Read {
  room.check(link);
  const bytes = queries.reduce((sum, query) => sum + query.byteLength + LENGTH_BYTES, LENGTH_BYTES);
  return { queries, room, stay: room.enter(link, bytes), answer, results: [], resultBytes: 0 };
}
