/**
 * Could the answers that clients got have come from one register per key, with every call taking effect at one moment
 * between its start and its end? An independent check: it knows nothing of Raft (Wing and Gong's search, with Lowe's
 * memory of the states already seen; keys are checked apart, which is sound because linearizability is local).
 */

/** What a call did to its key, and what it answered. */
export type Operation =
  | { readonly type: "write"; readonly value: string }
  | { readonly type: "read"; readonly value: string | null }
  | { readonly type: "cas"; readonly expected: string; readonly value: string; readonly swapped: boolean | null }
  | { readonly type: "append"; readonly text: string };

export interface Call {
  readonly client: number;
  readonly key: string;
  readonly startMs: number;
  /** Infinity if no answer came: then it may have taken effect at any time since its start, or never. */
  readonly endMs: number;
  readonly operation: Operation;
}

/** Whether the operation may happen in this state, and the state after it. */
function apply(state: string | null, { operation, endMs }: Call): { readonly state: string | null } | null {
  const isKnown = endMs !== Number.POSITIVE_INFINITY;
  switch (operation.type) {
    case "write":
      return { state: operation.value };
    case "append":
      return { state: (state ?? "") + operation.text };
    case "read":
      return !isKnown || operation.value === state ? { state } : null;
    case "cas": {
      const swaps = state === operation.expected;
      if (isKnown && operation.swapped !== swaps) return null;
      return { state: swaps ? operation.value : state };
    }
  }
}

/** The calls of one key that no order explains; null if there is one that does. */
function explain(calls: readonly Call[]): boolean {
  const ordered = [...calls].sort((a, b) => a.startMs - b.startMs);
  const seen = new Set<string>();
  const taken = new Array<boolean>(ordered.length).fill(false);
  const known = ordered.filter(({ endMs }) => endMs !== Number.POSITIVE_INFINITY).length;
  const search = (state: string | null, done: number): boolean => {
    if (done === known) return true; // What has no answer need not have happened.
    const signature = `${taken.map((isTaken) => (isTaken ? 1 : 0)).join("")}:${state ?? "\u0000"}`;
    if (seen.has(signature)) return false;
    seen.add(signature);
    // A call may come next if no other that is left had ended before it began.
    let firstEndMs = Number.POSITIVE_INFINITY;
    for (const [i, call] of ordered.entries()) if (!taken[i]) firstEndMs = Math.min(firstEndMs, call.endMs);
    for (const [i, call] of ordered.entries()) {
      if (taken[i] || call.startMs > firstEndMs) continue;
      const next = apply(state, call);
      if (next === null) continue;
      taken[i] = true;
      if (search(next.state, done + (call.endMs === Number.POSITIVE_INFINITY ? 0 : 1))) return true;
      taken[i] = false;
    }
    return false;
  };
  return search(null, 0);
}

/** The keys whose history is not linearizable. */
export function unexplained(history: readonly Call[]): string[] {
  const keys = new Set(history.map(({ key }) => key));
  return [...keys].filter((key) => !explain(history.filter((call) => call.key === key)));
}
