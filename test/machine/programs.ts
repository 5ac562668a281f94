/** Random programs over containers, which run on a draft and on a plain copy alike. */

import * as fc from "fast-check";
import * as assert from "uvu/assert";
import { type Containers, stateKey, stateValue, tell } from "./plain-values.ts";

/** What is done in one step, to the container that the path leads to. */
export interface Step {
  readonly path: readonly number[];
  readonly what: number;
  readonly a: number;
  readonly b: number;
  readonly key: unknown;
  readonly value: unknown;
  /** Stores what a path leads to, or what was kept before, instead of the value. */
  readonly alias: "none" | "found" | "kept";
  readonly from: readonly number[];
}

const path = fc.array(fc.nat(6), { maxLength: 3 });
export const step: fc.Arbitrary<Step> = fc.record({
  path,
  what: fc.nat(20),
  a: fc.nat(6),
  b: fc.nat(3),
  key: stateKey,
  value: stateValue,
  alias: fc.constantFrom("none", "none", "none", "found", "kept"),
  from: path,
});

const isContainer = (value: unknown): value is Containers =>
  Array.isArray(value) ||
  value instanceof Map ||
  value instanceof Set ||
  (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype);

const itemsOf = (container: Containers): unknown[] =>
  container instanceof Map ? [...container.values()] : container instanceof Set ? [] : Object.values(container);

function follow(root: Containers, steps: readonly number[]): Containers {
  let at = root;
  for (const one of steps) {
    const containers = itemsOf(at).filter(isContainer);
    const next = containers[one % containers.length];
    if (next === undefined) break;
    at = next;
  }
  return at;
}

const holds = (outer: unknown, inner: unknown): boolean =>
  outer === inner || (isContainer(outer) && itemsOf(outer).some((item) => holds(item, inner)));

/** Runs steps on two roots that are the same, and looks that all they do and say is the same. */
export function runOnBoth(steps: readonly Step[], draft: Containers, model: Containers): void {
  let kept: readonly [Containers, Containers] = [draft, model];
  for (const one of steps) {
    const target = follow(model, one.path);
    const source = one.alias === "kept" ? kept[1] : follow(model, one.from);
    // What would come to stand within itself is left out.
    const isAlias = one.alias !== "none" && !holds(source, target);
    const values = isAlias
      ? [one.alias === "kept" ? kept[0] : follow(draft, one.from), source]
      : [fresh(one.value), fresh(one.value)];
    if (one.what % 4 === 0) kept = [follow(draft, one.from), follow(model, one.from)];
    const [done, expected] = [resultOf(follow(draft, one.path), one, values[0]), resultOf(target, one, values[1])];
    assert.is(done, expected, `${JSON.stringify(one.path)} ${one.what}`);
  }
  assert.is(tell(draft), tell(model));
}

/** Of its own, for each who stores it. */
const fresh = (value: unknown): unknown => structuredClone(value);

function resultOf(target: Containers, one: Step, value: unknown): string {
  try {
    return tell(apply(target, one, value));
  } catch (error) {
    return `${error instanceof Error ? error.name : error}`;
  }
}

function apply(target: Containers, one: Step, value: unknown): unknown {
  if (one.what === 20) return spoilLeaf(target, one);
  if (target instanceof Map) return applyToMap(target, one, value);
  if (target instanceof Set) return applyToSet(target, one);
  return Array.isArray(target) ? applyToArray(target, one, value) : applyToFields(target, one, value);
}

/** Changes a Date or some bytes in place. */
function spoilLeaf(target: Containers, { a }: Step): unknown {
  for (const item of itemsOf(target)) {
    if (item instanceof Date) return item.setTime(a);
    if (item instanceof Uint8Array && item.length > 0) return item.fill(a);
    if (item instanceof ArrayBuffer) return new Uint8Array(item).fill(a);
  }
  return undefined;
}

const byTell = (x: unknown, y: unknown): number => (tell(x) < tell(y) ? -1 : 1);

function applyToArray(array: unknown[], { what, a, b }: Step, value: unknown): unknown {
  const i = array.length === 0 ? 0 : a % array.length;
  switch (what) {
    case 0:
      return array.push(value);
    case 1:
      return array.pop();
    case 2:
      return array.shift();
    case 3:
      return array.unshift(value, a);
    case 4:
      return array.splice(i, b, value);
    case 5:
      return array.splice(i, b);
    case 6:
      return array.reverse();
    case 7:
      return array.sort(byTell);
    case 8:
      array.length = i;
      return array;
    case 9:
      return array.fill(value, i, i + b);
    case 10:
      return array.copyWithin(i, b);
    case 11:
      return [...array, ...array.map((item) => [item])];
    case 12:
      return array.filter((_, at) => at % 2 === b % 2).concat(array.slice(i));
    case 13:
      return [array.includes(array[i]), array.indexOf(array[i]), array.at(-1), Object.keys(array), i in array];
    case 14:
      return Object.assign(array, { [i]: value });
    case 15:
      return [array.toSorted(byTell), array.toReversed(), array.with(0, a), array.toSpliced(i, b)];
    case 16:
      [array[0], array[i]] = [array[i], array[0]];
      return array;
    default:
      array[i] = value;
      return array;
  }
}

function applyToFields(fields: Record<string, unknown>, { what, a, b }: Step, value: unknown): unknown {
  const name = ["a", "b", "c", "d", "3", "1"][a % 6] ?? "a";
  const other = ["a", "b", "c"][b % 3] ?? "a";
  switch (what % 10) {
    case 0:
    case 1:
      return delete fields[name];
    case 2:
      return Object.assign(fields, { [name]: value, [other]: a });
    case 3:
      return [Object.entries(fields), name in fields, Object.hasOwn(fields, name), { ...fields }, fields[name]];
    case 4:
      return Object.defineProperty(fields, name, { value, writable: true, enumerable: true, configurable: true });
    case 5:
      fields[name] = fields[other];
      return delete fields[other];
    case 6:
      return Object.getOwnPropertyDescriptors(fields);
    default:
      fields[name] = value;
      return fields[name];
  }
}

function applyToMap(map: Map<unknown, unknown>, { what, a, b, key }: Step, value: unknown): unknown {
  const found = [...map.keys()][a % (map.size || 1)];
  switch (what) {
    case 0:
      return map.delete(key);
    case 1:
    case 2:
      return map.delete(found);
    case 3:
      map.clear();
      return map.size;
    case 4:
      return [map.size, map.has(key), map.get(key), map.get(found), new Map(map), Array.from(map.values())];
    case 5:
    case 6: {
      // To the end with it.
      const item = map.get(found);
      return [map.delete(found), map.set(found, item)];
    }
    case 7:
    case 8:
      return walk(map.entries(), (at) => {
        if (at === a) map.delete(found);
        if (at === b) map.set(key, a);
        if (at === a + b) map.delete(key);
        if (at === (what === 7 ? 5 : 1)) map.clear();
        if (at === 6) map.set(found, b);
      });
    case 9: {
      // A loop that was broken off can go on.
      const keys = map.keys();
      for (const first of keys) if (first !== undefined) break;
      return [...keys];
    }
    case 10: {
      const seen: unknown[] = [];
      map.forEach((item, at, self) => {
        seen.push([item, at, self === map]);
        if (seen.length === a) map.delete(found);
      });
      return seen;
    }
    case 11:
      map.set(found, map.get(key));
      return map.size;
    default:
      return map.set(key, value).get(key);
  }
}

function applyToSet(set: Set<unknown>, { what, a, b, key }: Step): unknown {
  const found = [...set][a % (set.size || 1)];
  const other = new Set([key, found, a, "a", "b"]);
  switch (what) {
    case 0:
      return set.delete(key);
    case 1:
    case 2:
      return set.delete(found);
    case 3:
      set.clear();
      return set.size;
    case 4:
      return [set.size, set.has(key), set.has(found), new Set(set), [...set.entries()]];
    case 5:
    case 6:
      return [set.delete(found), set.add(found)];
    case 7:
    case 8:
      return walk(set.values(), (at) => {
        if (at === a) set.delete(found);
        if (at === b) set.add(key);
        if (at === a + b) set.delete(key);
        if (at === (what === 7 ? 5 : 1)) set.clear();
        if (at === 6) set.add(found);
      });
    case 9:
      return [set.union(other), set.intersection(other), set.difference(other), set.symmetricDifference(other)];
    case 10:
      return [other.union(set), other.intersection(set), other.difference(set), other.symmetricDifference(set)];
    case 11:
      return [set.isSubsetOf(other), set.isSupersetOf(other), set.isDisjointFrom(other), set.isSubsetOf(set)];
    case 12:
      return [other.isSubsetOf(set), other.isSupersetOf(set), other.isDisjointFrom(set)];
    case 13: {
      const seen: unknown[] = [];
      set.forEach((one, at, self) => void seen.push([one, at, self === set]));
      return seen;
    }
    default:
      return [set.add(key).size, set.has(key)];
  }
}

/** What an iterator gives while something is done, for some steps at most, and whether it stays at its end. */
function walk(iterator: Iterator<unknown>, during: (at: number) => void): unknown {
  const seen: unknown[] = [];
  for (let at = 0; at < 12; at++) {
    const { value, done } = iterator.next();
    seen.push(done === true ? "done" : value);
    during(at);
  }
  return seen;
}
