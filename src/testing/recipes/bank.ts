/**
 * A machine that shows what it was done to: money moves and none is made or lost; what it emits is numbered in its state;
 * and what it answers would differ if replicas knew or drew anything of their own.
 */

import { type CommandContext, changesOf, machine, Rejection } from "../../machine/definition.ts";

export const ACCOUNTS: readonly string[] = ["ann", "bob", "eve"];
export const START = 100;

/** Something that has happened: the how-manieth of all, and of those to its topic, which is the account. */
export interface BankChange {
  readonly number: number;
  readonly numberOfTopic: number;
  readonly what: "transfer" | "pledge" | "return" | "redeem";
}

interface Pledge {
  readonly from: string;
  readonly amount: number;
}

interface State {
  readonly accounts: Map<string, number>;
  /** What goes back to where it came from, unless somebody redeems it in time. */
  readonly pledges: Map<string, Pledge>;
  /** How many changes were emitted, and how many of them to each topic. */
  emitted: number;
  readonly emittedTo: Map<string, number>;
}

type Context = CommandContext<BankChange>;

/** What all replicas have to agree on. */
export interface Receipt {
  readonly number: number;
  readonly token: number;
  readonly id: string;
  readonly timeMs: number;
  readonly drawn: number;
}

export interface Books {
  readonly accounts: readonly (readonly [string, number])[];
  readonly pledged: number;
  readonly emitted: number;
}

/** Few, so that some who subscribe fall behind. */
const CHANGES_MAX = 20;

const begin = (): State => ({
  accounts: new Map(ACCOUNTS.map((name) => [name, START])),
  pledges: new Map(),
  emitted: 0,
  emittedTo: new Map(),
});

function tell(state: State, topic: string, what: BankChange["what"], context: Context): number {
  const number = ++state.emitted;
  const numberOfTopic = (state.emittedTo.get(topic) ?? 0) + 1;
  state.emittedTo.set(topic, numberOfTopic);
  context.emit({ number, numberOfTopic, what }, topic);
  return number;
}

/** What was done so far is undone if there is not enough. */
function take({ accounts }: State, from: string, amount: number): () => void {
  const left = (accounts.get(from) ?? 0) - amount;
  accounts.set(from, left);
  return () => {
    if (left < 0) throw new Rejection("INSUFFICIENT_FUNDS", { left });
  };
}

const give = ({ accounts }: State, to: string, amount: number): void =>
  void accounts.set(to, (accounts.get(to) ?? 0) + amount);

const receipt = (number: number, context: Context): Receipt => ({
  number,
  token: context.token(),
  id: context.id(),
  timeMs: context.timeMs,
  drawn: context.random(),
});

const commands = {
  /** Refuses at the very end, when all is done. */
  transfer(
    state: State,
    { from, to, amount }: { readonly from: string; readonly to: string; readonly amount: number },
    context: Context,
  ): Receipt {
    const check = take(state, from, amount);
    give(state, to, amount);
    const number = tell(state, from, "transfer", context);
    check();
    return receipt(number, context);
  },

  /** Puts something aside for a while. */
  pledge(
    state: State,
    { from, amount, forMs }: { readonly from: string; readonly amount: number; readonly forMs: number },
    context: Context,
  ): Receipt {
    const check = take(state, from, amount);
    const made = receipt(tell(state, from, "pledge", context), context);
    state.pledges.set(made.id, { from, amount });
    context.setTimer(made.id, forMs, "giveBack", made.id);
    check();
    return made;
  },

  /** It has its time once more. */
  prolong(state: State, { id, forMs }: { readonly id: string; readonly forMs: number }, context: Context): boolean {
    if (!state.pledges.has(id)) return false;
    context.setTimer(id, forMs, "giveBack", id);
    return true;
  },

  redeem(state: State, { id, to }: { readonly id: string; readonly to: string }, context: Context): Receipt | null {
    const pledge = state.pledges.get(id);
    if (pledge === undefined) return null;
    state.pledges.delete(id);
    context.clearTimer(id);
    give(state, to, pledge.amount);
    return receipt(tell(state, to, "redeem", context), context);
  },

  /** Its time is over. */
  giveBack(state: State, id: string, context: Context): void {
    const pledge = state.pledges.get(id);
    if (pledge === undefined) throw new Rejection("NO_SUCH_PLEDGE");
    state.pledges.delete(id);
    give(state, pledge.from, pledge.amount);
    tell(state, pledge.from, "return", context);
  },
};

const queries = {
  books: ({ accounts, pledges, emitted }: State): Books => ({
    accounts: [...accounts],
    pledged: [...pledges.values()].reduce((sum, { amount }) => sum + amount, 0),
    emitted,
  }),
};

const changes = changesOf<BankChange>({ countMax: CHANGES_MAX });

/** As it was at first: whoever has money could be asked for it under any name. */
export const oldBank = machine({ name: "bank", version: 1, state: begin, commands, queries, changes });

/** As it is now, with one more field, and transfers in two parts. */
export const bank = machine({
  name: "bank",
  version: 2,
  state: () => ({ ...begin(), since: 2 }),
  changes,
  commands: {
    ...commands,
    move: (
      state: State,
      { from, to, amounts }: { readonly from: string; readonly to: string; readonly amounts: readonly number[] },
      context: Context,
    ) => commands.transfer(state, { from, to, amount: amounts.reduce((sum, one) => sum + one, 0) }, context),
  },
  queries,
  upgrade: {
    from: oldBank,
    state: (old: State) => ({ ...old, since: 1 }),
    command: (name, args) => {
      if (name !== "transfer") return { name, args };
      const { from, to, amount } = args as { from: string; to: string; amount: number };
      return { name: "move", args: { from, to, amounts: [amount - 1, 1] } };
    },
  },
});
