/** The handshake: who is at the other end, and whether to talk to them at all. */

import { decodeValue, encodeValue } from "../machine/value-codec.ts";
import * as v from "../shape.ts";
import { CloseCode } from "./close.ts";
import { PROTOCOL_VERSION } from "./frame.ts";

const NAME_CHARS_MAX = 255;
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(NAME_CHARS_MAX));

const helloShape = v.object({
  /** The version of the protocol above the frames. */
  protocol: v.pipe(v.number(), v.integer()),
  /** The name of the cluster; processes of different clusters do not talk. */
  cluster: name,
  /** This run of the process: another one after every start. */
  process: name,
  /** What the process is called: a server's id, or a word for what it does. */
  name,
  /** The life of the data behind the name: another one if the disk was lost. */
  incarnation: name,
  /** The life of the cluster that the data belongs to; null for a process without data, or before it belongs to one. */
  epoch: v.nullable(v.pipe(v.string(), v.maxLength(NAME_CHARS_MAX))),
  /** Where the process can be reached, if it listens. */
  url: v.nullable(v.pipe(v.string(), v.maxLength(NAME_CHARS_MAX))),
});

/** A process that only asks, and listens nowhere, need not know what the cluster is called. */
export const ANY_CLUSTER = "*";

/** What each side says of itself before anything else. */
export type Hello = v.InferOutput<typeof helloShape>;

/** Why a link was not accepted. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

export const encodeHello = (hello: Hello): Uint8Array => encodeValue(hello);

/** `null` if the bytes are no hello. */
export function decodeHello(bytes: Uint8Array): Hello | null {
  try {
    return helloShape.parse(decodeValue(bytes));
  } catch {
    return null;
  }
}

/** The checks that hold for every link: same protocol, same cluster. */
export function refusalOf(own: Hello, remote: Hello): Refusal | null {
  if (remote.protocol !== PROTOCOL_VERSION) {
    const reason = `protocol ${remote.protocol} is not spoken here, only ${PROTOCOL_VERSION}`;
    return { code: CloseCode.wrongProtocol, reason };
  }
  const anyCluster = [own, remote].some(({ cluster, url }) => cluster === ANY_CLUSTER && url === null);
  if (remote.cluster !== own.cluster && !anyCluster) {
    return { code: CloseCode.wrongCluster, reason: `this is cluster ${own.cluster}, not ${remote.cluster}` };
  }
  return null;
}
