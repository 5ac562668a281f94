/**
 * Getting in line: whoever is not let in at once waits, lets know of itself meanwhile, and is told by a change of the
 * machine when it is let in. Whatever becomes of the answers, nobody is let in without knowing of it for longer than its
 * time to live.
 */

import type { ClientEnvironment } from "../../environment.ts";
import { ConclaveError, hasCode, messageOf } from "../../errors.ts";
import { endWith } from "../end-with.ts";
import { aborted } from "../failures.ts";
import type { CallOptions } from "../options.ts";
import { pause } from "../pause.ts";
import type { Holdings } from "./holdings.ts";
import { letGo } from "./kept-alive.ts";
import { isPassing, RENEWALS, rest } from "./patience.ts";

export interface Waiting {
  readonly environment: ClientEnvironment;
  readonly holdings: Holdings;
  /** A place in line is lost if its owner was not heard of for so long. */
  readonly ttlMs: number;
  /** For how long it is let in; as long by default. */
  readonly heldMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** False to get in at once or not at all. */
  readonly isPatient: boolean;
}

/** A place in line, or what comes of it. `got` is null for who waits. */
export interface Place<T> {
  enter(options: CallOptions): Promise<{ readonly got: T | null; readonly revision: number }>;
  /**
   * Resolves when a change from the revision on says that it was let in; `got` is null if that has to be asked for. Null
   * if the place is lost.
   */
  told(fromRevision: number, ended: AbortSignal): Promise<{ readonly got: T | null } | null>;
  /** Lets know of its owner, who has its whole time again. Null if the place is lost. */
  renew(options: CallOptions): Promise<{ readonly got: T | null } | null>;
  /** Gives the place up, or what has come of it. */
  leave(options: CallOptions): Promise<unknown>;
}

/** What somebody was let in to. */
export interface Granted<T> {
  readonly got: T;
  /** When it was asked for, or asked for anew, at the latest: whatever time it is granted for began later. */
  readonly askedMs: number;
}

/**
 * Gets in line, and waits to be let in. Who is not patient, and not let in at once: null.
 *
 * @param placeOf a place for an owner of that name. It is the same one until it is let in, whatever is lost meanwhile: so
 * it may ask again for what it was not answered, and has it once.
 * @throws ConclaveError `ABORTED`, `CLOSED`, `REJECTED`; if it is not patient, as every call
 */
export async function getIn<T>(waiting: Waiting, placeOf: (owner: string) => Place<T>): Promise<Granted<T> | null> {
  const { environment, holdings, ttlMs, signal, isPatient } = waiting;
  const place = placeOf(environment.random.id());
  const closing = new AbortController();
  let mayBeIn = false;
  let ended = (): void => {};
  try {
    for (;;) {
      if (isAborted(signal)) throw aborted(signal);
      const askedMs = environment.clock.nowMs();
      try {
        const { got, revision } = await place.enter(signal === undefined ? {} : { signal });
        if (got === null && !isPatient) return null;
        mayBeIn = true;
        if (got === null) ended = holdings.waitWith(closing);
        const granted =
          got !== null ? { got, askedMs } : await waitInLine(waiting, place, revision + 1, askedMs, closing.signal);
        const fresh = granted === null ? null : await refreshed(waiting, place, granted);
        if (fresh !== null) return fresh;
        // Its place is lost: it was not heard of for too long.
      } catch (error) {
        mayBeIn ||= !hasCode(error, "REJECTED");
        if (isAborted(signal)) throw aborted(signal);
        if (!isPatient || !isPassing(error)) throw error;
        await rest(environment);
      }
      ended();
    }
  } catch (error) {
    if (mayBeIn) holdings.bid(letGo(environment, ttlMs, place.leave));
    throw error;
  } finally {
    ended();
  }
}

/** Who was let in after a long time without an answer has its time anew, or nothing: null. @throws as `getIn` */
async function refreshed<T>(
  { environment, ttlMs, heldMs = ttlMs, signal }: Waiting,
  place: Place<T>,
  granted: Granted<T>,
): Promise<Granted<T> | null> {
  const askedMs = environment.clock.nowMs();
  if (askedMs - granted.askedMs < heldMs / 2) return granted;
  const renewed = await place.renew(signal === undefined ? {} : { signal });
  return renewed === null || renewed.got === null ? null : { got: renewed.got, askedMs };
}

/** Null if the place in line is lost. @throws as `getIn` */
async function waitInLine<T>(
  { environment, ttlMs, signal }: Waiting,
  place: Place<T>,
  fromRevision: number,
  firstAskedMs: number,
  closing: AbortSignal,
): Promise<Granted<T> | null> {
  const end = new AbortController();
  const ended = endWith(end, closing, signal);
  let askedMs = firstAskedMs;
  /** Undefined for who waits still. */
  const ask = async (timeoutMs: number): Promise<Granted<T> | null | undefined> => {
    const nowMs = environment.clock.nowMs();
    const renewed = await place.renew({ timeoutMs, signal: ended });
    if (renewed === null) return null;
    askedMs = nowMs;
    return renewed.got === null ? undefined : { got: renewed.got, askedMs: nowMs };
  };
  const told = async (): Promise<Granted<T> | null | undefined> => {
    const news = await place.told(fromRevision, ended);
    if (news === null || news.got === null) return news === null ? null : ask(ttlMs);
    return { got: news.got, askedMs };
  };
  const kept = async (): Promise<Granted<T> | null> => {
    for (;;) {
      await pause(environment, ttlMs / RENEWALS, ended);
      try {
        const renewed = await ask(ttlMs);
        if (renewed !== undefined) return renewed;
      } catch (error) {
        if (ended.aborted || hasCode(error, "CLOSED")) throw error;
        if (environment.clock.nowMs() - askedMs > ttlMs) return null;
      }
    }
  };
  const both = [told(), kept()] as const;
  try {
    // Changes that can't be had, or tell nothing, say nothing of the place: the renewals will.
    const first = await Promise.race([
      both[0].catch((error) => {
        if (hasCode(error, "COMPACTED") || isPassing(error)) return undefined;
        throw error;
      }),
      both[1],
    ]);
    return first === undefined ? await both[1] : first;
  } catch (error) {
    if (isAborted(signal)) throw aborted(signal);
    throw error instanceof ConclaveError ? error : new ConclaveError("ABORTED", messageOf(error), { cause: error });
  } finally {
    end.abort();
    for (const one of both) one.catch(() => {});
  }
}

export const isAborted = (signal: AbortSignal | undefined): signal is AbortSignal => signal?.aborted === true;
