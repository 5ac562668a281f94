/**
 * Linearizable reads that see the whole log: what any replica had applied before such a read was asked was committed, so
 * whoever serves it must have applied that, too (thesis, 6.4). An ordinary read shows as much only where somebody has
 * just written what it reads.
 */

import { ByteReader, ByteWriter } from "../bytes.ts";
import type { StateMachine } from "../machine/index.ts";
import { decodeQuery } from "../machine/key-value-protocol.ts";
import { listening } from "./listening.ts";

const PREFIX = "probe-";

export class Probes {
  /** What was applied anywhere when each was asked, by the key that it reads. */
  readonly #needed = new Map<string, number>();
  #appliedIndex = 0;
  #finding: string | null = null;

  /** A key to read, and to read once only; nothing is ever stored there. */
  next(): string {
    const key = `${PREFIX}${this.#needed.size}`;
    this.#needed.set(key, this.#appliedIndex);
    return key;
  }

  /** The first probe that was served from the past; null if none was. */
  get finding(): string | null {
    return this.#finding;
  }

  /** A replica that is watched. Its snapshots say how far it is. */
  listenTo(machine: StateMachine): StateMachine {
    let appliedIndex = 0;
    const heard = listening(machine, (_command, { index }) => {
      appliedIndex = index;
      this.#appliedIndex = Math.max(this.#appliedIndex, appliedIndex);
    });
    return {
      ...heard,
      query: (bytes) => {
        const query = decodeQuery(bytes);
        const needed = query.op === "get" ? (this.#needed.get(query.key) ?? 0) : 0;
        if (appliedIndex < needed) {
          this.#finding ??= `a read is served at entry ${appliedIndex}, and entry ${needed} was applied before it was asked`;
        }
        return machine.query(bytes);
      },
      snapshot: () => withIndex(appliedIndex, machine.snapshot()),
      restore: async (pieces) => {
        const iterator = pieces[Symbol.asyncIterator]();
        const { done, value } = await iterator.next();
        if (done === true) throw new RangeError("the snapshot is empty");
        await machine.restore({ [Symbol.asyncIterator]: () => iterator });
        appliedIndex = new ByteReader(value).u53();
      },
    };
  }
}

function* withIndex(index: number, pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield new ByteWriter(8).u53(index).finish();
  yield* pieces;
}
