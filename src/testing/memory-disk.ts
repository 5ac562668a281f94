/**
 * A `Disk` in memory that knows what a crash would leave of it: what was synced, and of the rest as much or as little as
 * a test asks for. It is as unkind as a disk may be: a name that was not synced is lost with its file, and what a failed
 * sync should have written is never written by a later one.
 */

import type { Disk, DiskFile, FolderLock, OpenMode } from "../environment.ts";
import { ConclaveError } from "../errors.ts";

/**
 * What is done with a disk, in a word.
 *
 * @example
 * ```ts
 * import { MemoryDisk, type Operation } from "conclave/testing";
 *
 * const counts = new Map<Operation, number>();
 * const disk = new MemoryDisk(["/data"]);
 * disk.watch = (operation) => counts.set(operation, (counts.get(operation) ?? 0) + 1);
 * await (await disk.open("/data/log", "create")).write(0, [Uint8Array.of(1)]);
 * console.log(counts.get("create"), counts.get("write")); // 1 1
 * ```
 */
export type Operation = "list" | "create" | "open" | "rename" | "remove" | "syncFolder" | FileOperation;
type FileOperation = "size" | "read" | "write" | "truncate" | "sync" | "close";

/**
 * What a crash leaves of what was not synced.
 *
 * @example
 * ```ts
 * import { type Crash, MemoryDisk } from "conclave/testing";
 *
 * const torn: Crash = { bytesKept: 1, tail: "zeros", namesKept: 1 };
 * const disk = new MemoryDisk(["/data"]);
 * await (await disk.open("/data/log", "create")).write(0, [Uint8Array.of(7, 7)]);
 * const file = await disk.crash(torn).open("/data/log", "reading");
 * console.log(await file.read(0, 2)); // Uint8Array(2) [ 7, 0 ]
 * ```
 */
export interface Crash {
  /** How many bytes of the unsynced writes have reached the disk, oldest first; a truncation counts as one. */
  readonly bytesKept?: number;
  /** What a file has in place of the bytes that were lost at its end: nothing, zeros, or the opposite of each. */
  readonly tail?: "lost" | "zeros" | "garbage";
  /** How many of the unsynced creations, renamings and removals have reached the disk, oldest first. */
  readonly namesKept?: number;
}

/**
 * Holds back every operation of one kind.
 *
 * @example
 * ```ts
 * import { type Gate, MemoryDisk } from "conclave/testing";
 *
 * const disk = new MemoryDisk(["/data"]);
 * const file = await disk.open("/data/log", "create");
 * const gate: Gate = disk.hold("sync");
 * const synced = file.sync();
 * await gate.reached; // A crash at this moment finds nothing synced.
 * gate.release();
 * await synced;
 * ```
 */
export interface Gate {
  /** Resolves when the first operation has come to the gate. */
  readonly reached: Promise<void>;
  release(): void;
}

/** The bytes of a file, with room to grow. */
class Content {
  #room: Uint8Array;
  #length: number;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#room = bytes;
    this.#length = bytes.byteLength;
  }

  get length(): number {
    return this.#length;
  }

  copy(): Content {
    return new Content(this.read(0, this.#length));
  }

  read(offset: number, length: number): Uint8Array {
    return this.#room.slice(offset, Math.min(offset + length, this.#length));
  }

  /** What lies between the old end and the new bytes is zeros. */
  write(offset: number, bytes: Uint8Array): void {
    const length = Math.max(this.#length, offset + bytes.byteLength);
    if (length > this.#room.byteLength) {
      const room = new Uint8Array(Math.max(length, 2 * this.#room.byteLength));
      room.set(this.#room.subarray(0, this.#length));
      this.#room = room;
    }
    this.#room.set(bytes, offset);
    this.#length = length;
  }

  flip(bit: number): void {
    const at = Math.floor(bit / 8);
    this.#room[at] = (this.#room[at] ?? 0) ^ (1 << (bit % 8));
  }

  truncate(length: number): void {
    if (length > this.#length) this.write(length, NOTHING);
    else this.#room.fill(0, length, this.#length);
    this.#length = length;
  }
}

const NOTHING = new Uint8Array(0);

interface Inode {
  readonly content: Content;
  readonly durable: Content;
}

type Change =
  | { readonly inode: Inode; readonly type: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly inode: Inode; readonly type: "truncate"; readonly length: number };

/** A change of a folder: paths, and what is there afterwards. */
type NameChange = readonly (readonly [path: string, inode: Inode | null])[];

interface Fault {
  readonly operation: Operation;
  readonly code: string;
  readonly bytesWritten: number;
}

const folderOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf("/"), 0));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const costOf = (change: Change): number => (change.type === "write" ? change.bytes.byteLength : 1);
const systemError = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code });

function apply(content: Content, change: Change): void {
  if (change.type === "truncate") content.truncate(change.length);
  else content.write(change.offset, change.bytes);
}

/** What a change leaves that a crash has cut short after `kept` of its bytes. What it was to overwrite is still there. */
function applyTorn(content: Content, change: Change, kept: number, tail: Crash["tail"]): void {
  if (kept >= costOf(change)) {
    apply(content, change);
    return;
  }
  if (change.type === "truncate") return;
  const { offset, bytes } = change;
  if (kept > 0) content.write(offset, bytes.subarray(0, kept));
  const lost = bytes.subarray(Math.max(content.length - offset, 0));
  if (tail === "zeros") content.write(offset + bytes.byteLength, NOTHING);
  if (tail === "garbage" && lost.byteLength > 0) {
    content.write(
      offset + bytes.byteLength - lost.byteLength,
      lost.map((byte) => ~byte),
    );
  }
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const content = new Content();
  for (const chunk of chunks) content.write(content.length, chunk);
  return content.read(0, content.length);
}

function rename(names: Map<string, Inode>, change: NameChange): void {
  for (const [path, inode] of change) {
    if (inode === null) names.delete(path);
    else names.set(path, inode);
  }
}

/**
 * A disk in memory, with everything that may go wrong with a disk at hand.
 *
 * @example
 * ```ts
 * import { MemoryDisk } from "conclave/testing";
 *
 * const disk = new MemoryDisk(["/data"]);
 * const file = await disk.open("/data/log", "create");
 * await file.write(0, [Uint8Array.of(1, 2)]);
 * console.log(await disk.crash().list("/data")); // []
 * await file.sync();
 * await disk.syncFolder("/data");
 * console.log(await disk.crash().list("/data")); // [ 'log' ]
 * ```
 */
export class MemoryDisk implements Disk {
  /** Called after every operation that changes something, and may look at what a crash would leave now. */
  watch: (operation: Operation, path: string) => void = () => {};
  /** How long an operation takes. What a flush makes durable is what was written before it began. */
  delay: (operation: Operation) => Promise<void> | null = () => null;
  /** By how many bytes its files may grow before it is full. */
  roomBytes = Number.POSITIVE_INFINITY;
  readonly #folders = new Set<string>();
  readonly #names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  #changes: Change[] = [];
  #nameChanges: NameChange[] = [];
  #faults: Fault[] = [];
  readonly #locked = new Set<string>();
  readonly #gates = new Map<Operation, { readonly open: Promise<void>; readonly reached: () => void }>();

  constructor(folders: readonly string[] = []) {
    for (const folder of folders) this.#folders.add(folder);
  }

  /** How much may be lost by a crash now; see `Crash`. */
  get unsyncedBytes(): number {
    return this.#changes.reduce((sum, change) => sum + costOf(change), 0);
  }

  get unsyncedNames(): number {
    return this.#nameChanges.length;
  }

  /** The disk after a crash. This one is left as it is. */
  crash({ bytesKept = 0, tail = "lost", namesKept = 0 }: Crash = {}): MemoryDisk {
    const names = new Map(this.#durableNames);
    for (const change of this.#nameChanges.slice(0, namesKept)) rename(names, change);
    const contents = new Map<Inode, Content>();
    let kept = bytesKept;
    for (const change of this.#changes) {
      const content = contents.get(change.inode) ?? change.inode.durable.copy();
      contents.set(change.inode, content);
      applyTorn(content, change, Math.max(kept, 0), tail);
      kept -= costOf(change);
    }
    const after = new MemoryDisk([...this.#folders]);
    after.roomBytes = this.roomBytes;
    for (const [path, inode] of names) {
      const content = contents.get(inode) ?? inode.durable;
      after.plant(path, content.read(0, content.length));
    }
    return after;
  }

  /** Every disk that a crash could leave now. */
  *everyCrash(): Generator<MemoryDisk> {
    for (let namesKept = 0; namesKept <= this.unsyncedNames; namesKept++) {
      for (let bytesKept = 0; bytesKept < this.unsyncedBytes; bytesKept++) {
        yield this.crash({ bytesKept, tail: "lost", namesKept });
        yield this.crash({ bytesKept, tail: "zeros", namesKept });
        yield this.crash({ bytesKept, tail: "garbage", namesKept });
      }
      yield this.crash({ bytesKept: this.unsyncedBytes, namesKept });
    }
  }

  /** The disk as the next process finds it if this one is killed: the system lost nothing, and has synced nothing. */
  kill(): MemoryDisk {
    const after = new MemoryDisk([...this.#folders]);
    after.roomBytes = this.roomBytes;
    const copies = new Map<Inode, Inode>();
    const copyOf = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? { content: inode.content.copy(), durable: inode.durable.copy() };
      copies.set(inode, copy);
      return copy;
    };
    for (const [path, inode] of this.#names) after.#names.set(path, copyOf(inode));
    for (const [path, inode] of this.#durableNames) after.#durableNames.set(path, copyOf(inode));
    after.#changes = this.#changes.map((change) => ({ ...change, inode: copyOf(change.inode) }));
    after.#nameChanges = this.#nameChanges.map((change) =>
      change.map(([path, inode]) => [path, inode && copyOf(inode)] as const),
    );
    return after;
  }

  /** Makes the next operation of a kind fail; a write gets as far as `bytesWritten`. */
  failNext(operation: Operation, code: "ENOSPC" | "EDQUOT" | "EIO", bytesWritten = 0): void {
    this.#faults.push({ operation, code, bytesWritten });
  }

  /** What was to fail, and has not yet, does not. */
  forgetFaults(): void {
    this.#faults = [];
  }

  hold(operation: Operation): Gate {
    let release: () => void = () => {};
    const open = new Promise<void>((resolve) => {
      release = () => {
        this.#gates.delete(operation);
        resolve();
      };
    });
    const reached = new Promise<void>((resolve) => this.#gates.set(operation, { open, reached: resolve }));
    return { reached, release };
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  bytesOf(path: string): Uint8Array {
    const { content } = this.#inode(path);
    return content.read(0, content.length);
  }

  /** Puts a file there, durably, whatever was there before. */
  plant(path: string, content: Uint8Array): void {
    const inode = { content: new Content(content.slice()), durable: new Content(content.slice()) };
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  /** What a file would hold after a crash now that loses all that it may; null if it would be gone. */
  durableBytesOf(path: string): Uint8Array | null {
    const durable = this.#durableNames.get(path)?.durable;
    return durable?.read(0, durable.length) ?? null;
  }

  /** Turns one bit of a file over, durably and under the eyes of whoever has it open. */
  flip(path: string, bit: number): void {
    const { content, durable } = this.#inode(path);
    content.flip(bit);
    durable.flip(bit);
  }

  async makeFolder(path: string): Promise<void> {
    for (let folder = path; folder !== ""; folder = folderOf(folder)) this.#folders.add(folder);
  }

  async list(path: string): Promise<string[]> {
    await this.#begin("list", path);
    if (!this.#folders.has(path)) throw systemError("ENOENT", path);
    const inside = [...this.#names.keys(), ...this.#folders].filter((name) => folderOf(name) === path);
    return inside.map(nameOf).sort();
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.#begin(mode === "create" ? "create" : "open", path);
    if (mode !== "create") return this.#fileOf(this.#inode(path), path);
    if (!this.#folders.has(folderOf(path))) throw systemError("ENOENT", path);
    if (this.#names.has(path)) throw systemError("EEXIST", path);
    const inode = { content: new Content(), durable: new Content() };
    this.#change("create", path, [[path, inode]]);
    return this.#fileOf(inode, path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#begin("rename", from);
    this.#change("rename", from, [
      [from, null],
      [to, this.#inode(from)],
    ]);
  }

  async remove(path: string): Promise<void> {
    await this.#begin("remove", path);
    this.roomBytes += this.#inode(path).content.length;
    this.#change("remove", path, [[path, null]]);
  }

  async syncFolder(path: string): Promise<void> {
    await this.#begin("syncFolder", path);
    const isInside = (change: NameChange): boolean => change.some(([name]) => folderOf(name) === path);
    for (const change of this.#nameChanges.filter(isInside)) rename(this.#durableNames, change);
    this.#nameChanges = this.#nameChanges.filter((change) => !isInside(change));
    this.watch("syncFolder", path);
  }

  async lock(path: string): Promise<FolderLock> {
    if (!this.#folders.has(path)) throw systemError("ENOENT", path);
    if (this.#locked.has(path)) throw new ConclaveError("DATA_LOCKED", `${path} is locked`);
    this.#locked.add(path);
    return { release: async () => void this.#locked.delete(path) };
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw systemError("ENOENT", path);
    return inode;
  }

  #change(operation: Operation, path: string, change: NameChange): void {
    rename(this.#names, change);
    this.#nameChanges.push(change);
    this.watch(operation, path);
  }

  #fault(operation: Operation): Fault | undefined {
    const fault = this.#faults.find((one) => one.operation === operation);
    this.#faults = this.#faults.filter((one) => one !== fault);
    return fault;
  }

  /** What a write of so many bytes up to `end` fails with for want of room. */
  #fullness({ content }: Inode, end: number, bytes: number): Fault | undefined {
    const missing = end - content.length - this.roomBytes;
    if (missing <= 0) return undefined;
    return { operation: "write", code: "ENOSPC", bytesWritten: Math.max(0, bytes - missing) };
  }

  async #begin(operation: Operation, path: string): Promise<void> {
    const gate = this.#gates.get(operation);
    gate?.reached();
    await gate?.open;
    await this.delay(operation);
    // A file's operations on what they change fail halfway.
    if (operation === "write" || operation === "sync") return;
    const fault = this.#fault(operation);
    if (fault !== undefined) throw systemError(fault.code, path);
  }

  #fileOf(inode: Inode, path: string): DiskFile {
    let isOpen = true;
    const begin = async (operation: FileOperation): Promise<void> => {
      if (!isOpen) throw systemError("EBADF", path);
      await this.#begin(operation, path);
    };
    const make = (change: Change): void => {
      apply(inode.content, change);
      this.#changes.push(change);
    };
    return {
      size: async () => {
        await begin("size");
        return inode.content.length;
      },
      read: async (offset, length) => {
        await begin("read");
        return inode.content.read(offset, length);
      },
      write: async (offset, chunks) => {
        await begin("write");
        const whole = joined(chunks);
        const fault = this.#fault("write") ?? this.#fullness(inode, offset + whole.byteLength, whole.byteLength);
        const bytes = whole.subarray(0, fault?.bytesWritten);
        const before = inode.content.length;
        if (bytes.byteLength > 0) make({ inode, type: "write", offset, bytes });
        this.roomBytes -= inode.content.length - before;
        this.watch("write", path);
        if (fault !== undefined) throw systemError(fault.code, path);
      },
      truncate: async (length) => {
        await begin("truncate");
        this.roomBytes += inode.content.length - length;
        make({ inode, type: "truncate", length });
        this.watch("truncate", path);
      },
      sync: async () => {
        const covered = new Set(this.#changes.filter((change) => change.inode === inode));
        await begin("sync");
        this.#changes = this.#changes.filter((change) => !covered.has(change));
        const fault = this.#fault("sync");
        if (fault !== undefined) throw systemError(fault.code, path);
        for (const change of covered) apply(inode.durable, change);
        this.watch("sync", path);
      },
      close: async () => {
        await begin("close");
        isOpen = false;
      },
    };
  }
}
