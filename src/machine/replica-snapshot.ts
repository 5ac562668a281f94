/**
 * The replicated state as pieces of bytes, each with a tag before it: first the sessions, then what has come of a backup
 * if one is being restored, then what the machine gave, and in the end the index that all of it belongs to. Giving a piece, or reading one, takes a moment only, however
 * many sessions there are.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import { type Outcome, readOutcome, writeOutcome } from "./commands.ts";
import type { Restoration, RestorationSnapshot } from "./restoration.ts";
import { firstKept, keep, newSession, type Session, type Sessions } from "./session.ts";
import { emptyTree } from "./tree.ts";

const Tag = { sessions: 1, sessionsEnd: 2, machine: 3, end: 4, restoration: 5, restorationPiece: 6 } as const;
const Item = { session: 1, outcome: 2 } as const;

/**
 * To be raised with every change of what is in the pieces of a state, here or in a machine of ours: two programs may run
 * side by side for a while, and must not be taken for parted because one of them writes the same state in another way.
 */
export const STATE_FORM = 1;

/** A piece of sessions ends once it holds this much. */
const PIECE_BYTES_MAX = 64 * 1024;

/** The state at one moment: all of it must stay as it is while the pieces are drawn. */
export interface StateParts {
  /** The latest time that any entry brought. */
  readonly timeMs: number;
  readonly sessions: Sessions;
  readonly restoration: RestorationSnapshot | null;
  readonly machine: Iterable<Uint8Array>;
}

export function* snapshotPieces(
  index: number,
  { timeMs, sessions, restoration, machine }: StateParts,
): Generator<Uint8Array> {
  let piece = sessionsPiece();
  for (const write of itemsOf(sessions)) {
    write(piece);
    if (piece.length < PIECE_BYTES_MAX) continue;
    yield piece.finish();
    piece = sessionsPiece();
  }
  yield piece.finish();
  if (restoration !== null) {
    yield tagged(Tag.restoration, restoration.head);
    for (const bytes of restoration.pieces) yield tagged(Tag.restorationPiece, bytes);
  }
  yield new ByteWriter(17).u8(Tag.sessionsEnd).u53(sessions.size).u53(timeMs).finish();
  let count = 0;
  for (const bytes of machine) {
    count++;
    yield tagged(Tag.machine, bytes);
  }
  yield new ByteWriter(17).u8(Tag.end).u53(count).u53(index).finish();
}

const tagged = (tag: number, bytes: Uint8Array): Uint8Array =>
  new ByteWriter(1 + bytes.byteLength).u8(tag).raw(bytes).finish();

const sessionsPiece = (): ByteWriter => new ByteWriter(PIECE_BYTES_MAX).u8(Tag.sessions);

/** Small ones, so that one session with many outcomes does not make one large piece. */
function* itemsOf(sessions: Sessions): Generator<(writer: ByteWriter) => void> {
  for (const [id, session] of sessions.entries()) {
    const { next, outcomes } = session;
    yield (writer) => writer.u8(Item.session).u53(id).u53(next);
    let number = firstKept(session);
    for (const outcome of outcomes) {
      yield (writer) => writeOutcome(writer.u8(Item.outcome).u53(number++), outcome);
    }
  }
}

/**
 * Reads what comes before the machine's pieces, which are left to be read.
 *
 * @param restoration goes on where the one was that is in the snapshot, if there is one
 * @throws RangeError, or what the machine throws, if the pieces are no snapshot
 */
export async function readHead(
  pieces: AsyncIterator<Uint8Array>,
  restoration: Restoration,
): Promise<Pick<StateParts, "timeMs" | "sessions">> {
  const sessions = new SessionsReader();
  let add: ((piece: Uint8Array) => void) | null = null;
  for (;;) {
    const reader = await nextPiece(pieces);
    const tag = reader.u8();
    if (tag === Tag.sessionsEnd) {
      const read = sessions.finish();
      checkCount("sessions", reader.u53(), read.size);
      return { timeMs: reader.u53(), sessions: read };
    }
    if (tag === Tag.sessions) sessions.read(reader);
    else if (tag === Tag.restoration) add = restoration.open(reader.raw(reader.remaining));
    else if (tag === Tag.restorationPiece && add !== null) add(reader.raw(reader.remaining));
    else throw new RangeError(`a piece with tag ${tag} stands among the sessions`);
  }
}

class SessionsReader {
  readonly #sessions: Sessions = emptyTree();
  /** The one that is being read, and the number of the command whose outcome comes next. */
  #session: Session | null = null;
  #number = 0;

  /** @throws RangeError if something is missing */
  finish(): Sessions {
    this.#endSession();
    return this.#sessions;
  }

  read(reader: ByteReader): void {
    while (reader.remaining > 0) {
      const item = reader.u8();
      const number = reader.u53();
      if (item === Item.session) {
        this.#endSession();
        this.#session = { ...newSession(0), next: reader.u53() };
        this.#sessions.set(number, this.#session);
      } else if (item === Item.outcome && this.#session !== null) {
        const { outcomes } = this.#session;
        if (outcomes.length > 0 && number !== this.#number) throw new RangeError("an outcome is out of order");
        keep(this.#session, ownOutcome(reader));
        this.#number = number + 1;
      } else throw new RangeError(`an item of kind ${item} stands among the sessions`);
    }
  }

  /** Its outcomes are those of its last commands. */
  #endSession(): void {
    const session = this.#session;
    if (session === null || session.outcomes.length === 0 || this.#number === session.next) return;
    throw new RangeError(`outcomes up to command ${this.#number} are given where ${session.next} is next`);
  }
}

/**
 * The machine's pieces of a snapshot: what a backup holds that another cluster can use, without the sessions, which are
 * those of the cluster that it came from.
 *
 * @throws RangeError if the pieces are no snapshot of that index, or what they end in
 */
export async function* machinePieces(pieces: AsyncIterable<Uint8Array>, index: number): AsyncGenerator<Uint8Array> {
  const iterator = pieces[Symbol.asyncIterator]();
  try {
    for (let isHead = true; isHead; ) isHead = (await nextPiece(iterator)).u8() !== Tag.sessionsEnd;
    yield* readMachine(iterator, index);
  } finally {
    await iterator.return?.();
  }
}

/** One that lets go of the piece that brought it. */
function ownOutcome(reader: ByteReader): Outcome {
  const outcome = readOutcome(reader);
  return outcome.type === "applied" ? { ...outcome, result: new Uint8Array(outcome.result) } : outcome;
}

/**
 * The machine's pieces. They end in an error unless they are all there, and belong to that index: who has read them to
 * their end may take the state for whole.
 */
export async function* readMachine(pieces: AsyncIterator<Uint8Array>, index: number): AsyncGenerator<Uint8Array> {
  for (let count = 0; ; count++) {
    const reader = await nextPiece(pieces);
    const tag = reader.u8();
    if (tag === Tag.machine) yield reader.raw(reader.remaining);
    else if (tag !== Tag.end) throw new RangeError(`a piece with tag ${tag} stands among those of the machine`);
    else {
      checkCount("pieces of the machine", reader.u53(), count);
      const own = reader.u53();
      if (own !== index) throw new RangeError(`a snapshot of entry ${own} was given as one of entry ${index}`);
      return;
    }
  }
}

function checkCount(what: string, written: number, read: number): void {
  if (written !== read) throw new RangeError(`the snapshot has ${written} ${what}, and ${read} were read`);
}

async function nextPiece(pieces: AsyncIterator<Uint8Array>): Promise<ByteReader> {
  const { done, value } = await pieces.next();
  if (done === true) throw new RangeError("the pieces of the snapshot end too early");
  return new ByteReader(value);
}
