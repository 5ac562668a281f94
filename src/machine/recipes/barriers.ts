/**
 * Barriers as a machine: whoever comes waits until so many are there, and then all of them get through at once. Who was
 * not heard of for its time to live is not there any more; it is the log that decides when.
 */

import { type CommandContext, changesOf, machine, Rejection } from "../definition.ts";
import { checkNames, checkTtl, full, isWhole, keyOf } from "./checks.ts";
import { newRecent, type Recent, remember } from "./recent.ts";

/** Somebody who waited got through. */
export interface BarrierChange {
  readonly type: "opened";
  readonly token: number;
}

interface Barrier {
  readonly parties: number;
  /** Those that are there, with their times to live. */
  readonly waiting: Map<string, number>;
}

interface State {
  /** Those at which anybody waits. */
  readonly barriers: Map<string, Barrier>;
  /** Who got through last, by barrier and owner. */
  readonly passed: Recent;
}

type Context = CommandContext<BarrierChange>;

/** Who waits at which barrier. */
interface Party {
  readonly name: string;
  /** Of its choice, and another one for each time that somebody comes. */
  readonly owner: string;
}

const BARRIERS_MAX = 10_000;
const PARTIES_MAX = 10_000;
/** So many are known after they got through. */
const PASSED_MAX = 2 * PARTIES_MAX;

/** The machine behind `client.barrier`. */
export const barriers = machine({
  name: "barriers",
  version: 1,
  state: (): State => ({ barriers: new Map(), passed: newRecent() }),
  changes: changesOf<BarrierChange>({ countMax: 65_536 }),
  commands: {
    /** Somebody is there; with a token, if it is through. */
    enter(
      state,
      { name, owner, parties, ttlMs }: Party & { readonly parties: number; readonly ttlMs: number },
      context,
    ): { readonly token: number | null; readonly revision: number } {
      checkNames(name, owner);
      checkTtl(ttlMs);
      if (!isWhole(parties, 1, PARTIES_MAX)) throw new Rejection("INVALID_PARTIES", { most: PARTIES_MAX });
      const { revision } = context;
      // It did not hear of it, and asks again.
      const passed = state.passed.tokens.get(keyOf(name, owner));
      if (passed !== undefined) return { token: passed, revision };
      const barrier = state.barriers.get(name) ?? newBarrier(state, name, parties);
      if (barrier.parties !== parties) throw new Rejection("PARTIES_DIFFER", { parties: barrier.parties });
      barrier.waiting.set(owner, ttlMs);
      setTimer({ name, owner }, ttlMs, context);
      if (barrier.waiting.size < parties) return { token: null, revision };
      return { token: open(state, name, barrier, context), revision };
    },

    /** Lets know that its owner lives: it has its whole time again. Null if it neither waits nor got through lately. */
    renew(state, { name, owner }: Party, context): { readonly token: number | null } | null {
      const passed = state.passed.tokens.get(keyOf(name, owner));
      const ttlMs = state.barriers.get(name)?.waiting.get(owner);
      if (ttlMs !== undefined) setTimer({ name, owner }, ttlMs, context);
      return passed === undefined && ttlMs === undefined ? null : { token: passed ?? null };
    },

    /** Waits no more. False if it did not. */
    leave: (state, party: Party, context) => leave(state, party, context),

    /** Its time has run out. Set as a timer. */
    gone: (state, party: Party, context) => leave(state, party, context),
  },
  queries: {
    /** How many wait at a barrier. */
    look: (state, name: string) => ({ waiting: state.barriers.get(name)?.waiting.size ?? 0 }),
  },
});

function newBarrier(state: State, name: string, parties: number): Barrier {
  if (state.barriers.size >= BARRIERS_MAX) throw full("barriers", { barriers: BARRIERS_MAX });
  const barrier = { parties, waiting: new Map<string, number>() };
  state.barriers.set(name, barrier);
  return barrier;
}

/** All are there. Who comes after them waits for as many others. */
function open(state: State, name: string, { waiting }: Barrier, context: Context): number {
  const token = context.token();
  for (const owner of waiting.keys()) {
    const key = keyOf(name, owner);
    remember(state.passed, key, token, PASSED_MAX);
    context.clearTimer(key);
    context.emit({ type: "opened", token }, key);
  }
  state.barriers.delete(name);
  return token;
}

function leave(state: State, { name, owner }: Party, context: Context): boolean {
  const barrier = state.barriers.get(name);
  if (barrier?.waiting.delete(owner) !== true) return false;
  context.clearTimer(keyOf(name, owner));
  if (barrier.waiting.size === 0) state.barriers.delete(name);
  return true;
}

const setTimer = (party: Party, ttlMs: number, context: Context): void =>
  context.setTimer(keyOf(party.name, party.owner), ttlMs, "gone", party);
