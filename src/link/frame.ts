/**
 * Frames: what a link carries. A WebSocket message holds one or more of them, each a fixed header of twelve bytes and
 * a body, little-endian:
 *
 *     0   u32  length of the body
 *     4   u8   version of the protocol
 *     5   u8   kind
 *     6   u16  reserved, zero
 *     8   u32  correlation: pairs an answer with its question; 0 where there is none
 */

import { ByteReader, ByteWriter } from "../bytes.ts";

export const PROTOCOL_VERSION = 1;
export const HEADER_BYTES = 12;

/** Kinds below 16 belong to the link itself; the rest is up to the layer above. */
export const LinkKind = { hello: 1, ping: 2, pong: 3 } as const;
export const FIRST_FREE_KIND = 16;

export interface Frame {
  readonly kind: number;
  readonly correlation: number;
  /** Within a received message these are the message's own bytes, not a copy. */
  readonly body: Uint8Array;
}

/** Why a message could not be taken apart. */
export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame";
}

/** Takes a message apart. @throws MalformedFrame */
export function parseFrames(message: Uint8Array): Frame[] {
  const reader = new ByteReader(message);
  const frames: Frame[] = [];
  while (reader.remaining > 0) {
    if (reader.remaining < HEADER_BYTES) throw new MalformedFrame("the message ends within a header");
    const bodyBytes = reader.u32();
    const version = reader.u8();
    if (version !== PROTOCOL_VERSION) throw new MalformedFrame(`version ${version} is not spoken here`);
    const kind = reader.u8();
    if (reader.u16() !== 0) throw new MalformedFrame("a reserved field is not zero");
    const correlation = reader.u32();
    if (bodyBytes > reader.remaining) throw new MalformedFrame("a frame ends past its message");
    frames.push({ kind, correlation, body: reader.raw(bodyBytes) });
  }
  if (frames.length === 0) throw new MalformedFrame("the message is empty");
  return frames;
}

/** Puts frames into one message. */
export function joinFrames(frames: readonly Frame[]): Uint8Array {
  const total = frames.reduce((sum, frame) => sum + HEADER_BYTES + frame.body.byteLength, 0);
  const writer = new ByteWriter(total);
  for (const { kind, correlation, body } of frames) {
    writer.u32(body.byteLength).u8(PROTOCOL_VERSION).u8(kind).u16(0).u32(correlation).raw(body);
  }
  return writer.finish();
}
