/** A network on which what is sent to one peer stays where it is: the other side has stopped to read. */

import type { AcceptedSocket, Network, SocketHandlers } from "../../src/environment.ts";
import { realEnvironment } from "../../src/index.ts";
import { parseFrames } from "../../src/link/frame.ts";
import { decodeHello } from "../../src/link/hello.ts";

export class CloggedNetwork {
  /** Whoever introduced itself by this name reads nothing any more. */
  deaf: string | null = null;
  /** What is held back for it, and the most that ever was. */
  heldBytes = 0;
  heldBytesMax = 0;

  readonly network: Network = {
    ...realEnvironment.network,
    listen: (options, accept) => realEnvironment.network.listen(options, (socket) => accept(this.#wrap(socket))),
  };

  #wrap(socket: AcceptedSocket): AcceptedSocket {
    let name: string | null = null;
    const isDeaf = (): boolean => name !== null && name === this.deaf;
    const heldBack = (): number => (isDeaf() ? this.heldBytes : 0);
    return {
      send: (message) => {
        if (isDeaf()) this.#hold(message.byteLength);
        else socket.send(message);
      },
      get bufferedBytes() {
        return socket.bufferedBytes + heldBack();
      },
      close: (code, reason) => socket.close(code, reason),
      terminate: () => socket.terminate(),
      handle: (handlers: Omit<SocketHandlers, "onOpen">) =>
        socket.handle({
          ...handlers,
          onMessage: (message) => {
            const [hello] = name === null ? parseFrames(message) : [];
            if (hello !== undefined) name = decodeHello(hello.body)?.name ?? "";
            handlers.onMessage(message);
          },
        }),
    };
  }

  #hold(bytes: number): void {
    this.heldBytes += bytes;
    this.heldBytesMax = Math.max(this.heldBytesMax, this.heldBytes);
  }
}
