/** What every decoder promises about bytes that it did not write; and what goes into encoders. */

import * as fc from "fast-check";

/** Objects as a program makes them, and decoders give them. */
export const record = <T>(fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record<T>(fields, { noNullPrototype: true });

const isRefusal = (error: unknown): boolean => error instanceof RangeError || error instanceof TypeError;
const show = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export function refuses(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  let decoded: unknown;
  try {
    decoded = decode(bytes);
  } catch (error) {
    if (isRefusal(error)) return;
    throw error;
  }
  throw new Error(`${show(bytes)} was taken for ${JSON.stringify(decoded)}`);
}

/** Bytes that were cut off are missed, and bytes that were added are noticed. */
export function refusesEveryTruncation(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  for (let length = 0; length < bytes.byteLength; length++) refuses(decode, bytes.subarray(0, length));
  refuses(decode, Buffer.concat([bytes, new Uint8Array(1)]));
}

/** Random bytes, among them such as look like counts and lengths, are decoded or refused. */
export function survivesAnything(decode: (bytes: Uint8Array) => unknown): void {
  const lookalike = fc.array(fc.constantFrom(0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 0xff), { maxLength: 60 });
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    lookalike.map((bytes) => new Uint8Array(bytes)),
  );
  for (const bytes of fc.sample(anything, 2000)) {
    try {
      decode(bytes);
    } catch (error) {
      if (!isRefusal(error)) throw new Error(`${show(bytes)} was met with ${error}`);
    }
  }
}
