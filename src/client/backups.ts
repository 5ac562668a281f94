/**
 * Draws a backup: one node takes a snapshot that is no older than the call, and gives it part by part. A part that is
 * lost is asked for again; from a node that is gone, another one takes over, with a snapshot of its own.
 */

import type { ActorContext } from "../actor/index.ts";
import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { askingNode, NODE_ACTOR, type NodeAnswer } from "../protocol/asking-node.ts";
import { endWith } from "./end-with.ts";
import { aborted, closed, late, nonsense } from "./failures.ts";
import type { Leadership, NodeRef } from "./leadership.ts";
import { type BackupOptions, RETRY_DELAY_MS } from "./options.ts";
import { pause } from "./pause.ts";

export interface BackupsOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly leadership: () => Leadership;
}

/**
 * Some of a backup. Parts follow one another; one whose offset is 0 begins the file, and any that came before is void.
 *
 * @example
 * ```ts
 * import type { BackupPart } from "conclave/client";
 *
 * const percent = ({ offset, bytes, total }: BackupPart): number => (100 * (offset + bytes.byteLength)) / total;
 * for await (const part of client.backup()) console.log(`${percent(part)} % of ${part.url}`);
 * ```
 */
export interface BackupPart {
  readonly bytes: Uint8Array;
  /** Where in the file they belong. */
  readonly offset: number;
  /** How large the file will be. */
  readonly total: number;
  /** The log index of the entry up to which it holds everything. */
  readonly index: number;
  /** The URL of the node that gives it. */
  readonly url: string;
}

/** How long it may go on without a part that comes; taking a snapshot of a large state is what takes longest. */
const STALL_MS_MAX = 30_000;
/** How long a node may take for a part. */
const PART_MS_MAX = 10_000;
/** So often a part is asked for before another node is tried. */
const ATTEMPTS_MAX = 5;
const RETRY_DELAY_MS_MAX = 1_000;

/** A snapshot that a node keeps for this client. */
interface Offer {
  readonly node: NodeRef;
  readonly url: string;
  readonly index: number;
  readonly total: number;
  /** What stands before it in the file. */
  readonly origin: Uint8Array;
}

/** One call. */
interface Backup {
  readonly wanted: string | null;
  readonly ended: AbortSignal;
  readonly stallMs: number;
  /** Without a part by then it is over. */
  deadlineMs: number;
  /** Why nothing comes. */
  refusal: ConclaveError | null;
}

type Chunks = Extract<NodeAnswer, { type: "chunks" }>;

export class Backups {
  readonly #options: BackupsOptions;
  /** How to end those that are drawn. */
  readonly #open = new Set<AbortController>();
  #closed = false;

  constructor(options: BackupsOptions) {
    this.#options = options;
  }

  async *draw({ node, signal, timeoutMs = STALL_MS_MAX }: BackupOptions): AsyncGenerator<BackupPart, void, undefined> {
    const end = new AbortController();
    const ended = endWith(end, signal);
    const backup: Backup = {
      wanted: node ?? null,
      ended,
      stallMs: timeoutMs,
      deadlineMs: this.#nowMs + timeoutMs,
      refusal: null,
    };
    this.#open.add(end);
    try {
      if (this.#closed) throw closed();
      while (!(yield* this.#drawFromAnyone(backup))) await this.#pause(backup, RETRY_DELAY_MS_MAX);
    } catch (error) {
      const reason: unknown = ended.aborted ? ended.reason : error;
      throw !ended.aborted || reason instanceof ConclaveError ? reason : aborted(ended);
    } finally {
      this.#open.delete(end);
      end.abort();
    }
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#open) end.abort(closed());
  }

  get #nowMs(): number {
    return this.#options.environment.clock.nowMs();
  }

  /** One node after the other, beginning with the leader. True once one has given all. */
  async *#drawFromAnyone(backup: Backup): AsyncGenerator<BackupPart, boolean, undefined> {
    for (const [url] of this.#options.leadership().candidates(backup.wanted)) {
      const offer = await this.#offerOf(url, backup);
      if (offer === null) continue;
      try {
        if (yield* this.#drawFrom(offer, backup)) return true;
      } finally {
        offer.node.tell({ type: "release-snapshot", index: offer.index });
      }
    }
    return false;
  }

  /** Null if this node can't give any now. */
  async #offerOf(url: string, backup: Backup): Promise<Offer | null> {
    const node = this.#options.context.ref(`${url}/${NODE_ACTOR}`, askingNode);
    try {
      const answer = await node.ask({ type: "take-snapshot" }, this.#within(backup, Number.POSITIVE_INFINITY));
      if (answer.type !== "snapshot") throw nonsense();
      this.#cameOn(backup);
      return { node, url, ...answer };
    } catch (error) {
      this.#note(error, backup);
      return null;
    }
  }

  /** False if the rest can't be had from there. */
  async *#drawFrom(offer: Offer, backup: Backup): AsyncGenerator<BackupPart, boolean, undefined> {
    const { origin, index, url } = offer;
    const total = origin.byteLength + offer.total;
    let offset = 0;
    let source: string | null = null;
    while (offset < offer.total) {
      const part = await this.#partOf(offer, offset, backup);
      if (part === null || (source !== null && part.source !== source)) return false;
      const bytes = offset === 0 ? joined(origin, part.bytes) : part.bytes;
      yield { bytes, offset: offset === 0 ? 0 : origin.byteLength + offset, total, index, url };
      this.#cameOn(backup);
      ({ source } = part);
      offset += part.bytes.byteLength;
    }
    return true;
  }

  /** Null if it can't be had. */
  async #partOf({ node, index, total }: Offer, offset: number, backup: Backup): Promise<Chunks | null> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      try {
        const answer = await node.ask({ type: "read-snapshot", index, offset }, this.#within(backup, PART_MS_MAX));
        if (answer.type === "chunks" && goesOn(answer, offset, total)) return answer;
        throw nonsense();
      } catch (error) {
        this.#note(error, backup);
        const isLost = hasCode(error, "UNREACHABLE", "TIMEOUT", "BUSY");
        if (!isLost) return null;
        if (attempt < ATTEMPTS_MAX) await this.#pause(backup, RETRY_DELAY_MS * 2 ** attempt);
      }
    }
    return null;
  }

  #cameOn(backup: Backup): void {
    backup.deadlineMs = this.#nowMs + backup.stallMs;
    backup.refusal = null;
  }

  #note(error: unknown, backup: Backup): void {
    if (backup.ended.aborted || !(error instanceof ConclaveError)) throw error;
    if (!hasCode(error, "UNREACHABLE", "TIMEOUT")) backup.refusal = error;
  }

  #within({ deadlineMs, ended }: Backup, mostMs: number): { readonly timeoutMs: number; readonly signal: AbortSignal } {
    return { timeoutMs: Math.max(0, Math.min(mostMs, deadlineMs - this.#nowMs)), signal: ended };
  }

  /** @throws ConclaveError once nothing has come for too long, or whatever the call is ended with */
  async #pause(backup: Backup, delayMs: number): Promise<void> {
    const { ended, deadlineMs, stallMs, refusal } = backup;
    if (this.#nowMs >= deadlineMs) {
      throw refusal ?? late(stallMs, this.#options.leadership().leader);
    }
    const { environment } = this.#options;
    await pause(environment, delayMs * (0.5 + environment.random.next() / 2), ended);
  }
}

/** What comes is behind what there is, and within what was announced. */
function goesOn({ bytes, next, total }: Chunks, offset: number, announced: number): boolean {
  const end = offset + bytes.byteLength;
  return total === announced && bytes.byteLength > 0 && end === (next ?? total) && end <= total;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const whole = new Uint8Array(first.byteLength + second.byteLength);
  whole.set(first);
  whole.set(second, first.byteLength);
  return whole;
}
