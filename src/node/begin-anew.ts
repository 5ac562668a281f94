/**
 * The majority of a cluster is lost for good: its machines are gone, or their disks are. What one survivor holds is made
 * a new cluster of one, offline, by a person who has decided that. It is another life of the cluster: the nodes of the
 * life before have no links with it, so that they can't vote in it, and what they say counts for nothing.
 */

import { normalUrl } from "../actor/index.ts";
import type { Disk } from "../environment.ts";
import { ConclaveError } from "../errors.ts";
import { Replica } from "../machine/index.ts";
import {
  bootstrap,
  type Configuration,
  EntryKind,
  encodeConfiguration,
  type LogIndex,
  logIndex,
  memberNamed,
  NO_INDEX,
  NO_TERM,
  type Raft,
  type Snapshot,
} from "../raft/index.ts";
import { type Identity, ownerOf, prepareLife, SnapshotStore, Wal } from "../storage/index.ts";
import { snapshotOf } from "./snapshot-transfer.ts";
import type { NodeOptions } from "./start.ts";
import { Recovery, toEntry } from "./stored.ts";

/** A new cluster was begun from this node's data. */
export interface BegunAnewStory {
  readonly event: "begun-anew";
  /** The life of the cluster that begins. */
  readonly epoch: string;
  /** Who belonged to the one before, beside this node. */
  readonly others: readonly string[];
  /** Where this node's log ended, and what of it was known to be committed. */
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  /** The entry at which this node's state was another than the majority's, if it never got theirs. */
  readonly divergedAt: number | null;
  /** Where the new one begins. */
  readonly term: number;
  readonly index: number;
}

/**
 * Terms and indices of the new cluster begin so far behind this node's that the lost ones have not given them out: an
 * index names the session of one client alone, and of two leaders the one of the higher term is believed.
 */
const LEAP = 1_000_000;

/** How much of a log is read at a time. */
const READ_BYTES_MAX = 1024 * 1024;

/**
 * Does the person who starts a node want what this folder allows? A cluster is not begun anew by a flag that was left
 * standing where it was: it has to name the node, and if the cluster was begun anew before, the life that is to end.
 *
 * @throws ConclaveError `INVALID_ARGUMENT` with what to say instead, `DATA_CORRUPT`, `DISK_FAILED`
 */
export async function checkBeginsAnew(disk: Disk, folder: string, id: string, wish: string): Promise<void> {
  const owner = await ownerOf(disk, folder);
  if (owner === null || owner.epoch === null) {
    throw refused(
      `${folder} holds the data of no node that has belonged to a cluster: there is nothing to go on from.`,
    );
  }
  const { epoch } = owner;
  const expected = epoch === "" ? id : `${id}:${epoch}`;
  if (wish === expected) return;
  if (epoch === "") {
    throw refused(`To begin a new cluster from the data of ${id} alone, say --force-new-cluster ${expected}.`);
  }
  throw refused(
    `The cluster of ${id} was begun anew already: start it without --force-new-cluster. Only if the majority of this ` +
      `one is lost for good, too, say --force-new-cluster ${expected}.`,
  );
}

/**
 * Makes one snapshot of all that this node has, committed or not, with a configuration of this node alone, and then
 * begins the new life of its cluster with it.
 *
 * @throws ConclaveError `INVALID_ARGUMENT` if there is nothing to go on from, `DATA_CORRUPT`, `DISK_FULL`, `DISK_FAILED`
 */
export async function beginAnew(options: NodeOptions, identity: Identity, url: string): Promise<BegunAnewStory> {
  const { environment, dataFolder: folder, id, limits, tell } = options;
  const { disk, clock, random } = environment;
  const store = await SnapshotStore.open(disk, folder, { salt: identity.clusterSalt });
  const before = store.latest === null ? beginning(identity) : snapshotOf(store.latest);
  const recovery = new Recovery(before, limits.logCacheBytesMax);
  const wal = await Wal.open(
    disk,
    folder,
    { salt: identity.salt, segmentBytesMax: limits.segmentBytesMax, reserveBytes: 0, clock },
    recovery,
  );
  try {
    const { hardState, log, configurations } = recovery.recovered;
    const replica = new Replica(options.machine, (index, error) => tell({ event: "machine-failed", index, error }));
    if (before.index > 0) await replica.restore(before.index, store.read(before.index));
    await applyAll(replica, log, wal);
    const { lastIndex, lastTerm } = log;
    if (lastIndex === 0) throw refused(`${folder} holds no entry: there is nothing to go on from.`);
    const { configuration } = configurations.at(-1) ?? before;
    const begins = {
      epoch: random.id(),
      incarnation: random.id(),
      founder: { id, url: normalUrl(url), priority: memberNamed(configuration, id)?.priority ?? 0 },
    };
    const index = lastIndex + LEAP;
    const term = Math.max(hardState.term, lastTerm) + LEAP;
    replica.leap(index);
    const place = { disk, folder, salt: identity.clusterSalt };
    const header = { index, term, configuration: encodeConfiguration(ofOne(begins)) };
    await prepareLife(place, begins.epoch, header, replica.snapshot().pieces);
    await identity.beginAnew(begins);
    return {
      event: "begun-anew",
      epoch: begins.epoch,
      others: configuration.members.flatMap((member) => (member.id === id ? [] : [member.id])),
      lastTerm,
      lastIndex,
      commitIndex: Math.max(hardState.commitIndex, before.index),
      divergedAt: store.distrustedAt,
      term,
      index,
    };
  } finally {
    await wal.close();
  }
}

/** Where a node stands that has taken no snapshot yet: before everything, among those that the cluster begins with. */
export const beginning = (identity: Identity): Snapshot => ({
  index: NO_INDEX,
  term: NO_TERM,
  configuration: bootstrap(identity.founders),
});

type Begins = Parameters<Identity["beginAnew"]>[0];

const ofOne = ({ founder, incarnation }: Begins): Configuration => ({
  members: bootstrap([founder]).members.map((member) => ({ ...member, incarnation })),
});

/** Whether an entry was committed nobody may be left to say: what is here is kept. */
async function applyAll(replica: Replica, log: Raft["log"], wal: Wal): Promise<void> {
  const termAt = (index: number): number | null => log.termAt(logIndex(index));
  const next = (): LogIndex => logIndex(replica.appliedIndex + 1);
  while (replica.appliedIndex < log.lastIndex) {
    const entries =
      log.slice(next(), READ_BYTES_MAX) ?? (await wal.read(next(), log.lastIndex, READ_BYTES_MAX, termAt)).map(toEntry);
    for (const { index, kind, payload } of entries) replica.apply(index, kind === EntryKind.command ? payload : null);
  }
}

const refused = (message: string): ConclaveError => new ConclaveError("INVALID_ARGUMENT", message);
