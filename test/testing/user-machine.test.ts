/** A state machine that is not ours, simulated with a workload of its own, as a user of `conclave/testing` would. */

import * as assert from "uvu/assert";
import { ConclaveError, type StateMachine } from "../../src/index.ts";
import { type NewWorkload, type SimulationResult, simulate } from "../../src/testing/index.ts";
import { suite } from "../support/suite.ts";

const test = suite("testing: a user's machine");

const ACCOUNTS = ["ann", "bob", "eve"];
const START = 100;
const EVENTS = 4_000;

interface Transfer {
  readonly from: string;
  readonly to: string;
  readonly amount: number;
}

type Balances = Record<string, number>;

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const decode = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes));

/** Accounts between which money moves, and none is made or lost. What a transfer arrives as is for `arriving` to say. */
class Bank implements StateMachine {
  #balances: Balances = Object.fromEntries(ACCOUNTS.map((name) => [name, START]));
  readonly #arriving: (amount: number) => number;

  constructor(arriving = (amount: number) => amount) {
    this.#arriving = arriving;
  }

  apply(command: Uint8Array): Uint8Array {
    const { from, to, amount }: Transfer = decode(command);
    if (this.#balance(from) >= amount) {
      this.#balances[from] = this.#balance(from) - amount;
      this.#balances[to] = this.#balance(to) + this.#arriving(amount);
    }
    return encode(this.#balances);
  }

  query(): Uint8Array {
    return encode(this.#balances);
  }

  snapshot(): Iterable<Uint8Array> {
    return [encode(this.#balances)];
  }

  async restore(pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const [piece = encode({})] = await Array.fromAsync(pieces);
    this.#balances = decode(piece);
  }

  #balance(name: string): number {
    return this.#balances[name] ?? 0;
  }
}

/** Transfers and looks at the balances, and says so if there is ever more or less money than at the start. */
function bankWorkload(machine: () => StateMachine): NewWorkload {
  return () => {
    const seen: Balances[] = [];
    const totalOf = (balances: Balances): number => Object.values(balances).reduce((sum, amount) => sum + amount, 0);
    const look = async (answer: Promise<Uint8Array>): Promise<void> => {
      try {
        seen.push(decode(await answer));
      } catch (error) {
        if (!(error instanceof ConclaveError)) throw error; // The others are what happens in such a world.
      }
    };
    return {
      machine,
      work: async ({ client, dice }) => {
        const transfer = { from: dice.pick(ACCOUNTS), to: dice.pick(ACCOUNTS), amount: 1 + dice.below(20) };
        if (dice.chance(0.7)) await look(client.command(encode(transfer), { timeoutMs: 1_000 }));
        else await look(client.query(encode(null), { timeoutMs: 1_000 }));
      },
      lookBack: async ({ client }) => look(client.query(encode(null))),
      judge: (report) => {
        const wrong = seen.find((balances) => totalOf(balances) !== ACCOUNTS.length * START);
        if (wrong !== undefined) report("workload", `there is ${totalOf(wrong)} in all: ${JSON.stringify(wrong)}`);
        if (seen.length === 0) report("workload", "nobody has ever seen a balance");
      },
    };
  };
}

const run = (seed: number, machine: () => StateMachine): Promise<SimulationResult> =>
  simulate({ seed, profile: "hostile", events: EVENTS, workload: bankWorkload(machine) });

test("one that is sound survives whatever happens to its cluster", async () => {
  for (const seed of [1, 2, 3]) {
    const { breach, faults, sights } = await run(seed, () => new Bank());
    assert.is(breach, null, JSON.stringify(breach));
    assert.ok(faults.length > 0 && sights.works > 20, "there was something to survive");
  }
});

test("one that rolls dice is caught, since its replicas part", async () => {
  const { breach } = await run(1, () => new Bank((amount) => amount + Math.random()));
  assert.is(breach?.invariant, "state-machine-safety");
});

test("one that knows the time is caught, too", async () => {
  const { breach } = await run(1, () => new Bank((amount) => amount + performance.now()));
  assert.is(breach?.invariant, "state-machine-safety");
});

test("one that is wrong in the same way everywhere is caught by what its own workload knows", async () => {
  const { breach } = await run(1, () => new Bank((amount) => (amount === 13 ? 12 : amount)));
  assert.is(breach?.invariant, "workload");
  assert.match(breach?.detail ?? "", /there is \d+ in all/);
});

test.run();
