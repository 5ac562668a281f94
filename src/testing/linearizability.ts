/**
 * Could the answers that clients got have come from one copy of the data, with every call taking effect at one moment
 * between its beginning and its end (Herlihy and Wing, 1990)? The check knows nothing of how the answers came about.
 *
 * It is the search of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017): answers are taken
 * in the order in which they came, and before each one tries which of the calls under way took effect before it. What
 * can't succeed is not tried twice. Keys are checked apart, which is sound because linearizability is local; those that some
 * call touches together are checked together.
 *
 * Calls whose outcome is unknown stay under way for ever, which is what makes a plain search explode. Three things
 * keep it small:
 *
 * - They are tried last and as few as possible: first one for each answer, then two, then any number.
 * - Those that are alike are interchangeable: the earliest that is left stands for all.
 * - Of two ways to the same state, the one that leaves more of them in hand can do all that the other can.
 */

import type { Call, Moment } from "./history.ts";

/**
 * What the data is and what operations do to it, without concurrency. States, operations and results are plain data.
 *
 * @example
 * ```ts
 * import { check, History, type Model } from "conclave/testing";
 *
 * const register: Model<string, string, string> = {
 *   initial: "",
 *   keyOf: () => "register",
 *   step: (state, operation, known) => {
 *     const after = operation.startsWith("write ") ? operation.slice(6) : state;
 *     return known === null || known.result === after ? [after] : [];
 *   },
 *   signature: (state) => state,
 *   describe: (operation) => operation,
 *   describeResult: (result) => result,
 * };
 * const history = new History<string, string>();
 * history.begin("ann", "write 1").end("1");
 * history.begin("bob", "read").end("1");
 * console.log(check(register, history.calls)); // null
 * ```
 */
export interface Model<State, Operation, Result> {
  /** The state, of one key or of several that are checked together, before the first call. */
  readonly initial: State;
  /** The part of the data that an operation touches, or the parts. */
  keyOf(operation: Operation): string | readonly string[];
  /**
   * The states in which the operation may leave this one, given what is known of its outcome: none if it could not
   * have had this result here, and several if that is not all there is to know.
   *
   * @param known null if the outcome is unknown: then every result is possible
   */
  step(state: State, operation: Operation, known: { readonly result: Result } | null): readonly State[];
  /** The same text for the same state, and only then. */
  signature(state: State): string;
  /** An operation in words: the same for operations that always do the same, and only for them. */
  describe(operation: Operation): string;
  /** A result in words. */
  describeResult(result: Result): string;
  /**
   * Do their results alone show that the first of two calls of a key took effect before the second? A hint that spares
   * the search from finding out; "no" is always right.
   */
  mustPrecede?(first: Known<Operation, Result>, second: Known<Operation, Result>): boolean;
}

/**
 * An operation and its result.
 *
 * @example
 * ```ts
 * import type { Known } from "conclave/testing";
 *
 * const mustPrecede = (first: Known<string, number>, second: Known<string, number>): boolean =>
 *   first.result < second.result;
 * ```
 */
export interface Known<Operation, Result> {
  readonly operation: Operation;
  readonly result: Result;
}

/**
 * Why a history was not accepted.
 *
 * @example
 * ```ts
 * import type { Finding } from "conclave/testing";
 *
 * const show = <Operation, Result>({ type, key, explanation }: Finding<Operation, Result>): void =>
 *   console.error(`${type} of "${key}"\n${explanation}`);
 * ```
 */
export interface Finding<Operation, Result> {
  /** `undecided`: the search took too many steps. The calls are then as far as it came, for what that tells. */
  readonly type: "violation" | "undecided";
  /** The key, or those that were checked together. */
  readonly key: string;
  /** The shortest beginning of the key's history, by the order of answers, that has no explanation. */
  readonly calls: readonly Call<Operation, Result>[];
  /** The same for a person to read. */
  readonly explanation: string;
}

/**
 * What `check` takes beside model and history.
 *
 * @example
 * ```ts
 * import { type CheckOptions, check, keyValueModel } from "conclave/testing";
 *
 * const patiently: CheckOptions = { stepsMax: 100_000_000 };
 * console.log(check(keyValueModel, [], patiently)); // null
 * ```
 */
export interface CheckOptions {
  /** The most steps spent on one key; default 2,000,000, which take some seconds. */
  readonly stepsMax?: number;
}

const STEPS_MAX = 2_000_000;
/** How many unknown calls may take effect just before one answer, try after try. */
const UNKNOWNS_MAX = [1, 2, Number.POSITIVE_INFINITY];
/** So much text to remember counts as one step more. */
const STEP_LENGTH = 64;
const LINES_MAX = 40;
const STATES_MAX = 5;

/**
 * Looks for one order of all calls that explains every answer.
 *
 * @example
 * ```ts
 * import { check, History, keyValueModel, RecordedClient } from "conclave/testing";
 *
 * const history: ConstructorParameters<typeof RecordedClient>[2] = new History();
 * const [ann, bob] = ["ann", "bob"].map((name) => new RecordedClient(cluster.client, name, history));
 * await Promise.all([ann?.put("a", "1"), bob?.increment("a"), bob?.get("a")]);
 * console.log(check(keyValueModel, history.calls)); // null
 * ```
 *
 * @returns null if the history is linearizable, else the first violation, or what could not be decided
 */
export function check<State, Operation, Result>(
  model: Model<State, Operation, Result>,
  history: Iterable<Call<Operation, Result>>,
  { stepsMax = STEPS_MAX }: CheckOptions = {},
): Finding<Operation, Result> | null {
  let undecided: Finding<Operation, Result> | null = null;
  const calls = [...history];
  const togetherOf = together(calls.map(({ operation }) => keysOf(model, operation)));
  for (const [key, alike] of grouped(calls, ({ operation }) => togetherOf(keysOf(model, operation)))) {
    const finding = checkKey(model, key, alike, stepsMax);
    if (finding?.type === "violation") return finding;
    undecided ??= finding;
  }
  return undecided;
}

function checkKey<State, Operation, Result>(
  model: Model<State, Operation, Result>,
  key: string,
  calls: readonly Call<Operation, Result>[],
  stepsMax: number,
): Finding<Operation, Result> | null {
  const answers = answersOf(model, calls);
  const search = new Search(model, answers, kindsOf(model, calls), stepsMax);
  for (const unknownsMax of UNKNOWNS_MAX) {
    if (search.succeeds(unknownsMax)) return null;
    if (!search.wasCutShort || search.stepsLeft <= 0) break;
  }
  const type = search.stepsLeft <= 0 ? "undecided" : "violation";
  const last = answers[search.furthest]?.call;
  const shown = last === undefined ? calls : calls.filter(({ begin }) => begin.order <= last.endOrder);
  return { type, key, calls: shown, explanation: explain(model, type, key, shown, last?.endOrder, search.states) };
}

/** A call that was answered. */
interface Answered<Operation, Result> extends Known<Operation, Result> {
  readonly beginOrder: number;
  readonly endOrder: number;
  /** One bit, which no other call under way at the same time has. */
  readonly bit: bigint;
}

/** The moment of an answer. */
interface Answer<Operation, Result> {
  readonly call: Answered<Operation, Result>;
  /** All that were under way then and were answered sometime, this call first. */
  readonly open: readonly Candidate<Operation, Result>[];
}

/** A call that may take effect next, if those that must precede it have. */
interface Candidate<Operation, Result> {
  readonly call: Answered<Operation, Result>;
  /** Their bits. */
  readonly after: bigint;
}

/** The answers in the order in which they came. A call that begins at the moment of an answer may go before it. */
function answersOf<State, Operation, Result>(
  { mustPrecede = () => false }: Model<State, Operation, Result>,
  calls: readonly Call<Operation, Result>[],
): Answer<Operation, Result>[] {
  const known = calls.flatMap(({ operation, begin, outcome }) =>
    outcome === null
      ? []
      : [{ operation, result: outcome.result, beginOrder: begin.order, endOrder: outcome.end.order }],
  );
  const beginnings = known.toSorted((a, b) => a.beginOrder - b.beginOrder);
  const ends = known.toSorted((a, b) => a.endOrder - b.endOrder);
  let open: Answered<Operation, Result>[] = [];
  let begun = 0;
  return ends.map(({ endOrder }) => {
    for (let next = beginnings[begun]; next !== undefined; next = beginnings[++begun]) {
      if (next.beginOrder > endOrder) break;
      open.push({ ...next, bit: freeBit(open) });
    }
    open.sort((a, b) => a.endOrder - b.endOrder);
    const candidates = open.map((call) => {
      const before = open.filter((other) => other !== call && mustPrecede(other, call));
      return { call, after: before.reduce((bits, { bit }) => bits | bit, 0n) };
    });
    const [call, ...others] = open;
    if (call?.endOrder !== endOrder) throw new RangeError("a call ended before it began");
    open = others;
    return { call, open: candidates };
  });
}

function freeBit(open: readonly { readonly bit: bigint }[]): bigint {
  const taken = open.reduce((bits, { bit }) => bits | bit, 0n);
  let bit = 1n;
  while ((taken & bit) !== 0n) bit <<= 1n;
  return bit;
}

/** Calls of unknown outcome that do the same, in the order in which they began. */
interface Kind<Operation> {
  readonly operation: Operation;
  readonly calls: readonly { readonly beginOrder: number; readonly bit: bigint }[];
}

/** The youngest kinds first: most calls take effect soon or never. */
function kindsOf<State, Operation, Result>(
  model: Model<State, Operation, Result>,
  calls: readonly Call<Operation, Result>[],
): Kind<Operation>[] {
  const unknown = calls.filter(({ outcome }) => outcome === null).sort((a, b) => a.begin.order - b.begin.order);
  const numbered = unknown.map(({ operation, begin }, i) => ({
    operation,
    beginOrder: begin.order,
    bit: 1n << BigInt(i),
  }));
  const kinds = grouped(numbered, ({ operation }) => model.describe(operation)).values();
  return Array.from(kinds, (alike) => alike.slice(0, 1).map(({ operation }) => ({ operation, calls: alike })))
    .flat()
    .reverse();
}

/** How far an explanation has come. */
interface Progress<State> {
  /** How many answers are explained. */
  readonly answers: number;
  /** The calls under way that took effect before their answer, by their bits. */
  readonly done: bigint;
  /** The unknown calls that took effect, by their bits. */
  readonly used: bigint;
  readonly state: State;
}

class Search<State, Operation, Result> {
  /** The most answers that some order explains. */
  furthest = 0;
  /** What the state may be then, as signatures. */
  states = new Set<string>();
  /** Something was left out because it takes more unknown calls. */
  wasCutShort = false;
  stepsLeft: number;
  readonly #model: Model<State, Operation, Result>;
  readonly #answers: readonly Answer<Operation, Result>[];
  readonly #kinds: readonly Kind<Operation>[];
  /** For each number of answers: by calls done and state, the unknown calls used on the ways that led there. */
  #seen: readonly Map<string, bigint[]>[] = [];

  constructor(
    model: Model<State, Operation, Result>,
    answers: readonly Answer<Operation, Result>[],
    kinds: readonly Kind<Operation>[],
    stepsMax: number,
  ) {
    this.#model = model;
    this.#answers = answers;
    this.#kinds = kinds;
    this.stepsLeft = stepsMax;
  }

  /**
   * Depth first, but without recursion: histories are longer than stacks are deep.
   *
   * @param unknownsMax how many unknown calls may take effect just before any one answer
   */
  succeeds(unknownsMax: number): boolean {
    this.wasCutShort = false;
    this.furthest = 0;
    this.#seen = Array.from({ length: this.#answers.length + 1 }, () => new Map());
    const start: Progress<State> = { answers: 0, done: 0n, used: 0n, state: this.#model.initial };
    this.#isNew(start);
    const path = [this.#next(start, unknownsMax)];
    for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
      const { value: progress } = last.next();
      if (progress === undefined) path.pop();
      else if (progress.answers === this.#answers.length) return true;
      else if (this.#isNew(progress)) path.push(this.#next(progress, unknownsMax));
    }
    return this.#answers.length === 0;
  }

  /** The ways to explain one answer more, those with the fewest unknown calls first. */
  *#next(from: Progress<State>, unknownsMax: number): Generator<Progress<State>, undefined> {
    const answer = this.#answers[from.answers];
    if (answer === undefined) return;
    const { call, open } = answer;
    if ((from.done & call.bit) !== 0n) {
      yield { ...from, answers: from.answers + 1, done: from.done ^ call.bit };
      return;
    }
    let level = [from];
    for (let unknowns = 0; level.length > 0; unknowns++) {
      // It grows while it is read: calls that were answered later may go first, in any number.
      for (const progress of level) {
        for (const candidate of open) {
          const { bit } = candidate.call;
          if ((progress.done & bit) !== 0n || (candidate.after & ~progress.done) !== 0n) continue;
          for (const state of this.#model.step(progress.state, candidate.call.operation, candidate.call)) {
            if (candidate.call === call) yield { ...progress, answers: from.answers + 1, state };
            else this.#add(level, { ...progress, done: progress.done | bit, state });
          }
        }
      }
      if (unknowns === unknownsMax) {
        this.wasCutShort ||= this.#kinds.length > 0;
        return;
      }
      level = this.#withOneUnknownMore(level, call.endOrder);
    }
  }

  #withOneUnknownMore(level: readonly Progress<State>[], endOrder: number): Progress<State>[] {
    const more: Progress<State>[] = [];
    for (const progress of level) {
      for (const { operation, calls } of this.#kinds) {
        const next = calls.find(({ bit }) => (progress.used & bit) === 0n);
        if (next === undefined || next.beginOrder > endOrder) continue;
        const used = progress.used | next.bit;
        for (const state of this.#model.step(progress.state, operation, null)) {
          this.#add(more, { ...progress, used, state });
        }
      }
    }
    return more;
  }

  #add(level: Progress<State>[], progress: Progress<State>): void {
    if (this.#isNew(progress)) level.push(progress);
  }

  /** Nothing is new once the steps are spent: so every loop ends. */
  #isNew({ answers, done, used, state }: Progress<State>): boolean {
    if (this.stepsLeft <= 0) return false;
    const signature = this.#model.signature(state);
    const place = `${done.toString(36)} ${signature}`;
    const seen = this.#seen[answers];
    const ways = seen?.get(place);
    this.stepsLeft -= 1 + (ways?.length ?? 0) + signature.length / STEP_LENGTH;
    if (ways === undefined) seen?.set(place, [used]);
    else if (ways.some((way) => (way & used) === way)) return false;
    else ways.push(used);
    if (answers > this.furthest) {
      this.furthest = answers;
      this.states = new Set();
    }
    if (answers === this.furthest) this.states.add(signature);
    return true;
  }
}

function explain<State, Operation, Result>(
  model: Model<State, Operation, Result>,
  type: "violation" | "undecided",
  key: string,
  calls: readonly Call<Operation, Result>[],
  lastOrder: number | undefined,
  states: ReadonlySet<string>,
): string {
  const title =
    type === "violation"
      ? `Not linearizable: no order of these calls of "${key}" explains the answer marked with >.`
      : `Undecided: the steps were spent before these calls of "${key}" were explained, up to the answer marked with >.`;
  // Those that ended long ago say least.
  const byEnd = calls.toSorted((a, b) => endOf(a) - endOf(b));
  const shown = byEnd.slice(-LINES_MAX).sort((a, b) => a.begin.order - b.begin.order);
  const rows = shown.map((call) => {
    const result = call.outcome === null ? "unknown" : model.describeResult(call.outcome.result);
    const mark = call.outcome?.end.order === lastOrder ? ">" : " ";
    return [
      `${mark} ${textOf(call.begin)}..${call.outcome === null ? "" : textOf(call.outcome.end)}`,
      call.client,
      `${model.describe(call.operation)} -> ${result}`,
    ] as const;
  });
  const width = (column: 0 | 1): number => Math.max(0, ...rows.map((row) => row[column].length));
  const lines = rows.map(([when, client, what]) => `${when.padEnd(width(0))}  ${client.padEnd(width(1))}  ${what}`);
  const hidden = calls.length - shown.length;
  const before = [...states].slice(0, STATES_MAX);
  return [
    title,
    ...(hidden > 0 ? [`  (${hidden} calls that ended earlier are not shown)`] : []),
    ...lines,
    `Before it the state could be: ${before.join(" or ")}${states.size > before.length ? " or others" : ""}`,
  ].join("\n");
}

function keysOf<Operation>(
  { keyOf }: Pick<Model<never, Operation, never>, "keyOf">,
  operation: Operation,
): readonly string[] {
  const keys = keyOf(operation);
  return typeof keys === "string" ? [keys] : keys;
}

/** Keys that are in a list together, or each together with another one, and so on, have one name: those of all of them. */
function together(lists: Iterable<readonly string[]>): (keys: readonly string[]) => string {
  /** For each key those that it is together with, one set for all of them. */
  const sets = new Map<string, ReadonlySet<string>>();
  for (const keys of lists) {
    const [first] = keys.map((key) => sets.get(key));
    if (first !== undefined && keys.every((key) => first.has(key))) continue;
    const joined = new Set(keys.flatMap((key) => [key, ...(sets.get(key) ?? [])]));
    for (const key of joined) sets.set(key, joined);
  }
  const names = new Map(Array.from(sets.values(), (keys) => [keys, [...keys].sort().join(", ")]));
  return ([key = ""]) => names.get(sets.get(key) ?? new Set()) ?? "";
}

function grouped<T>(items: Iterable<T>, nameOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = nameOf(item);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [item]);
    else group.push(item);
  }
  return groups;
}

const endOf = ({ outcome }: Call<unknown, unknown>): number => outcome?.end.order ?? Number.MAX_SAFE_INTEGER;

const textOf = ({ order, atMs }: Moment): string => (atMs === null ? `${order}` : `${order} (${atMs.toFixed(1)} ms)`);
