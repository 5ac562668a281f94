/** A way from a process to itself that needs no socket: for a client beside its node. */

import type { AcceptedSocket, ListenOptions, Network } from "../environment.ts";
import { connectInMemory, type MemoryRoute } from "./memory-socket.ts";

const OPEN: MemoryRoute = { isCut: false };

/**
 * @returns the network for who listens at `url`, through which others come as ever, and that for who calls there from
 * this process
 */
export function withLoopback(
  network: Network,
  url: string,
): { readonly listening: Network; readonly calling: Network } {
  const { host } = new URL(url);
  let own: { readonly options: ListenOptions; accept(socket: AcceptedSocket): void } | null = null;
  return {
    listening: {
      connect: network.connect,
      listen: async (options, accept) => {
        const listener = await network.listen(options, accept);
        const here = { options, accept };
        own = here;
        return {
          port: listener.port,
          close: async () => {
            if (own === here) own = null;
            await listener.close();
          },
        };
      },
    },
    calling: {
      listen: network.listen,
      connect: (to, options, handlers) => {
        if (own === null || new URL(to).host !== host) return network.connect(to, options, handlers);
        const { messageBytesMax } = own.options;
        return connectInMemory(options, handlers, own.accept, messageBytesMax, [OPEN, OPEN]).socket;
      },
    },
  };
}
