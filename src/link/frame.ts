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
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const frames: Frame[] = [];
  let offset = 0;
  while (offset < message.byteLength) {
    if (message.byteLength - offset < HEADER_BYTES) throw new MalformedFrame("the message ends within a header");
    const bodyBytes = view.getUint32(offset, true);
    const version = view.getUint8(offset + 4);
    if (version !== PROTOCOL_VERSION) throw new MalformedFrame(`version ${version} is not spoken here`);
    if (view.getUint16(offset + 6, true) !== 0) throw new MalformedFrame("a reserved field is not zero");
    const start = offset + HEADER_BYTES;
    if (bodyBytes > message.byteLength - start) throw new MalformedFrame("a frame ends past its message");
    frames.push({
      kind: view.getUint8(offset + 5),
      correlation: view.getUint32(offset + 8, true),
      body: message.subarray(start, start + bodyBytes),
    });
    offset = start + bodyBytes;
  }
  if (frames.length === 0) throw new MalformedFrame("the message is empty");
  return frames;
}

/** Puts frames into one message. */
export function joinFrames(frames: readonly Frame[]): Uint8Array {
  const total = frames.reduce((sum, frame) => sum + HEADER_BYTES + frame.body.byteLength, 0);
  const message = new Uint8Array(total);
  const view = new DataView(message.buffer);
  let offset = 0;
  for (const { kind, correlation, body } of frames) {
    view.setUint32(offset, body.byteLength, true);
    view.setUint8(offset + 4, PROTOCOL_VERSION);
    view.setUint8(offset + 5, kind);
    view.setUint32(offset + 8, correlation, true);
    message.set(body, offset + HEADER_BYTES);
    offset += HEADER_BYTES + body.byteLength;
  }
  return message;
}
