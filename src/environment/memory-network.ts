/** A network within one process, whose parts can be cut off from one another. */

import type {
  AcceptedSocket,
  ConnectOptions,
  Listener,
  ListenOptions,
  Network,
  Socket,
  SocketHandlers,
} from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { connectInMemory, type MemoryConnection, type MemoryRoute } from "./memory-socket.ts";

interface Listening {
  /** Where it listens from. */
  readonly place: string;
  readonly options: ListenOptions;
  accept(socket: AcceptedSocket): void;
}

interface Standing {
  readonly connection: MemoryConnection;
  readonly places: readonly [string, string];
}

export class MemoryNetwork {
  readonly #listeners = new Map<string, Listening>();
  /** Pairs of names between which nothing gets through. */
  readonly #cut = new Set<string>();
  readonly #gone = new Set<string>();
  /** All that were ever made and are not closed. */
  readonly #standing = new Set<Standing>();
  #lastPort = 0;

  /** The network as it is seen from a place: the name of whoever lives there, and which of its lives it is, as in `n1#2`. */
  at(place: string): Network {
    return {
      connect: (url, options, handlers) => this.#connect(place, new URL(url).host, options, handlers),
      listen: (options, accept) => this.#listen(place, options, accept),
    };
  }

  /** Nothing gets through between two names, in either direction, until `heal`. */
  cut(a: string, b: string): void {
    this.#cut.add(keyOf(a, b));
  }

  /** Everything gets through again, what has waited first. */
  heal(): void {
    this.#cut.clear();
    for (const { connection } of this.#standing) connection.wake();
  }

  /** Whoever lives in that place is gone: its connections break, and it neither listens nor calls any more. */
  breakOff(place: string): void {
    this.#gone.add(place);
    for (const [host, listening] of this.#listeners) if (listening.place === place) this.#listeners.delete(host);
    for (const standing of this.#standing) if (standing.places.includes(place)) standing.connection.breakOff();
  }

  async #listen(place: string, options: ListenOptions, accept: (socket: AcceptedSocket) => void): Promise<Listener> {
    const port = options.port === 0 ? ++this.#lastPort : options.port;
    const host = `${options.host}:${port}`;
    if (this.#listeners.has(host)) throw new ConclaveError("ADDRESS_IN_USE", `${host} is in use`);
    const listening = { place, options, accept };
    this.#listeners.set(host, listening);
    return {
      port,
      close: async () => {
        if (this.#listeners.get(host) === listening) this.#listeners.delete(host);
      },
    };
  }

  #connect(place: string, host: string, options: ConnectOptions, handlers: SocketHandlers): Socket {
    const listening = this.#listeners.get(host) ?? null;
    const key = listening === null ? "" : keyOf(nameOf(place), nameOf(listening.place));
    const isCut = (): boolean => this.#cut.has(key);
    const route: MemoryRoute = {
      get isCut() {
        return isCut();
      },
    };
    const forget = (): void => void this.#standing.delete(standing);
    const connection = connectInMemory(
      options,
      {
        ...handlers,
        onClose: (code, reason) => {
          forget();
          handlers.onClose(code, reason);
        },
      },
      isCut() || this.#gone.has(place) ? null : (listening?.accept ?? null),
      listening?.options.messageBytesMax ?? 0,
      [route, route],
    );
    const standing: Standing = { connection, places: [place, listening?.place ?? ""] };
    this.#standing.add(standing);
    return connection.socket;
  }
}

const keyOf = (a: string, b: string): string => (a < b ? `${a} ${b}` : `${b} ${a}`);
const nameOf = (place: string): string => place.replace(/#.*$/, "");
