/**
 * Brings a snapshot from one node to another. Whoever needs it draws it, one bounded part after the other over the link
 * that everything else takes, too: heartbeats pass in between, a slow reader is waited for by itself, and after a lost
 * link it goes on where it was.
 */

import { ConclaveError, hasCode, messageOf } from "../errors.ts";
import type { NodeAnswer } from "../protocol/node.ts";
import { decodeConfiguration, logIndex, type Offer, type Snapshot, term } from "../raft/index.ts";
import type { SnapshotInfo, SnapshotStore } from "../storage/index.ts";

export type TransferStory =
  | { readonly event: "snapshot-drawn"; readonly from: string; readonly index: number; readonly resumedAt: number }
  | { readonly event: "snapshot-interrupted"; readonly from: string; readonly index: number; readonly reason: string }
  /** It can't be read back, or did not arrive as it was sent. */
  | { readonly event: "snapshot-damaged"; readonly index: number; readonly reason: string };

type Chunks = Extract<NodeAnswer, { type: "chunks" }>;

export interface TransferOptions {
  readonly store: Pick<SnapshotStore, "readChunks" | "receive" | "all">;
  /** Tells apart files that different nodes have made of the same state. */
  readonly incarnation: string;
  /** How much one part holds, at most, if a single chunk is not larger. */
  readonly partBytesMax: number;
  /** Asks a node for the next part. @throws ConclaveError */
  ask(from: string, index: number, offset: number): Promise<NodeAnswer>;
  /** Is it still of use? */
  isWanted(index: number): boolean;
  readonly tell: (story: TransferStory) => void;
  /** It is durable here. */
  onReceived(snapshot: Snapshot): void;
  /** A snapshot of this node's own can't be read any more. */
  onDamaged(index: number): void;
}

/** Takes whether all of it has come. */
type OnEnd = (received: boolean) => void;

interface Drawing {
  readonly offer: Offer;
  readonly onEnd: OnEnd[];
}

/** So often a part that arrives damaged is asked for again before the transfer is given up. */
const ATTEMPTS_MAX = 3;

export class SnapshotTransfer {
  readonly #options: TransferOptions;
  /** What is to be drawn. */
  #drawing: Drawing | null = null;
  /** What is being drawn: what was to be drawn before, until its next part has come. */
  #current: Drawing | null = null;
  #stopped = false;

  constructor(options: TransferOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * Draws what was offered, unless that is being done already.
   *
   * @param onEnd told once nothing more will come
   */
  draw(offer: Offer, onEnd: OnEnd | null = null): void {
    const { from, snapshot } = offer;
    const present = this.#drawing;
    const isSame = present?.offer.from === from && present.offer.snapshot.index === snapshot.index;
    const drawing = isSame ? present : { offer, onEnd: [] };
    if (onEnd !== null) drawing.onEnd.push(onEnd);
    if (isSame) return;
    this.#drawing = drawing; // Whatever is being drawn ends with its next part.
    if (this.#current === null) void this.#drawAll();
    else if (present !== this.#current) for (const tell of present?.onEnd ?? []) tell(false);
  }

  /** A part of a snapshot, for a node that draws it. @throws ConclaveError `COMPACTED`, `DISK_FAILED` */
  async serve(index: number, offset: number): Promise<Chunks> {
    const { store, partBytesMax, incarnation, onDamaged, tell } = this.#options;
    try {
      const { bytes, next, done } = await store.readChunks(index, offset, partBytesMax);
      const info = store.all.find((one) => one.index === index);
      // What is taken anew at the same entry is another file.
      const source = `${incarnation}/${info?.checksum ?? 0}`;
      return { type: "chunks", bytes, next: done ? null : next, total: info?.bytes ?? 0, source };
    } catch (error) {
      if (!hasCode(error, "DATA_CORRUPT")) throw error;
      tell({ event: "snapshot-damaged", index, reason: messageOf(error) });
      onDamaged(index);
      throw new ConclaveError("COMPACTED", `The snapshot of entry ${index} is damaged; there will be another one.`);
    }
  }

  async #drawAll(): Promise<void> {
    for (let drawing = this.#drawing; drawing !== null && !this.#stopped; drawing = this.#drawing) {
      this.#current = drawing;
      const { from, snapshot } = drawing.offer;
      let received: Snapshot | null = null;
      try {
        received = await this.#drawOne(drawing.offer);
        if (received !== null && !this.#stopped) this.#options.onReceived(received);
      } catch (error) {
        const reason = messageOf(error);
        // The leader offers it again, for as long as it is needed.
        if (!this.#stopped) {
          this.#options.tell({ event: "snapshot-interrupted", from, index: snapshot.index, reason });
        }
      }
      if (this.#drawing === drawing) this.#drawing = null;
      for (const tell of drawing.onEnd) tell(received !== null);
    }
    this.#current = null;
  }

  /** Null if it was not wanted any more. */
  async #drawOne(offer: Offer): Promise<Snapshot | null> {
    const { from, snapshot } = offer;
    const { index } = snapshot;
    const { store, tell, isWanted } = this.#options;
    const isOver = (): boolean => this.#stopped || this.#drawing?.offer !== offer || !isWanted(index);
    const first = await this.#ask(from, index, 0);
    if (isOver()) return null;
    const file = await store.receive({ index, term: snapshot.term, bytes: first.total, id: first.source });
    tell({ event: "snapshot-drawn", from, index, resumedAt: file.offset });
    let part = file.offset === 0 ? first : null;
    let attempts = 0;
    while (file.offset < first.total) {
      part ??= await this.#ask(from, index, file.offset).catch(async (error: unknown) => {
        // What is here is not the beginning of what is there.
        if (hasCode(error, "INVALID_ARGUMENT")) await file.abandon();
        throw error;
      });
      if (isOver()) return null;
      if (part.total !== first.total || part.source !== first.source) {
        throw new ConclaveError("BAD_MESSAGE", `${from} goes on with another snapshot.`);
      }
      const before = file.offset;
      try {
        await file.write(part.bytes);
        if (file.offset === before) throw new ConclaveError("BAD_MESSAGE", `${from} sends nothing.`);
        attempts = 0;
      } catch (error) {
        if (!hasCode(error, "DATA_CORRUPT") || ++attempts >= ATTEMPTS_MAX) throw error;
        tell({ event: "snapshot-damaged", index, reason: messageOf(error) });
      }
      part = null;
    }
    return snapshotOf(await file.finish());
  }

  async #ask(from: string, index: number, offset: number): Promise<Chunks> {
    const answer = await this.#options.ask(from, index, offset);
    if (answer.type === "chunks") return answer;
    throw new ConclaveError("BAD_MESSAGE", `${from} answers with something that is no part of a snapshot.`);
  }
}

/** @throws if no core has written it */
export const snapshotOf = ({ index, term: lastTerm, configuration }: SnapshotInfo): Snapshot => ({
  index: logIndex(index),
  term: term(lastTerm),
  configuration: decodeConfiguration(configuration),
});
