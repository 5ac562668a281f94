/**
 * A digest of a state, by which replicas compare what they hold. It finds accidents, and is no defence against anybody:
 * two lanes of MurmurHash3 (Appleby, the x86 variants) that read the same words, 64 bits in all.
 */

const HEX_DIGITS = 8;

const rotated = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

function finished(lane: number): number {
  let x = lane;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

const hex = (lane: number): string => lane.toString(16).padStart(HEX_DIGITS, "0");

export class Digest {
  #a = 0x9747b28c;
  #b = 0x3c6ef372;

  /** Adds a piece; where one ends and the next begins counts, too. */
  add(piece: Uint8Array): void {
    let a = this.#a;
    let b = this.#b;
    const { byteLength } = piece;
    // The length goes first, and what is missing to a whole word at the end is zeros.
    for (let at = -4; at < byteLength; at += 4) {
      const word = at < 0 ? byteLength : wordAt(piece, at);
      a ^= Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
      a = (Math.imul(rotated(a, 13), 5) + 0xe6546b64) | 0;
      b ^= Math.imul(rotated(Math.imul(word, 0xab0e9789), 16), 0x38b34ae5);
      b = (Math.imul(rotated(b, 17), 5) + 0x0bcaa747) | 0;
    }
    this.#a = a;
    this.#b = b;
  }

  /** Of all that was added so far: 16 hexadecimal digits. */
  get value(): string {
    const a = finished((this.#a + this.#b) | 0);
    return hex(a) + hex(finished(this.#b ^ a));
  }
}

/** Past the end there is nothing, which counts as zeros. */
const wordAt = (bytes: Uint8Array, at: number): number =>
  (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24);
