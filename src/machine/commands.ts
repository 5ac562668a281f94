/**
 * What the payload of a log entry says, and what its application answers: the part of the protocol between client and
 * replicated state that Raft carries unread.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";

/** Commands of one client, in the order in which it issued them. */
export interface CommandBatch {
  /** `restoration`: they are none of the machine's, but the steps by which a backup is restored. */
  readonly type: "commands" | "restoration";
  /** The time of day at which a leader took it in, in milliseconds since 1970; 0 before that. */
  readonly timeMs?: number;
  /** The log index of the entry that opened the session. */
  readonly session: number;
  /** The client waits for no answer before this number any more. */
  readonly floor: number;
  /** The number of the first command; the others follow it. The first of a session is 1. */
  readonly first: number;
  readonly commands: readonly Uint8Array[];
}

export type Payload =
  | CommandBatch
  /** Opens a session; its id is the index of this entry. */
  | { readonly type: "open-session" }
  /** Ends sessions that have been idle; one that was used after the leader looked stays. */
  | { readonly type: "expire-sessions"; readonly sessions: readonly { readonly id: number; readonly next: number }[] }
  /** Timers that have run out; one that was set anew or cancelled after the leader looked does nothing. */
  | { readonly type: "fire-timers"; readonly timeMs: number; readonly timers: readonly FiredTimer[] }
  /** From here on a machine of that name is there, in that version. */
  | { readonly type: "activate"; readonly name: string; readonly version: number }
  /** Replicas compare the state that they have here. It changes nothing. */
  | { readonly type: "compare" };

/** A timer of a machine, and which setting of it is meant. */
export interface FiredTimer {
  readonly id: string;
  readonly generation: number;
}

const PayloadKind = {
  commands: 1,
  openSession: 2,
  expireSessions: 3,
  restoration: 4,
  fireTimers: 5,
  activate: 6,
  compare: 7,
} as const;

/** Where the time stands in a batch: at the same place in each, so that it can be filled in where it arrived. */
const TIME_AT = 1;
const TIME_BYTES = 8;

/** The one payload that comes from clients. */
export function encodeBatch({ type, timeMs = 0, session, floor, first, commands }: CommandBatch): Uint8Array {
  const bytes = commands.reduce((sum, command) => sum + 4 + command.byteLength, 0);
  const writer = new ByteWriter(37 + bytes).u8(PayloadKind[type]).u53(timeMs);
  writer.u53(session).u53(floor).u53(first).u32(commands.length);
  for (const command of commands) writer.bytes(command);
  return writer.finish();
}

export function encodePayload(payload: Payload): Uint8Array {
  switch (payload.type) {
    case "commands":
    case "restoration":
      return encodeBatch(payload);
    case "open-session":
      return new ByteWriter(1).u8(PayloadKind.openSession).finish();
    case "expire-sessions": {
      const writer = new ByteWriter().u8(PayloadKind.expireSessions).u32(payload.sessions.length);
      for (const { id, next } of payload.sessions) writer.u53(id).u53(next);
      return writer.finish();
    }
    case "fire-timers": {
      const writer = new ByteWriter().u8(PayloadKind.fireTimers).u53(payload.timeMs).u32(payload.timers.length);
      for (const { id, generation } of payload.timers) writer.text(id).u53(generation);
      return writer.finish();
    }
    case "activate":
      return new ByteWriter().u8(PayloadKind.activate).text(payload.name).u32(payload.version).finish();
    case "compare":
      return new ByteWriter(1).u8(PayloadKind.compare).finish();
  }
}

/** @throws RangeError if the bytes are no payload */
export function decodePayload(bytes: Uint8Array): Payload {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  if (kind === PayloadKind.openSession || kind === PayloadKind.compare) {
    reader.end();
    return { type: kind === PayloadKind.compare ? "compare" : "open-session" };
  }
  if (kind === PayloadKind.expireSessions) {
    const sessions = Array.from({ length: countOf(reader, 16) }, () => ({ id: reader.u53(), next: reader.u53() }));
    reader.end();
    return { type: "expire-sessions", sessions };
  }
  if (kind === PayloadKind.fireTimers) {
    const timeMs = reader.u53();
    const timers: FiredTimer[] = [];
    for (let left = countOf(reader, 12); left > 0; left--) timers.push({ id: reader.text(), generation: reader.u53() });
    reader.end();
    return { type: "fire-timers", timeMs, timers };
  }
  if (kind === PayloadKind.activate) {
    const activation = { type: "activate", name: reader.text(), version: reader.u32() } as const;
    reader.end();
    return activation;
  }
  const type = batchType(kind);
  if (type === null) throw new RangeError(`a payload of kind ${kind} is not known`);
  const timeMs = reader.u53();
  const session = reader.u53();
  const floor = reader.u53();
  const first = reader.u53();
  const commands: Uint8Array[] = [];
  for (let left = countOf(reader, 4); left > 0; left--) commands.push(reader.bytes());
  reader.end();
  return { type, timeMs, session, floor, first, commands };
}

/** Writes into a batch when it was taken in: where its bytes are, since to copy them would cost more than all else. */
export function stampTime(batch: Uint8Array, timeMs: number): void {
  batch.set(new ByteWriter(TIME_BYTES).u53(timeMs).finish(), TIME_AT);
}

const batchType = (kind: number): CommandBatch["type"] | null =>
  kind === PayloadKind.commands ? "commands" : kind === PayloadKind.restoration ? "restoration" : null;

/** What stands before the commands of a batch, and how many there are. */
export interface BatchHead extends Omit<CommandBatch, "commands" | "type" | "timeMs"> {
  readonly count: number;
}

/**
 * Looks a batch through without taking it apart; null if the bytes are another payload.
 *
 * @throws RangeError if they are a batch, and not a whole one
 */
export function headOf(bytes: Uint8Array): BatchHead | null {
  const reader = new ByteReader(bytes);
  if (batchType(reader.u8()) === null) return null;
  reader.u53(); // The time; the leader fills it in.
  const session = reader.u53();
  const floor = reader.u53();
  const first = reader.u53();
  const count = countOf(reader, 4);
  for (let left = count; left > 0; left--) reader.skip(reader.u32());
  reader.end();
  return { session, floor, first, count };
}

/** How one command of a batch ended. */
export type Outcome =
  | { readonly type: "applied"; readonly result: Uint8Array }
  /** A command before it is missing: send both again. Nothing was changed. */
  | { readonly type: "gap" }
  /** It was applied before, or skipped by its client, and its result is kept no more. */
  | { readonly type: "forgotten" }
  /** The machine threw. */
  | { readonly type: "failed" };

/** What applying a payload answers. */
export type Applied =
  | { readonly type: "outcomes"; readonly outcomes: readonly Outcome[] }
  | { readonly type: "session-opened"; readonly session: number }
  | { readonly type: "session-unknown" }
  | { readonly type: "sessions-expired"; readonly count: number }
  | { readonly type: "timers-fired" }
  | { readonly type: "activated" }
  | { readonly type: "comparing" };

const OutcomeKind = { applied: 0, gap: 1, forgotten: 2, failed: 3 } as const;
const OUTCOME_TYPES = ["applied", "gap", "forgotten", "failed"] as const;

export function writeOutcome(writer: ByteWriter, outcome: Outcome): void {
  writer.u8(OutcomeKind[outcome.type]);
  if (outcome.type === "applied") writer.bytes(outcome.result);
}

/** The result is a slice of what is read, not a copy. @throws RangeError if the bytes are no outcome */
export function readOutcome(reader: ByteReader): Outcome {
  const kind = reader.u8();
  const type = OUTCOME_TYPES[kind];
  if (type === undefined) throw new RangeError(`an outcome of kind ${kind} is not known`);
  return type === "applied" ? { type, result: reader.bytes() } : { type };
}

const outcomeBytes = (outcome: Outcome): number => (outcome.type === "applied" ? 5 + outcome.result.byteLength : 1);

export function encodeOutcomes(outcomes: readonly Outcome[]): Uint8Array {
  const bytes = outcomes.reduce((sum, outcome) => sum + outcomeBytes(outcome), 4);
  const writer = new ByteWriter(bytes).u32(outcomes.length);
  for (const outcome of outcomes) writeOutcome(writer, outcome);
  return writer.finish();
}

/** @throws RangeError if the bytes are no outcomes */
export function decodeOutcomes(bytes: Uint8Array): Outcome[] {
  const reader = new ByteReader(bytes);
  const outcomes: Outcome[] = [];
  for (let left = countOf(reader, 1); left > 0; left--) outcomes.push(readOutcome(reader));
  reader.end();
  return outcomes;
}

/** A list of byte strings: queries, or their answers. */
export function encodeList(items: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter(items.reduce((sum, item) => sum + 4 + item.byteLength, 4)).u32(items.length);
  for (const item of items) writer.bytes(item);
  return writer.finish();
}

/** @throws RangeError if the bytes are no list, or one of more than `countMax` items */
export function decodeList(bytes: Uint8Array, countMax: number): Uint8Array[] {
  const reader = new ByteReader(bytes);
  const count = countOf(reader, 4);
  if (count > countMax) throw new RangeError(`${count} are too many: at most ${countMax} may share a message`);
  const items: Uint8Array[] = [];
  for (let left = count; left > 0; left--) items.push(reader.bytes());
  reader.end();
  return items;
}

/** A count that the bytes at hand can hold: a forged one must not make anyone allocate. */
function countOf(reader: ByteReader, itemBytesMin: number): number {
  const count = reader.u32();
  if (count * itemBytesMin > reader.remaining) throw new RangeError("the bytes end too early");
  return count;
}
