/**
 * Watches: changes of a state machine as they come, each once and in order. A watch asks a node for the next page, and the
 * node answers once there is something; where it was is known here alone, so any node can take over from any other.
 */

import type { ActorContext } from "../actor/index.ts";
import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import { askingNode, NODE_ACTOR } from "../protocol/asking-node.ts";
import { endable } from "./endable.ts";
import { aborted, closed, nonsense, understood } from "./failures.ts";
import type { Leadership } from "./leadership.ts";
import { RETRY_DELAY_MS, type WatchOptions } from "./options.ts";
import { pause } from "./pause.ts";
import { isFinal, type Queries } from "./queries.ts";

export interface WatchesOptions {
  readonly environment: ClientEnvironment;
  readonly context: ActorContext;
  readonly leadership: () => Leadership;
  readonly queries: Queries;
  /** Holds back the commands that were not sent yet, until the promise is settled. */
  holdCommands(until: Promise<unknown>): void;
}

/** How long a node may keep a question that it can't answer yet; a node that has not answered before gets less. */
const WAIT_MS = 10_000;
const FIRST_WAIT_MS = 500;
/** How late its answer may come. */
const PATIENCE_MS = 1_000;
const RETRY_DELAY_MS_MAX = 1_000;
/** The most changes of one page, which is all that a watch holds. */
const PAGE_MAX = 1_000;
const START_TIMEOUT_MS = 60_000;

/** What is watched, and how a state machine is asked for it. */
export interface Source<Change> {
  /** A question that is answered at once, and from whose answer `newest` reads the revision of the last change. */
  readonly newestQuery: Uint8Array;
  newest(answer: Uint8Array): number;
  /** Asks for the changes from a revision on, of which `read` makes a page. */
  query(fromRevision: number, limit: number): Uint8Array;
  read(answer: Uint8Array): SourcePage<Change>;
}

/** Some of the changes, in order, and from where on there may be more; or only from where on they are still to be had. */
export type SourcePage<Change> =
  | { readonly type: "changes"; readonly changes: readonly Revised<Change>[]; readonly nextRevision: number }
  | { readonly type: "compacted"; readonly firstRevision: number };

type Revised<Change> = Change & { readonly revision: number };

interface Watch<Change> {
  readonly source: Source<Change>;
  /** The only node to ask; null if any will do. */
  readonly node: string | null;
  /** Fires when the watch is to end. */
  readonly ended: AbortSignal;
  /** The URL of the node that answered last. */
  url: string | null;
  pageMax: number;
}

export class Watches {
  readonly #options: WatchesOptions;
  /** How to end those that are read. */
  readonly #open = new Set<AbortController>();
  #lastId = 0;
  #closed = false;

  constructor(options: WatchesOptions) {
    this.#options = options;
  }

  open<Change>(
    source: Source<Change>,
    { fromRevision, signal, node }: WatchOptions,
  ): AsyncIterableIterator<Revised<Change>> {
    return endable(signal, (ended, end) => {
      const start = fromRevision === undefined ? this.#afterNow(source, ended) : Promise.resolve(fromRevision);
      start.catch(() => {}); // Whoever reads the watch will know of it.
      if (fromRevision === undefined) this.#options.holdCommands(start);
      return this.#changes({ source, node: node ?? null, ended, url: null, pageMax: PAGE_MAX }, start, end);
    });
  }

  close(): void {
    this.#closed = true;
    for (const end of this.#open) end.abort(closed());
  }

  async *#changes<Change>(
    watch: Watch<Change>,
    start: Promise<number>,
    end: AbortController,
  ): AsyncGenerator<Revised<Change>, void, undefined> {
    const { ended } = watch;
    this.#open.add(end);
    try {
      if (this.#closed) throw closed();
      let from = await start;
      for (;;) {
        const page = await this.#page(watch, from);
        for (const change of page.changes) {
          ended.throwIfAborted();
          yield change;
        }
        from = page.nextRevision;
      }
    } catch (error) {
      const reason: unknown = ended.aborted ? ended.reason : error;
      throw !ended.aborted || reason instanceof ConclaveError ? reason : aborted(ended);
    } finally {
      this.#open.delete(end);
    }
  }

  /** The revision after the newest there is. A linearizable read tells, whatever time it takes. */
  async #afterNow<Change>(source: Source<Change>, ended: AbortSignal): Promise<number> {
    for (;;) {
      try {
        const options = { signal: ended, timeoutMs: START_TIMEOUT_MS };
        const answer = await this.#options.queries.ask(source.newestQuery, options);
        return understood("BAD_MESSAGE", () => source.newest(answer)) + 1;
      } catch (error) {
        if (isFinal(error) || hasCode(error, "CLOSED") || ended.aborted) throw error;
        await this.#pause(RETRY_DELAY_MS_MAX, ended);
      }
    }
  }

  /** The next page, from whichever node has it: for as long as it takes. */
  async #page<Change>(watch: Watch<Change>, from: number): Promise<SourcePage<Change> & { readonly type: "changes" }> {
    for (let round = 0; ; round++) {
      const errors: unknown[] = [];
      for (const [url] of this.#options.leadership().candidates(watch.node, watch.url)) {
        try {
          const page = await this.#pageOf(url, watch, from);
          if (page.type === "changes") return page;
          throw compacted(from, page.firstRevision);
        } catch (error) {
          if (watch.ended.aborted || hasCode(error, "COMPACTED")) throw error;
          errors.push(error);
          watch.url = null;
        }
      }
      // One node may be too old, or broken; if no other is better, nor will be the next answers.
      if (errors.length > 0 && errors.every(isFinal)) throw errors[0];
      await this.#pause(Math.min(RETRY_DELAY_MS * 2 ** round, RETRY_DELAY_MS_MAX), watch.ended);
    }
  }

  /** The next page, from one node, which may find that there is none yet as often as it likes. */
  async #pageOf<Change>(url: string, watch: Watch<Change>, from: number): Promise<SourcePage<Change>> {
    for (;;) {
      try {
        const answer = await this.#poll(url, watch, from);
        watch.url = url;
        if (answer !== null) return understood("BAD_MESSAGE", () => pageFrom(watch.source.read(answer), from));
      } catch (error) {
        if (!hasCode(error, "ANSWER_TOO_LARGE") || watch.pageMax === 1) throw error;
        watch.pageMax = Math.ceil(watch.pageMax / 2);
      }
    }
  }

  async #poll<Change>(url: string, watch: Watch<Change>, from: number): Promise<Uint8Array | null> {
    const { source, ended, url: known, pageMax } = watch;
    const node = this.#options.context.ref(`${url}/${NODE_ACTOR}`, askingNode);
    const id = ++this.#lastId;
    const waitMs = url === known ? WAIT_MS : FIRST_WAIT_MS;
    const query = source.query(from, pageMax);
    try {
      const options = { timeoutMs: waitMs + PATIENCE_MS, signal: ended };
      const answer = await node.ask({ type: "poll", id, waitMs, query }, options);
      if (answer.type === "polled") return answer.result;
      throw nonsense();
    } catch (error) {
      if (ended.aborted || hasCode(error, "TIMEOUT")) node.tell({ type: "end-poll", id });
      throw error;
    }
  }

  #pause(delayMs: number, ended: AbortSignal): Promise<void> {
    const { environment } = this.#options;
    return pause(environment, delayMs * (0.5 + environment.random.next()), ended);
  }
}

/** A page that continues where the last one ended. @throws RangeError if it does not */
function pageFrom<Change>(page: SourcePage<Change>, from: number): SourcePage<Change> {
  if (page.type === "compacted") return page;
  let next = from;
  for (const { revision } of page.changes) {
    if (revision < next) throw new RangeError(`revision ${revision} comes after ${next - 1}`);
    next = revision + 1;
  }
  if (page.nextRevision < next) throw new RangeError(`the page ends before ${next}`);
  return page;
}

const compacted = (from: number, firstRevision: number): ConclaveError =>
  new ConclaveError(
    "COMPACTED",
    `The changes from revision ${from} on are kept no more, only those from ${firstRevision} on: read anew what is watched.`,
    { details: { firstRevision } },
  );
