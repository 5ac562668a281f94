/** Reading and writing packed bytes, little-endian. */

const encoder = new TextEncoder();
// A byte order mark is text like any other here: without it, two different keys would become one.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const U32 = 2 ** 32;
/** Up to here, plain loops are faster than the runtime's encoder. */
const SHORT = 24;
const ASCII_MAX = 0x7f;
/** As many bytes as a unit of UTF-16 takes at most. */
const UNIT_BYTES_MAX = 3;
/** Up to here, it is quicker to see that text is ASCII than to have it decoded with care. */
const ASCII_LOOK_MAX = 128;
/**
 * Makes text of bytes, a character of each, in one piece: joined character by character it would leave behind as many
 * pieces. Browsers have no such function.
 */
const latin1Slice = (globalThis.Buffer as { prototype: Latin1 } | undefined)?.prototype.latin1Slice;

interface Latin1 {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
}
/** Up to here, text is encoded where it will stand: of arrays that live for a moment the collector makes long pauses. */
const IN_PLACE_MAX = 4_096;

/** Arrays up to here live where other objects do, and cost as little. The memory of a larger one is a thing of its own. */
const ON_HEAP_BYTES_MAX = 64;
const SLAB_BYTES = 16 * 1024;
let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

/** Where a floating-point number is turned into its bytes, and back. */
const floatView = new DataView(new ArrayBuffer(8));
const floatBytes = new Uint8Array(floatView.buffer);
const NAN_HIGH = 0x7ff80000;

/** Zeros. To ask the system for each array between the smallest and the large would take longer than to fill it. */
export function allocate(bytes: number): Uint8Array {
  const isFromSlab = bytes > ON_HEAP_BYTES_MAX && bytes <= SLAB_BYTES / 4; // No number at all is not.
  if (!isFromSlab) return new Uint8Array(bytes);
  if (slabUsed + bytes > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  slabUsed += bytes;
  return slab.subarray(slabUsed - bytes, slabUsed);
}

/** UTF-8. */
export function encodeText(text: string): Uint8Array {
  if (text.length > SHORT) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > ASCII_MAX) return encoder.encode(text);
    bytes[i] = code;
  }
  return bytes;
}

/** @throws TypeError if the bytes are not UTF-8 */
export const decodeText = (bytes: Uint8Array): string => textAt(bytes, 0, bytes.byteLength);

function textAt(bytes: Uint8Array, start: number, end: number): string {
  if (latin1Slice !== undefined && isShortAscii(bytes, start, end)) return latin1Slice.call(bytes, start, end);
  return decoder.decode(bytes.subarray(start, end));
}

function isShortAscii(bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start > ASCII_LOOK_MAX) return false;
  for (let at = start; at < end; at++) if ((bytes[at] ?? 0) > ASCII_MAX) return false;
  return true;
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00;
const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

/** How long text is in UTF-8; half of a pair becomes a replacement character, as it does when it is encoded. */
export function textBytes(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit <= ASCII_MAX) continue;
    bytes += unit < 0x800 ? 1 : 2;
    // The two units of a pair take four bytes.
    if (isHighSurrogate(unit) && isLowSurrogate(text.charCodeAt(i + 1))) i++;
  }
  return bytes;
}

/** Grows as it is written to. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(expectedBytes = 256) {
    this.#bytes = allocate(expectedBytes);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#advance(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    return this.u8(value).u8(value >>> 8);
  }

  u32(value: number): this {
    const at = this.#advance(4);
    putU32(this.#bytes, at, value);
    return this;
  }

  /** A non-negative safe integer, in eight bytes. */
  u53(value: number): this {
    const at = this.#advance(8);
    putU32(this.#bytes, at, value % U32);
    putU32(this.#bytes, at + 4, value / U32);
    return this;
  }

  /** Any number, in eight bytes; NaN has many forms, which differ from machine to machine, and is written in one. */
  f64(value: number): this {
    if (Number.isNaN(value)) return this.u32(0).u32(NAN_HIGH);
    floatView.setFloat64(0, value, true);
    return this.raw(floatBytes);
  }

  raw(bytes: Uint8Array): this {
    const at = this.#advance(bytes.byteLength);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Bytes with their length before them. */
  bytes(bytes: Uint8Array): this {
    return this.u32(bytes.byteLength).raw(bytes);
  }

  text(text: string): this {
    if (text.length > IN_PLACE_MAX) return this.bytes(encodeText(text));
    const at = this.#length + 4;
    // Most text is ASCII: room for all that it could take is made only if it is not.
    this.#makeRoom(4 + text.length);
    let bytes = text.length <= SHORT ? asciiInto(this.#bytes, at, text) : encodedInto(this.#bytes, at, text);
    if (bytes === null) {
      this.#makeRoom(4 + UNIT_BYTES_MAX * text.length);
      bytes = encoder.encodeInto(text, this.#bytes.subarray(at)).written;
    }
    putU32(this.#bytes, at - 4, bytes);
    this.#length = at + bytes;
    return this;
  }

  /** What was written: the writer must not be used afterwards. */
  finish(): Uint8Array {
    const bytes = this.#bytes;
    if (this.#length === bytes.byteLength) return bytes;
    // A part of a small array costs much more than a smaller one.
    return bytes.byteLength <= ON_HEAP_BYTES_MAX ? bytes.slice(0, this.#length) : bytes.subarray(0, this.#length);
  }

  #advance(bytes: number): number {
    const at = this.#length;
    this.#makeRoom(bytes);
    this.#length = at + bytes;
    return at;
  }

  /** This may replace the bytes: call it before touching them. */
  #makeRoom(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.byteLength) return;
    const larger = allocate(Math.max(needed, this.#bytes.byteLength * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

/** How many bytes were written; null if the text is not ASCII. */
function asciiInto(bytes: Uint8Array, at: number, text: string): number | null {
  let all = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    all |= unit;
    bytes[at + i] = unit;
  }
  return all > ASCII_MAX ? null : text.length;
}

/** How many bytes were written; null if there is no room for all of them. */
function encodedInto(bytes: Uint8Array, at: number, text: string): number | null {
  const { read, written } = encoder.encodeInto(text, bytes.subarray(at));
  return read === text.length ? written : null;
}

/** Every method throws a RangeError past the end, and on text that is not UTF-8 a TypeError. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] ?? 0;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  u32(): number {
    return getU32(this.#bytes, this.#advance(4));
  }

  u53(): number {
    const at = this.#advance(8);
    const high = getU32(this.#bytes, at + 4);
    if (high >= 2 ** 21) throw new RangeError("a number is past the safe integers");
    return high * U32 + getU32(this.#bytes, at);
  }

  f64(): number {
    floatBytes.set(this.raw(8));
    return floatView.getFloat64(0, true);
  }

  skip(length: number): void {
    this.#advance(length);
  }

  /** The bytes themselves, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  bytes(): Uint8Array {
    return this.raw(this.u32());
  }

  text(): string {
    const length = this.u32();
    const at = this.#advance(length);
    return textAt(this.#bytes, at, at + length);
  }

  /** @throws RangeError if anything is left */
  end(): void {
    if (this.remaining > 0) throw new RangeError(`${this.remaining} bytes too many`);
  }

  #advance(bytes: number): number {
    const at = this.#at;
    if (bytes > this.remaining) throw new RangeError("the bytes end too early");
    this.#at += bytes;
    return at;
  }
}

// Byte by byte: a DataView for each small message costs more than all it would write.

function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

const getU32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0;
