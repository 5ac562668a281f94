/** Reading and writing packed bytes, little-endian. */

const encoder = new TextEncoder();
// A byte order mark is text like any other here: without it, two different keys would become one.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const U32 = 2 ** 32;

/** Grows as it is written to. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  constructor(expectedBytes = 256) {
    this.#bytes = new Uint8Array(expectedBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#advance(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    const at = this.#advance(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** A non-negative safe integer, in eight bytes. */
  u53(value: number): this {
    const at = this.#advance(8);
    this.#view.setUint32(at, value % U32, true);
    this.#view.setUint32(at + 4, Math.floor(value / U32), true);
    return this;
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
    return this.bytes(encoder.encode(text));
  }

  /** Writes over four bytes that were written before. */
  patchU32(at: number, value: number): this {
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** What was written, without a copy: the writer must not be used afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room, which may replace buffer and view: call it before touching either. */
  #advance(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.byteLength * 2));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Every method throws a RangeError past the end, and on text that is not UTF-8 a TypeError. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  u53(): number {
    const at = this.#advance(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high >= 2 ** 21) throw new RangeError("a number is past the safe integers");
    return high * U32 + this.#view.getUint32(at, true);
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
    return decoder.decode(this.bytes());
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
