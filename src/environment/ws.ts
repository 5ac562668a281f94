/** `Network` over the package `ws`, which Node, Deno and Bun all run. */

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, WebSocket, WebSocketServer } from "ws";
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
import { shortened } from "./close-reason.ts";

/** Compression costs more than loopback and data-centre links gain, and binary frames hold no text to validate. */
const SOCKET_OPTIONS = { perMessageDeflate: false, skipUTF8Validation: true } as const;

/** How long a connection may take to ask for a WebSocket. Idle ones would use up what `connectionsMax` allows. */
const UPGRADE_TIMEOUT_MS = 10_000;
const UPGRADES_MAX = 1_000;

/** How long a peer may take to answer a closing handshake. */
const CLOSE_TIMEOUT_MS = 1_000;

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data;
}

function wrap(socket: WebSocket): Socket {
  socket.on("error", () => {}); // `close` follows; without a listener it would end the process.
  let closing: ReturnType<typeof setTimeout> | undefined;
  socket.once("close", () => clearTimeout(closing));
  return {
    send: (message) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(message, { binary: true });
    },
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    close: (code, reason) => {
      if (socket.readyState === WebSocket.CLOSED || closing !== undefined) return;
      closing = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      socket.close(code, shortened(reason));
    },
    terminate: () => socket.terminate(),
  };
}

function attach(socket: WebSocket, handlers: Omit<SocketHandlers, "onOpen">): void {
  let tooBig = false;
  let failure = "";
  socket.on("message", (data, isBinary) => (isBinary ? handlers.onMessage(bytesOf(data)) : handlers.onText()));
  // `close` follows every error; an error without a listener would end the process.
  socket.on("error", (error) => {
    failure = error.message;
    if ("code" in error && error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") tooBig = true;
  });
  socket.once("close", (code, reason) => handlers.onClose(tooBig ? 1009 : code, String(reason) || failure));
}

/**
 * A client masks its frames so that a script in a browser can't make them look like something else to what stands between
 * it and the server (RFC 6455, section 10.3). Nothing does on one machine, and nothing can look into TLS: there a mask
 * of zeros, which `ws` need not apply, spares both ends a pass over every byte.
 */
function isPrivate(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "wss:" || LOOPBACK.test(hostname);
}

const LOOPBACK = /^(localhost|\[::1\]|127(\.\d+){3})$/;

const leaveMaskAtZero = (): void => {};

function connect(url: string, options: ConnectOptions, handlers: SocketHandlers): Socket {
  const masks = isPrivate(url) ? { generateMask: leaveMaskAtZero } : {};
  const socket = new WebSocket(url, { ...SOCKET_OPTIONS, ...masks, maxPayload: options.messageBytesMax });
  attach(socket, handlers);
  socket.once("open", () => handlers.onOpen());
  return wrap(socket);
}

/** Takes the connections of an HTTP server that want to become WebSockets, at one path or at any. */
function attachTo(http: Server, path: string | null, options: ListenOptions, accept: (socket: AcceptedSocket) => void) {
  const server = new WebSocketServer({
    ...SOCKET_OPTIONS,
    noServer: true,
    maxPayload: options.messageBytesMax,
    verifyClient: ({ req }, decide) => {
      const { origin } = req.headers;
      if (origin !== undefined && !options.allowedOrigins.includes(origin)) decide(false, 403, "origin not allowed");
      else if (server.clients.size >= options.connectionsMax) decide(false, 503, "too many connections");
      else decide(true);
    },
  });
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (path !== null && pathOf(request) !== path) {
      leave(http, path, request, socket);
      return;
    }
    server.handleUpgrade(request, socket, head, (made) =>
      accept(Object.assign(wrap(made), { handle: (on: Omit<SocketHandlers, "onOpen">) => attach(made, on) })),
    );
  };
  http.on("upgrade", upgrade);
  const paths = takenPaths.get(http) ?? new Set();
  if (path !== null) takenPaths.set(http, paths.add(path));
  return {
    close: async (): Promise<void> => {
      http.off("upgrade", upgrade);
      if (path !== null) paths.delete(path);
      for (const socket of server.clients) socket.terminate();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The paths of a program's server at which nodes are reached. */
const takenPaths = new WeakMap<Server, Set<string>>();

/** Who came for another path than `path` is turned away, once, if nobody else is there to see to it. */
function leave(http: Server, path: string, request: IncomingMessage, socket: Duplex): void {
  const paths = takenPaths.get(http) ?? new Set();
  const [first] = paths;
  if (paths.has(pathOf(request)) || first !== path || http.listenerCount("upgrade") > paths.size) return;
  socket.on("error", () => {}); // It is gone: so much the better.
  socket.once("finish", () => socket.destroy());
  socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
}

const pathOf = ({ url = "/" }: IncomingMessage): string => url.replace(/[?#].*$/, "").replace(/\/+$/, "");

async function listen(options: ListenOptions, accept: (socket: AcceptedSocket) => void): Promise<Listener> {
  const { upgradeTimeoutMs = UPGRADE_TIMEOUT_MS } = options;
  const http = createServer({
    requestTimeout: upgradeTimeoutMs,
    headersTimeout: upgradeTimeoutMs,
    connectionsCheckingInterval: upgradeTimeoutMs,
  });
  http.on("request", (_request, response) => {
    response.writeHead(426, { "content-type": "text/plain", upgrade: "websocket", connection: "close" });
    response.end("This port speaks WebSocket.\n");
  });
  http.setTimeout(upgradeTimeoutMs); // Of silence; a WebSocket has none.
  // Beyond WebSockets only those that are about to become one, or to be told why not.
  http.maxConnections = options.connectionsMax + UPGRADES_MAX;
  const attached = attachTo(http, null, options, accept);
  await new Promise<void>((resolve, reject) => {
    http.once("listening", resolve);
    http.once("error", (error) => reject(listenError(error, options)));
    http.listen(options.port, options.host);
  });
  http.on("error", () => {}); // Errors of single connections are theirs; nothing else can fail once it listens.
  return {
    port: boundPort(http, options),
    close: async () => {
      await attached.close();
      await new Promise<void>((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      });
    },
  };
}

function boundPort(http: Server, options: ListenOptions): number {
  const address = http.address();
  return typeof address === "object" && address !== null ? address.port : options.port;
}

/**
 * The network of a program that serves something else on the same port: WebSockets of others at `path` are taken from its
 * server, which goes on serving everything else, and is not closed.
 */
export function networkOn(http: Server, path: string): Network {
  return {
    connect,
    listen: async (options, accept) => ({
      ...attachTo(http, path.replace(/\/+$/, ""), options, accept),
      port: boundPort(http, options),
    }),
  };
}

function listenError(error: Error, { host, port }: ListenOptions): Error {
  const code = "code" in error ? error.code : undefined;
  if (code !== "EADDRINUSE") return error;
  const message = `Port ${port} on ${host} is in use by another process: stop it, or choose another port.`;
  return new ConclaveError("ADDRESS_IN_USE", message, { cause: error });
}

export const network: Network = { connect, listen };
