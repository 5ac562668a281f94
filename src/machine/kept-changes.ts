/** The last changes that a machine has emitted, for its subscribers: a part of the replicated state. */

import type { KeptChange, TypedChangesPage } from "./typed-protocol.ts";

export interface KeptBounds {
  readonly countMax: number;
  readonly bytesMax: number;
}

/** A page ends once it holds so much, or has passed so many changes by: who asks must not hold up others. */
const PAGE_BYTES_MAX = 256 * 1024;
const PAGE_SCANNED_MAX = 10_000;

export class KeptChanges {
  readonly #bounds: KeptBounds;
  /** Without gaps, oldest first, from `#first` on; those before it are gone. */
  #kept: (KeptChange | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #lastRevision: number;

  /** @param lastRevision that of the change before the first one to come */
  constructor(bounds: KeptBounds, lastRevision = 0) {
    this.#bounds = bounds;
    this.#lastRevision = lastRevision;
  }

  get lastRevision(): number {
    return this.#lastRevision;
  }

  /** Changes from this revision on are to be had. */
  get firstRevision(): number {
    return this.#lastRevision + 1 - (this.#kept.length - this.#first);
  }

  add({ topic, bytes }: Omit<KeptChange, "revision">): void {
    this.#lastRevision++;
    this.#kept.push({ revision: this.#lastRevision, topic, bytes });
    this.#bytes += bytes.byteLength;
    while (this.#kept.length - this.#first > this.#bounds.countMax || this.#bytes > this.#bounds.bytesMax) {
      this.#bytes -= this.#kept[this.#first]?.bytes.byteLength ?? 0;
      this.#kept[this.#first++] = undefined;
    }
    // Each is moved but once for as many that come.
    if (this.#first > 1_000 && this.#first * 2 > this.#kept.length) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Those that are kept, as they are now. */
  all(): readonly KeptChange[] {
    return this.#kept.slice(this.#first) as KeptChange[];
  }

  /**
   * Those of a topic, or all if it is null, from a revision on; from revision 0 none, but which one comes next.
   */
  page(topic: string | null, fromRevision: number, limit: number): TypedChangesPage {
    const { firstRevision } = this;
    if (fromRevision === 0) return { type: "changes", changes: [], nextRevision: this.#lastRevision + 1 };
    if (fromRevision < firstRevision) return { type: "compacted", firstRevision };
    const changes: KeptChange[] = [];
    let bytes = 0;
    let revision = fromRevision;
    const end = fromRevision + PAGE_SCANNED_MAX;
    for (; revision < end && changes.length < limit && bytes < PAGE_BYTES_MAX; revision++) {
      const change = this.#kept[this.#first + revision - firstRevision];
      if (change === undefined) break;
      if (topic !== null && change.topic !== topic) continue;
      changes.push(change);
      bytes += change.bytes.byteLength;
    }
    return { type: "changes", changes, nextRevision: revision };
  }
}
