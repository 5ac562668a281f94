/** The closing codes of a link: those of RFC 6455, section 7.4.1, and our own from the private range. */

export const CloseCode = {
  normal: 1000,
  /** The process is stopping. */
  goingAway: 1001,
  /** A malformed frame, an unknown version, or a frame out of turn. */
  protocolError: 1002,
  /** A text frame. */
  unsupportedData: 1003,
  /** The connection broke. */
  abnormal: 1006,
  tooBig: 1009,
  internalError: 1011,

  wrongProtocol: 4001,
  wrongCluster: 4002,
  /** The name is not a member's, or the data behind it is not the data it had. */
  wrongIdentity: 4003,
  /** Both sides connected at once; the other connection stays. */
  duplicate: 4004,
  handshakeTimeout: 4005,
  /** Nothing came for the longest silence that is allowed. */
  silent: 4006,
  /** The other side reads more slowly than this side sends. */
  sendBufferFull: 4007,
} as const;

/** How a link ended. */
export interface Closing {
  readonly code: number;
  readonly reason: string;
  /** This side ended it. */
  readonly byUs: boolean;
}

/** The other side will not have this link however often it is tried. */
export const isRefusal = ({ code }: Pick<Closing, "code">): boolean =>
  code === CloseCode.wrongProtocol || code === CloseCode.wrongCluster || code === CloseCode.wrongIdentity;
