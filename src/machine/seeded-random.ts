/** Random numbers that follow from a place in the log, so that every replica draws the same. */

/** Spreads a few bits over all 32 (the finalizer of MurmurHash3). */
function mixed(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

const WEYL = 0x9e3779b9;
const U32 = 2 ** 32;

/** A source for one command. */
export function randomOf(index: number, position: number): () => number {
  let state = mixed(mixed(index % U32) + mixed(Math.floor(index / U32) + WEYL) + position * WEYL);
  const next = (): number => {
    state = (state + WEYL) >>> 0;
    return mixed(state);
  };
  // 53 bits, as many as a number has.
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53;
}
