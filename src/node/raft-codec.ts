/**
 * Raft messages as bytes. What is decoded here has passed every check that does not need the log, so that the core
 * meets only messages that some server could have sent.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import {
  decodeConfiguration,
  type Entry,
  EntryKind,
  isEntryKind,
  type LogIndex,
  logIndex,
  type Message,
  type Term,
  term,
  type VoteRefusal,
} from "../raft/index.ts";

const MESSAGE_TYPES = [
  "vote-request",
  "vote-response",
  "append-request",
  "append-accepted",
  "append-rejected",
  "heartbeat-request",
  "heartbeat-response",
  "timeout-now",
  "snapshot-offer",
  "read-request",
  "read-response",
] as const satisfies readonly Message["type"][];

const REFUSALS = [
  null,
  "leader-is-alive",
  "voted-for-another",
  "log-behind",
  "term-behind",
] as const satisfies readonly (VoteRefusal | null)[];

const Flag = { preVote: 1, transfer: 2 } as const;
const ENTRY_BYTES_MIN = 13;

export function encodeMessage(message: Message): Uint8Array {
  const payload = message.type === "append-request" ? payloadBytes(message.entries) : 0;
  const writer = new ByteWriter(48 + payload).u8(MESSAGE_TYPES.indexOf(message.type)).u53(message.term);
  switch (message.type) {
    case "vote-request":
      writer.u8((message.preVote ? Flag.preVote : 0) | (message.transfer ? Flag.transfer : 0));
      writer.u53(message.lastLogIndex).u53(message.lastLogTerm);
      break;
    case "vote-response":
      writer.u8(message.preVote ? Flag.preVote : 0).u8(REFUSALS.indexOf(message.refusal));
      break;
    case "append-request":
      writer.u53(message.prevLogIndex).u53(message.prevLogTerm).u53(message.leaderCommit).u32(message.entries.length);
      for (const entry of message.entries) writer.u53(entry.term).u8(entry.kind).bytes(entry.payload);
      break;
    case "append-accepted":
      writer.u53(message.matchIndex);
      break;
    case "append-rejected":
      writer.u53(message.prevLogIndex).u53(message.conflictTerm).u53(message.conflictIndex);
      break;
    case "heartbeat-request":
      writer.u53(message.round).u53(message.commitIndex);
      break;
    case "heartbeat-response":
      writer.u53(message.round);
      break;
    case "timeout-now":
      break;
    case "snapshot-offer":
      writer.u53(message.lastIndex).u53(message.lastTerm);
      break;
    case "read-request":
      writer.u53(message.id);
      break;
    case "read-response":
      writer.u53(message.id).u53(message.index);
      break;
  }
  return writer.finish();
}

const payloadBytes = (entries: readonly Entry[]): number =>
  entries.reduce((sum, entry) => sum + ENTRY_BYTES_MIN + entry.payload.byteLength, 0);

/** @throws RangeError if the bytes are no message that a server could send */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const message = read(reader);
  reader.end();
  return message;
}

function read(reader: ByteReader): Message {
  const type = MESSAGE_TYPES[reader.u8()];
  if (type === undefined) throw new RangeError("a Raft message of an unknown kind");
  const messageTerm = readTerm(reader);
  switch (type) {
    case "vote-request": {
      const flags = reader.u8();
      return {
        type,
        term: messageTerm,
        preVote: (flags & Flag.preVote) !== 0,
        transfer: (flags & Flag.transfer) !== 0,
        lastLogIndex: readIndex(reader),
        lastLogTerm: readTerm(reader),
      };
    }
    case "vote-response": {
      const preVote = (reader.u8() & Flag.preVote) !== 0;
      const refusal = REFUSALS[reader.u8()];
      if (refusal === undefined) throw new RangeError("a refusal of an unknown kind");
      return { type, term: messageTerm, preVote, refusal };
    }
    case "append-request": {
      const prevLogIndex = readIndex(reader);
      const prevLogTerm = readTerm(reader);
      const leaderCommit = readIndex(reader);
      const entries = readEntries(reader, messageTerm, prevLogIndex, prevLogTerm);
      return { type, term: messageTerm, prevLogIndex, prevLogTerm, leaderCommit, entries };
    }
    case "append-accepted":
      return { type, term: messageTerm, matchIndex: readIndex(reader) };
    case "append-rejected": {
      const prevLogIndex = readIndex(reader);
      const conflictTerm = readTerm(reader);
      return { type, term: messageTerm, prevLogIndex, conflictTerm, conflictIndex: readIndex(reader) };
    }
    case "heartbeat-request": {
      const round = reader.u53();
      return { type, term: messageTerm, round, commitIndex: readIndex(reader) };
    }
    case "heartbeat-response":
      return { type, term: messageTerm, round: reader.u53() };
    case "timeout-now":
      return { type, term: messageTerm };
    case "snapshot-offer": {
      const lastIndex = readIndex(reader);
      const lastTerm = readTerm(reader);
      if (lastIndex < 1 || lastTerm > messageTerm) throw new RangeError("a snapshot of nothing, or from the future");
      return { type, term: messageTerm, lastIndex, lastTerm };
    }
    case "read-request":
      return { type, term: messageTerm, id: reader.u53() };
    case "read-response": {
      const id = reader.u53();
      return { type, term: messageTerm, id, index: readIndex(reader) };
    }
  }
}

const readTerm = (reader: ByteReader): Term => term(reader.u53());
const readIndex = (reader: ByteReader): LogIndex => logIndex(reader.u53());

/** Indices follow from the first, and terms never fall along a log nor pass the sender's. */
function readEntries(reader: ByteReader, senderTerm: Term, prevLogIndex: LogIndex, prevLogTerm: Term): Entry[] {
  const count = reader.u32();
  if (count * ENTRY_BYTES_MIN > reader.remaining) throw new RangeError("the bytes end too early");
  if (prevLogIndex + count > Number.MAX_SAFE_INTEGER) throw new RangeError("an index is past the safe integers");
  if (prevLogTerm > senderTerm) throw new RangeError("an entry's term is out of order");
  const entries: Entry[] = [];
  let previous = prevLogTerm;
  for (let i = 1; i <= count; i++) {
    const entryTerm = readTerm(reader);
    const kind = reader.u8();
    if (!isEntryKind(kind)) throw new RangeError("an entry of an unknown kind");
    if (entryTerm < previous || entryTerm > senderTerm) throw new RangeError("an entry's term is out of order");
    const payload = reader.bytes();
    if (kind === EntryKind.configuration) decodeConfiguration(payload); // The core reads it without asking again.
    entries.push({ index: logIndex(prevLogIndex + i), term: entryTerm, kind, payload });
    previous = entryTerm;
  }
  return entries;
}
