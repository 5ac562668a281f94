/**
 * What an actor may touch of the outside world. Production passes the real thing (`environment/`), a simulator a
 * deterministic one; nothing else in this project reads a clock, sets a timer, draws a random number, or opens a
 * socket or a file.
 */

/**
 * The outside world, as far as nodes need one.
 *
 * @example
 * ```ts
 * import { type Environment, join, realEnvironment } from "conclave";
 * import { MemoryDisk } from "conclave/testing";
 *
 * const forgetful: Environment = { ...realEnvironment, disk: new MemoryDisk() };
 * await using node = await join({ id: "n1", peers: { n1: url }, dataDir: "/data", environment: forgetful });
 * ```
 */
export interface Environment {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly disk: Disk;
}

/** What a client needs, and a browser has. */
export type ClientEnvironment = Omit<Environment, "disk">;

export interface Clock {
  /** Milliseconds, with fractions, since an arbitrary start. Never goes back; not the time of day. */
  nowMs(): number;
  /** The time of day: whole milliseconds since 1970. It may jump, and go back. */
  timeMs(): number;
  /** Calls `fire` once, not before `delayMs` have passed. */
  setTimer(delayMs: number, fire: () => void): Timer;
  /** Calls `run` once, after what the sockets hold at this moment has been delivered. */
  defer(run: () => void): void;
}

export interface Timer {
  cancel(): void;
}

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** A name that no other call, on any machine, returns; 21 URL-safe characters. */
  id(): string;
}

/** The WebSocket protocol (RFC 6455), reduced to what links need. */
export interface Network {
  /** Opens a connection. Failure to connect is reported as `onClose`. */
  connect(url: string, options: ConnectOptions, handlers: SocketHandlers): Socket;
  /** @throws ConclaveError `ADDRESS_IN_USE` */
  listen(options: ListenOptions, accept: (socket: AcceptedSocket) => void): Promise<Listener>;
}

export interface ConnectOptions {
  /** A longer message from the other side closes the connection with 1009. */
  readonly messageBytesMax: number;
}

export interface ListenOptions extends ConnectOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** A browser's `Origin` that is not in this list is refused with HTTP 403. */
  readonly allowedOrigins: readonly string[];
  /** How many connections may stand at once; further ones are refused with HTTP 503. */
  readonly connectionsMax: number;
  /** How long a connection may take to become a WebSocket before it is broken; default 10,000 ms. */
  readonly upgradeTimeoutMs?: number;
}

export interface Listener {
  readonly port: number;
  /** Stops listening and breaks what connections still stand. */
  close(): Promise<void>;
}

/** One WebSocket connection. None of its methods throws, whatever state the connection is in. */
export interface Socket {
  /** Sends one binary message. The bytes must not change afterwards. */
  send(message: Uint8Array): void;
  /** Bytes accepted by `send` that the system has not taken yet. */
  readonly bufferedBytes: number;
  /** Starts the closing handshake. */
  close(code: number, reason: string): void;
  /** Breaks the connection without a handshake. `onClose` follows. */
  terminate(): void;
}

/** A connection from the listening side: it is open, and delivers nothing before it has handlers. */
export interface AcceptedSocket extends Socket {
  handle(handlers: Omit<SocketHandlers, "onOpen">): void;
}

export interface SocketHandlers {
  onOpen(): void;
  /** A binary message; the bytes belong to the receiver. */
  onMessage(message: Uint8Array): void;
  /** A text message, which no link may carry. */
  onText(): void;
  /** Called exactly once, last. 1006 if there was no closing handshake. */
  onClose(code: number, reason: string): void;
}

/** For reading and writing, of a file that is there or one that must not be, which is made; or for reading alone. */
export type OpenMode = "existing" | "create" | "reading";

/**
 * A file system, reduced to what a log needs. Every promise rejects with the system's error, `code` included.
 *
 * @example
 * ```ts
 * import { type Disk, realEnvironment } from "conclave";
 * import { MemoryDisk } from "conclave/testing";
 *
 * async function note(disk: Disk, path: string, text: string): Promise<void> {
 *   const file = await disk.open(path, "create");
 *   await file.write(0, [new TextEncoder().encode(text)]);
 *   await file.sync();
 *   await file.close();
 * }
 * await note(realEnvironment.disk, `${folder}/note`, "on a disk");
 * await note(new MemoryDisk(["/notes"]), "/notes/1", "in memory");
 * ```
 */
export interface Disk {
  /** Makes a folder and its parents, durably. */
  makeFolder(path: string): Promise<void>;
  /** The names in a folder, sorted. */
  list(path: string): Promise<string[]>;
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Makes the creation, renaming and removal of files in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /**
   * Takes a folder for this process alone until it ends or lets go.
   *
   * @throws ConclaveError `DATA_LOCKED`
   */
  lock(path: string): Promise<FolderLock>;
}

export interface FolderLock {
  release(): Promise<void>;
}

export interface DiskFile {
  size(): Promise<number>;
  /** Up to `length` bytes; fewer only at the end of the file. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Writes all of the chunks, one after the other. */
  write(offset: number, chunks: readonly Uint8Array[]): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Makes what was written durable (fdatasync). */
  sync(): Promise<void>;
  close(): Promise<void>;
}
