/** What the recipes' machines have in common: what they refuse, whoever calls them, and how names are put together. */

import { Rejection } from "../definition.ts";

/** Names of locks, queues and the like, and of those who use them. */
export const NAME_LENGTH_MAX = 512;
export const TTL_MS_MIN = 10;
export const TTL_MS_MAX = 24 * 60 * 60 * 1_000;

export const isIn = (value: unknown, least: number, most: number): value is number =>
  typeof value === "number" && value >= least && value <= most;

export const isWhole = (value: unknown, least: number, most: number): value is number =>
  Number.isInteger(value) && isIn(value, least, most);

/** @throws Rejection `INVALID_NAME` */
export function checkNames(...names: readonly unknown[]): void {
  const isName = (name: unknown): boolean => typeof name === "string" && name !== "" && name.length <= NAME_LENGTH_MAX;
  if (!names.every(isName)) throw new Rejection("INVALID_NAME", { lengthMax: NAME_LENGTH_MAX });
}

/** @throws Rejection `INVALID_TTL` */
export function checkTtl(ttlMs: unknown): void {
  if (!isIn(ttlMs, TTL_MS_MIN, TTL_MS_MAX)) throw new Rejection("INVALID_TTL", { least: TTL_MS_MIN, most: TTL_MS_MAX });
}

/** A bound is reached: clients make `BUSY` of it. */
export const full = (what: string, details: Readonly<Record<string, number>>): Rejection =>
  new Rejection("FULL", details, `There is no room for more ${what}.`);

/** Something that has a name within something that has one, whatever the names. */
export const keyOf = (outer: string, inner: string): string => `${outer.length} ${outer} ${inner}`;
