/** What the key-value machine makes of values: how they compare, and what becomes of them when something is added. */

import { type Rejected, type Value, valueBytes } from "./key-value-parts.ts";

/** Whatever the length of a key, an error that names it stays short. */
export const quoted = (key: string): string => `"${key.length > 64 ? `${key.slice(0, 64)}…` : key}"`;

/** Text is never equal to bytes. */
export function areEqual(a: Value, b: Value): boolean {
  if (typeof a === "string" || typeof b === "string") return a === b;
  return a.byteLength === b.byteLength && a.every((byte, i) => byte === b[i]);
}

/**
 * Below 0 if the first comes before the second: text as JavaScript has it, and keys are listed, and bytes by the first
 * that differs. NaN, which is neither less nor greater, for text and bytes.
 */
export function compared(a: Value, b: Value): number {
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === "string" || typeof b === "string") return Number.NaN;
  const length = Math.min(a.byteLength, b.byteLength);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.byteLength - b.byteLength;
}

/** The sum of a number and what a key holds. */
export function increased(key: string, present: Value | undefined, by: number): number | Rejected {
  const number = numberIn(present ?? "0");
  const sum = number + by;
  if (Number.isSafeInteger(number) && Number.isSafeInteger(sum)) return sum;
  return { code: "NOT_A_NUMBER", message: `${quoted(key)} plus ${by} is not a safe integer.` };
}

/** NaN if it is none. */
const numberIn = (value: Value): number =>
  typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : Number.NaN;

/** What a key holds with something at its end, and how many bytes that is. */
export function extended(
  key: string,
  present: Value | undefined,
  more: Value,
  bytesMax: number,
): { readonly value: Value; readonly bytes: number } | Rejected {
  const value = joined(present ?? (typeof more === "string" ? "" : new Uint8Array(0)), more);
  if (value === null) {
    const message = `${quoted(key)} holds ${typeof present === "string" ? "text" : "bytes"}, and the other was to be appended.`;
    return { code: "WRONG_TYPE", message };
  }
  const bytes = valueBytes(value);
  if (bytes <= bytesMax) return { value, bytes };
  return { code: "TOO_LARGE", message: `${quoted(key)} would grow to ${bytes} bytes, of ${bytesMax}.` };
}

/** Text joins text, and bytes join bytes. */
function joined(a: Value, b: Value): Value | null {
  if (typeof a === "string" && typeof b === "string") return a + b;
  if (typeof a === "string" || typeof b === "string") return null;
  const all = new Uint8Array(a.byteLength + b.byteLength);
  all.set(a);
  all.set(b, a.byteLength);
  return all;
}
