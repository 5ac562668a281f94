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

/** Where pieces are read word by word, as they are on machines whose words begin with the lowest byte: all of today's. */
const words = new Uint32Array(16 * 1024);
const bytes = new Uint8Array(words.buffer);

export class Digest {
  #a = 0x9747b28c;
  #b = 0x3c6ef372;

  /** Adds a piece; where one ends and the next begins counts, too. */
  add(piece: Uint8Array): void {
    words[0] = piece.byteLength;
    this.#addWords(1);
    for (let at = 0; at < piece.byteLength; at += bytes.byteLength) {
      const part = piece.subarray(at, at + bytes.byteLength);
      bytes.set(part);
      // What is missing to a whole word at the end is zeros.
      const count = Math.ceil(part.byteLength / 4);
      bytes.fill(0, part.byteLength, 4 * count);
      this.#addWords(count);
    }
  }

  #addWords(count: number): void {
    let a = this.#a;
    let b = this.#b;
    for (let at = 0; at < count; at++) {
      const word = words[at] ?? 0;
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
