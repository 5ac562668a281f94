/** How actors address and understand one another. */

import { allocate, decodeText, encodeText } from "../bytes.ts";
import { ConclaveError, isErrorCode, messageOf } from "../errors.ts";
import { decodeValue, encodeValue } from "../machine/value-codec.ts";
import * as v from "../shape.ts";

/** Turns a value into bytes and back. `decode` throws on anything that `encode` can't have made. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** The language of an actor: what it takes, and what it answers. */
export interface Protocol<M, A> {
  readonly message: Codec<M>;
  readonly answer: Codec<A>;
}

/** What those need to know of an actor's language who only ask it. */
export interface Asking<M, A> {
  readonly message: Pick<Codec<M>, "encode">;
  readonly answer: Pick<Codec<A>, "decode">;
}

/** Plain values as bytes: for messages that are few and small. */
export const packing: Pick<Codec<unknown>, "encode"> = { encode: encodeValue };

/** The same, and their shape is looked at on arrival. */
export function packed<T>(shape: v.Shape<T>): Codec<T> {
  return {
    encode: encodeValue,
    decode: (bytes) => shape.parse(decodeValue(bytes)),
  };
}

/** For actors that answer nothing. */
export const NO_ANSWER: Codec<never> = {
  encode: () => new Uint8Array(0),
  decode: () => {
    throw new ConclaveError("BAD_MESSAGE", "This actor answers no questions.");
  },
};

const errorShape = v.object({
  code: v.string(),
  message: v.string(),
  details: v.optional(v.record(v.string(), v.unknown()), {}),
});

/** Any failure as it travels in an answer's place. Details that can't be sent stay behind. */
export function encodeError(thrown: unknown): Uint8Array {
  const { code, message, details } =
    thrown instanceof ConclaveError ? thrown : { code: "ACTOR_FAILED", message: messageOf(thrown), details: {} };
  try {
    return encodeValue({ code, message, details });
  } catch {
    return encodeValue({ code, message: message.toWellFormed(), details: {} });
  }
}

export function decodeError(bytes: Uint8Array): ConclaveError {
  try {
    const { code, message, details } = errorShape.parse(decodeValue(bytes));
    return new ConclaveError(isErrorCode(code) ? code : "ACTOR_FAILED", message, { details });
  } catch (cause) {
    return new ConclaveError("BAD_MESSAGE", "An answer could not be decoded.", { cause });
  }
}

/** `ws://host:port/name`: a process and an actor in it. */
export interface Address {
  /** `ws://host:port`, or with a path where processes share a port: the way every link to that process is known. */
  readonly url: string;
  readonly name: string;
}

/** The canonical form of a process's URL, so that one process is not known by two. @throws ConclaveError */
export function normalUrl(text: string): string {
  const url = urlOf(text);
  if (url !== null) return url;
  throw new ConclaveError("INVALID_ARGUMENT", `"${text}" is no address; one looks like ws://127.0.0.1:7101`);
}

/** Is this an address that a link can be made to? */
export const isUrl = (text: string): boolean => urlOf(text) !== null;

/** @throws ConclaveError `INVALID_ARGUMENT` */
export function parseAddress(text: string): Address {
  const whole = normalUrl(text);
  const end = whole.lastIndexOf("/");
  const name = end < whole.indexOf("//") + 2 ? "" : nameIn(whole.slice(end + 1));
  if (name === "" || name.includes("/")) {
    throw new ConclaveError("INVALID_ARGUMENT", `"${text}" names no actor; an address looks like ws://host:port/name`);
  }
  return { url: whole.slice(0, end), name };
}

/** URLs that were read. There are few of them, each is met again and again, and reading one is slow. */
const urls = new Map<string, string | null>();
const URLS_MAX = 1_000;

function urlOf(text: string): string | null {
  const known = urls.get(text);
  if (known !== undefined) return known;
  const parsed = URL.canParse(text) ? new URL(text) : null;
  const isLink = parsed?.protocol === "ws:" || parsed?.protocol === "wss:";
  const url = isLink ? `${parsed.protocol}//${parsed.host}${parsed.pathname.replace(/\/+$/, "")}` : null;
  if (urls.size >= URLS_MAX) urls.clear();
  urls.set(text, url);
  return url;
}

function nameIn(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}

const NAME_BYTES_MAX = 255;

/** The body of a tell or an ask: whom it is for, whom it is from, what it says. */
export interface Letter {
  readonly to: string;
  readonly from: string;
  readonly payload: Uint8Array;
}

export function encodeLetter({ to, from, payload }: Letter): Uint8Array {
  const toBytes = encodeText(to);
  const fromBytes = encodeText(from);
  if (toBytes.length > NAME_BYTES_MAX || fromBytes.length > NAME_BYTES_MAX) {
    throw new ConclaveError("INVALID_ARGUMENT", `An actor's name has at most ${NAME_BYTES_MAX} bytes.`);
  }
  const body = allocate(2 + toBytes.length + fromBytes.length + payload.byteLength);
  body[0] = toBytes.length;
  body[1] = fromBytes.length;
  body.set(toBytes, 2);
  body.set(fromBytes, 2 + toBytes.length);
  body.set(payload, 2 + toBytes.length + fromBytes.length);
  return body;
}

/** @throws RangeError, TypeError if the bytes are no letter */
export function decodeLetter(body: Uint8Array): Letter {
  const toLength = body[0] ?? 0;
  const fromLength = body[1] ?? 0;
  const start = 2 + toLength + fromLength;
  if (body.byteLength < start) throw new RangeError("a letter ends within its address");
  return {
    to: decodeText(body.subarray(2, 2 + toLength)),
    from: decodeText(body.subarray(2 + toLength, start)),
    payload: body.subarray(start),
  };
}
