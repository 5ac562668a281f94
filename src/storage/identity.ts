/** Whose data a folder holds, and who the others were when they were last met. */

import { crc32 } from "node:zlib";
import * as v from "valibot";
import type { Disk, Environment } from "../environment.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import { segmentsAmong } from "./segment.ts";
import { readSmallFile, replaceSmallFile } from "./small-file.ts";

const FILE = "identity.json";
/**
 * What to do about a folder that can't be trusted. An older copy of it would be worse: the node would have forgotten
 * what it promised since, and nobody could tell.
 */
export const ADVICE =
  "Don't put an older copy in its place, which would have forgotten what this node has promised since: keep the node " +
  "down, the others go on without it as long as they are a majority.";

const identitySchema = v.strictObject({
  format: v.literal(1),
  cluster: v.string(),
  node: v.string(),
  /** Drawn when the folder was first used. A machine that lost its disk gets another one. */
  incarnation: v.string(),
  /**
   * The life of the cluster: another one if it had to be begun anew from a survivor; "" for the first, null if this node
   * has yet to join one.
   */
  epoch: v.nullable(v.string()),
  /** The members that the cluster began with, by name, address and priority; none for a node that joined one. */
  founders: v.array(v.tuple([v.string(), v.string(), v.number()])),
  /** Every other member has taken note of this incarnation. */
  admitted: v.boolean(),
  /** It was taken out of the cluster, and must not come back with this data. */
  removed: v.boolean(),
  /** The incarnations of the other members, as first met. */
  members: v.array(v.tuple([v.string(), v.string()])),
  /** Of the other fields: a damaged incarnation would make a stranger of this node, and its log unreadable. */
  checksum: v.number(),
});

type Stored = v.InferOutput<typeof identitySchema>;

/** Whose data a folder holds. */
export type Owner = Pick<Stored, "cluster" | "epoch" | "node" | "incarnation" | "admitted" | "removed">;

/** A member that the cluster begins with. */
export interface Founder {
  readonly id: string;
  readonly url: string;
  readonly priority: number;
}

/** How a life of the cluster begins that is not the first. */
export interface NewLife {
  readonly epoch: string;
  readonly incarnation: string;
  /** The node that begins it. */
  readonly founder: Founder;
}

/**
 * Whose data a folder holds, without claiming it; null if nobody's.
 *
 * @throws ConclaveError `DATA_CORRUPT`, `DISK_FAILED`
 */
export async function ownerOf(disk: Disk, folder: string): Promise<Owner | null> {
  const stored = await readStored(disk, folder);
  if (stored === null) return null;
  const { cluster, epoch, node, incarnation, admitted, removed } = stored;
  return { cluster, epoch, node, incarnation, admitted, removed };
}

/** Was this folder ever a node's? Damage shows only when it is read. */
export async function isNodeFolder(disk: Disk, folder: string): Promise<boolean> {
  const names = await disk.list(folder);
  return names.includes(FILE) || segmentsAmong(names).length > 0;
}

/** For checksums that the bytes of every replica of the cluster pass, and nobody else's. */
export const clusterSaltOf = ({ cluster }: Pick<Owner, "cluster">): number => crc32(cluster);

/** For checksums that no other replica's bytes pass. */
export const saltOf = ({ incarnation }: Pick<Owner, "incarnation">): number => crc32(incarnation);

async function readStored(disk: Disk, folder: string): Promise<Stored | null> {
  const bytes = await readable(folder, readSmallFile(disk, folder, FILE));
  if (bytes === null) {
    if (await hasLog(disk, folder)) {
      throw new ConclaveError("DATA_CORRUPT", `${folder} holds a log and no ${FILE}. ${ADVICE}`);
    }
    return null;
  }
  const stored = parse(bytes);
  if (stored === null) throw new ConclaveError("DATA_CORRUPT", `${folder}/${FILE} is damaged. ${ADVICE}`);
  return stored;
}

const hasLog = async (disk: Disk, folder: string): Promise<boolean> =>
  segmentsAmong(await readable(folder, disk.list(folder))).length > 0;

const readable = <T>(folder: string, reading: Promise<T>): Promise<T> =>
  reading.catch((cause: unknown) => {
    throw new ConclaveError("DISK_FAILED", `${folder} can't be read: ${messageOf(cause)}`, { cause });
  });

export class Identity {
  readonly #environment: Pick<Environment, "disk">;
  readonly #folder: string;
  #stored: Stored;
  /** Writes go one after the other. */
  #writing: Promise<void> = Promise.resolve();

  private constructor(environment: Pick<Environment, "disk">, folder: string, stored: Stored) {
    this.#environment = environment;
    this.#folder = folder;
    this.#stored = stored;
  }

  /**
   * Reads the identity in a folder, or makes one for an empty folder.
   *
   * @param founders the members that the cluster begins with, none if this node is to join one that has begun; they are
   *   written down, since whoever went by other ones later would count other majorities
   *
   * @throws ConclaveError `DATA_FOREIGN` if the folder is another node's, `DATA_CORRUPT` if that can't be told,
   * `DISK_FAILED`
   */
  static async open(
    environment: Pick<Environment, "disk" | "random">,
    folder: string,
    cluster: string,
    node: string,
    founders: readonly Founder[],
  ): Promise<Identity> {
    const stored = await readStored(environment.disk, folder);
    if (stored === null) {
      const incarnation = environment.random.id();
      const identity = new Identity(environment, folder, {
        format: 1,
        cluster,
        epoch: founders.length > 0 ? "" : null,
        node,
        incarnation,
        founders: founders.map(({ id, url, priority }) => [id, url, priority]),
        admitted: false,
        removed: false,
        members: [],
        checksum: 0,
      });
      await identity.#write();
      return identity;
    }
    if (stored.cluster !== cluster || stored.node !== node) {
      throw new ConclaveError(
        "DATA_FOREIGN",
        `${folder} holds the data of node ${stored.node} of cluster ${stored.cluster}, not of ${node} of ${cluster}: ` +
          "choose another data directory.",
      );
    }
    if (stored.members.length > 0 && !(await hasLog(environment.disk, folder))) {
      throw new ConclaveError("DATA_CORRUPT", `${folder} has lost its log. ${ADVICE}`);
    }
    return new Identity(environment, folder, stored);
  }

  get incarnation(): string {
    return this.#stored.incarnation;
  }

  /** See `clusterSaltOf`. */
  get clusterSalt(): number {
    return clusterSaltOf(this.#stored);
  }

  /** See `saltOf`. */
  get salt(): number {
    return saltOf(this.#stored);
  }

  /**
   * Is this the member that was met under this name before? One that is met for the first time is remembered, durably,
   * before the answer: whatever it then promises, it can't come back as somebody else.
   */
  async recognizes(member: string, incarnation: string): Promise<boolean> {
    const known = new Map(this.#stored.members).get(member);
    if (known !== undefined) return known === incarnation && this.#writing.then(() => true);
    this.#stored = { ...this.#stored, members: [...this.#stored.members, [member, incarnation]] };
    await this.#write();
    return true;
  }

  /** The incarnation that a member had when it was first met; null if it never was. */
  incarnationOf(member: string): string | null {
    return new Map(this.#stored.members).get(member) ?? null;
  }

  /** The members that the cluster began with. */
  get founders(): readonly Founder[] {
    return this.#stored.founders.map(([id, url, priority]) => ({ id, url, priority }));
  }

  /** The life of the cluster; "" for the first, null if this node has not joined one yet. */
  get epoch(): string | null {
    return this.#stored.epoch;
  }

  /** This node belongs to that life of the cluster from here on. */
  async enter(epoch: string): Promise<void> {
    if (epoch === this.#stored.epoch) return;
    this.#stored = { ...this.#stored, epoch };
    await this.#write();
  }

  /**
   * Another life of the cluster begins, with this node alone. To everybody else it is another one than before: what was
   * said to that one, or promised by it, is none of its business.
   */
  async beginAnew({ epoch, incarnation, founder }: NewLife): Promise<void> {
    const { id, url, priority } = founder;
    const founders: Stored["founders"] = [[id, url, priority]];
    this.#stored = { ...this.#stored, epoch, incarnation, founders, admitted: true, members: [] };
    await this.#write();
  }

  /** It was taken out of the cluster. */
  get isRemoved(): boolean {
    return this.#stored.removed;
  }

  /** From here on it stays out. */
  async leave(): Promise<void> {
    this.#stored = { ...this.#stored, removed: true };
    await this.#write();
  }

  /** Has every other member once taken note of this incarnation? */
  get isAdmitted(): boolean {
    return this.#stored.admitted;
  }

  /** They have, and from here on it holds for ever. */
  async admit(): Promise<void> {
    this.#stored = { ...this.#stored, admitted: true };
    await this.#write();
  }

  #write(): Promise<void> {
    this.#writing = this.#writing.then(() => {
      const stored = { ...this.#stored, checksum: checksumOf(this.#stored) };
      const content = new TextEncoder().encode(`${JSON.stringify(stored, null, 2)}\n`);
      return replaceSmallFile(this.#environment.disk, this.#folder, FILE, content).catch((cause: unknown) => {
        throw new ConclaveError("DISK_FAILED", `${this.#folder}/${FILE} can't be written: ${messageOf(cause)}`, {
          cause,
        });
      });
    });
    return this.#writing;
  }
}

function parse(bytes: Uint8Array): Stored | null {
  try {
    const result = v.safeParse(identitySchema, JSON.parse(new TextDecoder().decode(bytes)));
    return result.success && result.output.checksum === checksumOf(result.output) ? result.output : null;
  } catch {
    return null;
  }
}

const checksumOf = ({ checksum: _, ...fields }: Stored): number =>
  crc32(
    JSON.stringify(
      Object.entries(fields)
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([, value]) => value),
    ),
  );
