/** The vocabulary of the Raft core: plain data, no behaviour. */

declare const brand: unique symbol;

/** A term: a period with at most one leader (paper, section 5.1). Terms start at 1; 0 means "none yet". */
export type Term = number & { readonly [brand]: "Term" };

/** The position of an entry in the log (paper, section 5.3). The first entry has index 1; 0 is "before the log". */
export type LogIndex = number & { readonly [brand]: "LogIndex" };

/** The name of a server in the cluster. */
export type NodeId = string;

export const term = (value: number): Term => value as Term;
export const logIndex = (value: number): LogIndex => value as LogIndex;

export const NO_TERM = term(0);
export const NO_INDEX = logIndex(0);

/** What an entry is for: a leader's opening no-op (thesis, section 6.4), a command, or who the members are (chapter 4). */
export const EntryKind = { noop: 0, command: 1, configuration: 2 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export const isEntryKind = (kind: number): kind is EntryKind =>
  kind === EntryKind.noop || kind === EntryKind.command || kind === EntryKind.configuration;

/** One entry of the replicated log. The payload is opaque to Raft, but for that of a configuration. */
export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly kind: EntryKind;
  readonly payload: Uint8Array;
}

/** What an entry costs beside its payload where bytes are counted: header fields on the wire, on disk and in memory. */
export const ENTRY_OVERHEAD_BYTES = 32;

export const entryBytes = (entry: Entry): number => entry.payload.byteLength + ENTRY_OVERHEAD_BYTES;

/**
 * What must survive a crash beside the log (paper, Figure 2, "persistent state on all servers"). The commit index
 * need not, but a remembered one lets a restarted node apply what it knew to be committed without waiting for a leader.
 */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commitIndex: LogIndex;
}

/** The fixed facts that one replica of the core works with. Times are in milliseconds. */
export interface RaftConfig {
  readonly id: NodeId;
  /** Tells this server from one that bore its name before, and has lost its disk since. */
  readonly incarnation: string;
  readonly heartbeatMs: number;
  /** An election timeout is drawn from [min, max) each time (paper, section 5.2). */
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  /** The longest wait before a pre-vote once the link to the leader is known to be lost, or a vote was split. */
  readonly evidenceDelayMaxMs: number;
  /** The most payload and overhead that one AppendEntries carries; a larger single entry travels alone. */
  readonly appendBytesMax: number;
  /** The most unacknowledged AppendEntries per follower. */
  readonly appendsInFlightMax: number;
  /** The most bytes of unacknowledged AppendEntries per follower. */
  readonly appendBytesInFlightMax: number;
  /** Entries beyond this many bytes that are applied and durable leave memory; followers that need them wait for the disk. */
  readonly logCacheBytesMax: number;
  /**
   * How much faster one clock of the cluster may run than another, as a share, if leaders may serve reads under a lease
   * (thesis, section 6.4.1); null if they may not. The same on all servers: each must keep to what the lease relies on.
   */
  readonly clockDriftMax: number | null;
}
