/**
 * Plain values as bytes: the state, the arguments and the results of machines that are written as plain functions. The
 * same value, keys and members in the same order, is the same bytes on every runtime.
 *
 *     tag  what follows                       tag  what follows
 *     0-3  undefined, null, false, true       12   a Map: count, keys with their values
 *     4    an integer                         13   a Set: count, members
 *     5    an integer, negated                14   a Date: f64
 *     6    any other number: f64              15   an ArrayBuffer: count, bytes
 *     7    a bigint: count, bytes             16   a view of bytes: its number, count, bytes
 *     8    the same, negated                  17   a Map whose content is elsewhere
 *     9    text: count, UTF-8                 18   a Set whose content is elsewhere
 *     10   an array: count, elements          64-  text of 0 to 63 bytes: UTF-8
 *     11   an object: count, keys (as text    128- the integers 0 to 127
 *          without a tag) with their values
 *
 * Integers and counts take seven bits a byte, the lowest first.
 */

import { ByteReader, ByteWriter, decodeText, encodeText, textBytes } from "../bytes.ts";
import {
  BIGINT_BYTES_MAX,
  bytesOf,
  type Collection,
  checkPrimitive,
  copyOfLeaf,
  DEPTH_MAX,
  dateAt,
  describe,
  elementOf,
  enter,
  type Fields,
  isArray,
  isDate,
  isFields,
  isFloats,
  isLeaf,
  isMap,
  isSet,
  keysOf,
  type Leaf,
  type Place,
  put,
  refusal,
  VIEW_TYPES,
  viewNumber,
} from "./plain-value.ts";

const Tag = {
  undefined: 0,
  null: 1,
  false: 2,
  true: 3,
  integer: 4,
  negative: 5,
  float: 6,
  bigint: 7,
  negativeBigint: 8,
  text: 9,
  array: 10,
  object: 11,
  map: 12,
  set: 13,
  date: 14,
  buffer: 15,
  view: 16,
  mapElsewhere: 17,
  setElsewhere: 18,
  shortText: 64,
  smallInteger: 128,
} as const;
const SHORT_TEXT_END = Tag.smallInteger - Tag.shortText;
const SMALL_INTEGER_END = 128;
/** Up to here, text of single bytes is written one by one. */
const LOOP_MAX = 32;

/** Is told of every Map and Set that is met, in the order in which they are: their contents are left out. */
export type Elsewhere = (collection: Collection) => void;

/** @throws TypeError if it is no plain value: the message says what isn't, and where */
export function encodeValue(value: unknown): Uint8Array {
  const writer = new ByteWriter(64);
  writeValue(writer, value);
  return writer.finish();
}

/** @throws RangeError, TypeError if the bytes are not those of a value */
export function decodeValue(bytes: Uint8Array): unknown {
  const reader = new ByteReader(bytes);
  const value = readValue(reader);
  reader.end();
  return value;
}

/**
 * @param elsewhere if the value is one that stands in a state, which has been looked through for what is no plain value
 * @throws TypeError if it is no plain value: the message says what isn't, and where
 */
export function writeValue(writer: ByteWriter, value: unknown, elsewhere?: Elsewhere): void {
  write(writer, value, null, elsewhere);
}

function write(writer: ByteWriter, value: unknown, at: Place | null, elsewhere: Elsewhere | undefined): void {
  switch (typeof value) {
    case "undefined":
      writer.u8(Tag.undefined);
      break;
    case "boolean":
      writer.u8(value ? Tag.true : Tag.false);
      break;
    case "number":
      writeNumber(writer, value);
      break;
    case "string":
      writeText(writer, value, at);
      break;
    case "bigint":
      writeBigint(writer, value, at);
      break;
    case "object":
      if (value === null) writer.u8(Tag.null);
      else writeObject(writer, value, at, elsewhere);
      break;
    default:
      checkPrimitive(value, at);
  }
}

function writeNumber(writer: ByteWriter, value: number): void {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) writer.u8(Tag.float).f64(value);
  else if (value < 0) writeCount(writer.u8(Tag.negative), -value);
  else if (value < SMALL_INTEGER_END) writer.u8(Tag.smallInteger + value);
  else writeCount(writer.u8(Tag.integer), value);
}

function writeText(writer: ByteWriter, text: string, at: Place | null): void {
  const bytes = textBytes(text);
  if (bytes > text.length) checkPrimitive(text, at);
  if (bytes < SHORT_TEXT_END) writer.u8(Tag.shortText + bytes);
  else writeCount(writer.u8(Tag.text), bytes);
  writeLetters(writer, text, bytes);
}

function writeKey(writer: ByteWriter, key: string): void {
  const bytes = textBytes(key);
  writeCount(writer, bytes);
  writeLetters(writer, key, bytes);
}

function writeLetters(writer: ByteWriter, text: string, bytes: number): void {
  if (bytes > text.length || bytes > LOOP_MAX) writer.raw(encodeText(text));
  else for (let i = 0; i < bytes; i++) writer.u8(text.charCodeAt(i));
}

function writeBigint(writer: ByteWriter, value: bigint, at: Place | null): void {
  checkPrimitive(value, at);
  const digits = (value < 0n ? -value : value).toString(16);
  const bytes = value === 0n ? 0 : Math.ceil(digits.length / 2);
  writeCount(writer.u8(value < 0n ? Tag.negativeBigint : Tag.bigint), bytes);
  for (let end = digits.length, left = bytes; left > 0; left--, end -= 2) {
    writer.u8(Number.parseInt(digits.slice(Math.max(0, end - 2), end), 16));
  }
}

function writeObject(writer: ByteWriter, value: object, at: Place | null, elsewhere: Elsewhere | undefined): void {
  if (isFields(value)) writeFields(writer, value, enter(value, at), elsewhere);
  else if (isArray(value)) {
    const here = enter(value, at);
    writeCount(writer.u8(Tag.array), value.length);
    for (let i = 0; i < value.length; i++) {
      here.key = i;
      write(writer, elementOf(value, i, here), here, elsewhere);
    }
  } else if (isMap(value) || isSet(value)) writeCollection(writer, value, at, elsewhere);
  else if (isLeaf(value)) writeLeaf(writer, value);
  else throw refusal(at, describe(value));
}

function writeFields(writer: ByteWriter, object: Fields, here: Place, elsewhere: Elsewhere | undefined): void {
  const keys = elsewhere === undefined ? keysOf(object, here) : Object.keys(object);
  writeCount(writer.u8(Tag.object), keys.length);
  for (const key of keys) {
    here.key = key;
    writeKey(writer, key);
    write(writer, object[key], here, elsewhere);
  }
}

function writeCollection(
  writer: ByteWriter,
  collection: Collection,
  at: Place | null,
  elsewhere: Elsewhere | undefined,
): void {
  const ofMap = isMap(collection);
  if (elsewhere !== undefined) {
    writer.u8(ofMap ? Tag.mapElsewhere : Tag.setElsewhere);
    elsewhere(collection);
    return;
  }
  const here = enter(collection, at);
  writeCount(writer.u8(ofMap ? Tag.map : Tag.set), collection.size);
  for (const [key, value] of collection.entries()) {
    here.key = key;
    write(writer, key, here, elsewhere);
    if (ofMap) write(writer, value, here, elsewhere);
  }
}

function writeLeaf(writer: ByteWriter, leaf: Leaf): void {
  if (isDate(leaf)) {
    writer.u8(Tag.date).f64(leaf.getTime());
    return;
  }
  const isView = ArrayBuffer.isView(leaf);
  if (isView) writer.u8(Tag.view).u8(viewNumber(leaf));
  else writer.u8(Tag.buffer);
  const bytes = bytesOf(isView && isFloats(leaf) ? (copyOfLeaf(leaf) as Float64Array) : leaf);
  writeCount(writer, bytes.byteLength);
  writer.raw(bytes);
}

/** A non-negative safe integer, the shorter the smaller it is. */
export function writeCount(writer: ByteWriter, count: number): void {
  let left = count;
  for (; left > 127; left = Math.floor(left / 128)) writer.u8((left % 128) + 128);
  writer.u8(left);
}

/** @throws RangeError if it is past the safe integers */
export function readCount(reader: ByteReader): number {
  let count = 0;
  for (let unit = 1; ; unit *= 128) {
    const byte = reader.u8();
    count += (byte % 128) * unit;
    if (count > Number.MAX_SAFE_INTEGER) break;
    if (byte < 128) return count;
    if (unit > Number.MAX_SAFE_INTEGER) break;
  }
  throw new RangeError("a number is past the safe integers");
}

/**
 * A copy in all its parts: nothing of it lies in what was read.
 *
 * @param elsewhere is told of every Map and Set that has to be filled, and how many containers it stands in; without it
 * there must be none
 * @param depth how many containers the value stands in
 * @throws RangeError, TypeError if the bytes are not those of a value
 */
export function readValue(
  reader: ByteReader,
  elsewhere?: (collection: Collection, depth: number) => void,
  depth = 0,
): unknown {
  const tag = reader.u8();
  if (tag >= Tag.smallInteger) return tag - Tag.smallInteger;
  if (tag >= Tag.shortText) return decodeText(reader.raw(tag - Tag.shortText));
  switch (tag) {
    case Tag.undefined:
      return undefined;
    case Tag.null:
      return null;
    case Tag.false:
      return false;
    case Tag.true:
      return true;
    case Tag.integer:
      return readCount(reader);
    case Tag.negative:
      return -readCount(reader);
    case Tag.float:
      return reader.f64();
    case Tag.bigint:
      return readBigint(reader);
    case Tag.negativeBigint:
      return -readBigint(reader);
    case Tag.text:
      return decodeText(reader.raw(readCount(reader)));
    case Tag.date:
      return dateAt(reader.f64());
    case Tag.buffer:
      return readBuffer(reader);
    case Tag.view:
      return readView(reader);
    default:
      if (depth >= DEPTH_MAX) throw new RangeError(`a container stands within ${DEPTH_MAX} others`);
      return readContainer(reader, tag, elsewhere, depth + 1);
  }
}

function readContainer(
  reader: ByteReader,
  tag: number,
  elsewhere: ((collection: Collection, depth: number) => void) | undefined,
  depth: number,
): unknown {
  const isElsewhere = tag === Tag.mapElsewhere || tag === Tag.setElsewhere;
  const isCollection = isElsewhere || tag === Tag.map || tag === Tag.set;
  if (isCollection && isElsewhere !== (elsewhere !== undefined)) throw new RangeError("a Map or Set is out of place");
  const item = (): unknown => readValue(reader, elsewhere, depth);
  switch (tag) {
    case Tag.array: {
      const array: unknown[] = [];
      for (let left = readCount(reader); left > 0; left--) array.push(item());
      return array;
    }
    case Tag.object: {
      const object: Fields = {};
      for (let left = readCount(reader); left > 0; left--) put(object, readKey(reader), item());
      return object;
    }
    case Tag.map: {
      const map = new Map<unknown, unknown>();
      for (let left = readCount(reader); left > 0; left--) map.set(item(), item());
      return map;
    }
    case Tag.set: {
      const set = new Set<unknown>();
      for (let left = readCount(reader); left > 0; left--) set.add(item());
      return set;
    }
    case Tag.mapElsewhere:
    case Tag.setElsewhere: {
      const collection: Collection = tag === Tag.mapElsewhere ? new Map() : new Set();
      elsewhere?.(collection, depth);
      return collection;
    }
    default:
      throw new RangeError(`a value of kind ${tag} is not known`);
  }
}

/** A key is most likely one that was read before: that one is found without making it anew. */
function readKey(reader: ByteReader): string {
  const length = readCount(reader);
  if (length > letters.length) return decodeText(reader.raw(length));
  let slot = length;
  for (let i = 0; i < length; i++) {
    const letter = reader.u8();
    letters[i] = letter;
    slot = (slot * 31 + letter) % KNOWN_MAX;
  }
  const known = knownKeys[slot];
  if (known !== undefined && isInLetters(known, length)) return known;
  const key = decodeText(letters.slice(0, length));
  knownKeys[slot] = key;
  return key;
}

const KNOWN_MAX = 1024;
const knownKeys: string[] = [];
/** Those of the key that is being read. */
const letters = new Uint8Array(LOOP_MAX);

function isInLetters(key: string, length: number): boolean {
  if (key.length !== length) return false;
  for (let i = 0; i < length; i++) if ((letters[i] ?? 0) > 127 || letters[i] !== key.charCodeAt(i)) return false;
  return true;
}

function readBigint(reader: ByteReader): bigint {
  const length = readCount(reader);
  if (length > BIGINT_BYTES_MAX) throw new RangeError(`a bigint of ${length} bytes is too large`);
  let digits = "";
  for (const byte of reader.raw(length).slice().reverse()) digits += byte.toString(16).padStart(2, "0");
  return BigInt(`0x0${digits}`);
}

const readBuffer = (reader: ByteReader): ArrayBuffer => new Uint8Array(reader.raw(readCount(reader))).buffer;

function readView(reader: ByteReader): ArrayBufferView {
  const number = reader.u8();
  const type = VIEW_TYPES[number];
  if (type === undefined) throw new RangeError(`a view of kind ${number} is not known to this runtime`);
  return new type(readBuffer(reader));
}
