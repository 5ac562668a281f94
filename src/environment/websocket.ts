/** The client's half of `Network` over the WebSocket that browsers (and Node, Deno and Bun) have built in. */

import type { ConnectOptions, Network, Socket, SocketHandlers } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { shortened } from "./close-reason.ts";

const NO_HANDSHAKE = 1006;
const TOO_BIG = 1009;

function connect(url: string, options: ConnectOptions, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  let closed = false;
  const finish = (code: number, reason: string): void => {
    if (closed) return;
    closed = true;
    handlers.onClose(code, reason);
  };
  socket.onopen = () => handlers.onOpen();
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (closed) return;
    if (!(data instanceof ArrayBuffer)) handlers.onText();
    else if (data.byteLength > options.messageBytesMax) {
      // A page may only close with 1000 or a code of its own: the connection ends, the reason is told here.
      socket.close();
      finish(TOO_BIG, `a message of ${data.byteLength} bytes`);
    } else handlers.onMessage(new Uint8Array(data));
  };
  socket.onclose = ({ code, reason }) => finish(code || NO_HANDSHAKE, reason);
  return {
    send: (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(message as Uint8Array<ArrayBuffer>);
    },
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: (code, reason) => {
      if (code === 1000 || code >= 3000) socket.close(code, shortened(reason));
      else socket.close();
    },
    terminate: () => {
      socket.close();
      finish(NO_HANDSHAKE, "terminated");
    },
  };
}

export const network: Network = {
  connect,
  listen: () =>
    Promise.reject(new ConclaveError("INVALID_ARGUMENT", "This runtime can't listen for WebSocket connections.")),
};
