/** The machine of these tests' programs, as it was at first and as it is now. */

import { machine } from "../../../src/index.ts";

/** Counts how often each was applied: once, or something is wrong. */
interface OldEntry {
  readonly euros: number;
  readonly times: number;
}

/** Sums in euros. */
export const ledger1 = machine({
  name: "ledger",
  version: 1,
  state: () => ({ entries: new Map<string, OldEntry>() }),
  commands: {
    add(state, { id, euros }: { readonly id: string; readonly euros: number }) {
      const times = (state.entries.get(id)?.times ?? 0) + 1;
      state.entries.set(id, { euros, times });
      return times;
    },
  },
  queries: {
    entries: (state) => [...state.entries].map(([id, entry]) => ({ id, ...entry })),
  },
});

/** How an entry came to be what it is. */
export type Origin = "state of version 1" | "command of version 1" | "command of version 2";

interface Deposit {
  readonly id: string;
  readonly cents: number;
  readonly origin: Origin;
}

/** Sums in cents, with a command of another name. */
export const ledger2 = machine({
  name: "ledger",
  version: 2,
  state: () => ({ entries: new Map<string, Omit<Deposit, "id"> & { readonly times: number }>() }),
  commands: {
    deposit(state, { id, cents, origin }: Deposit) {
      const times = (state.entries.get(id)?.times ?? 0) + 1;
      state.entries.set(id, { cents, origin, times });
      return times;
    },
  },
  queries: {
    entries: (state) => [...state.entries].map(([id, entry]) => ({ id, ...entry })),
  },
  upgrade: {
    from: ledger1,
    state: ({ entries }: ReturnType<typeof ledger1.state>) => ({
      entries: new Map(
        [...entries].map(([id, { euros, times }]) => [
          id,
          { cents: euros * 100, origin: "state of version 1" as const, times },
        ]),
      ),
    }),
    command: (_name, args) => {
      const { id, euros } = args as { readonly id: string; readonly euros: number };
      return { name: "deposit", args: { id, cents: euros * 100, origin: "command of version 1" } };
    },
  },
});
