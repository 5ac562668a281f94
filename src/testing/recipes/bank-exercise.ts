/** Clients of a machine of its users' own: what it answers, what it emits, and what its timers do. */

import type { Emission } from "../../client/index.ts";
import { isPassing } from "../../client/recipes/patience.ts";
import { hasCode } from "../../errors.ts";
import { Followers } from "../followers.ts";
import type { Worker } from "../workload.ts";
import { ACCOUNTS, type BankChange, type Books, bank, oldBank, type Receipt, START } from "./bank.ts";
import { type NewExercise, rest } from "./exercise.ts";
import type { Deed } from "./log-ear.ts";

type Told = Emission<BankChange> & { readonly topic: string };

/** So much is moved at most: some of it is more than there is. */
const AMOUNT_MAX = 120;
const PLEDGED_MS_MAX = 600;
const SHARE_OF_SUBSCRIBERS = 0.4;
/** So many go by what the machine was before. */
const OLD_CLIENTS = 0.5;
/** What is prolonged in the last moment is under way when its time runs out: so late, as a share of that time. */
const LAST_MOMENT = { least: 0.7, most: 1 };
export const bankExercise: NewExercise = (stage) => {
  const followers = new Followers<Told>({
    isSame: (a, b) => a.revision === b.revision && a.change.number === b.change.number && a.topic === b.topic,
  });
  const emittedTo = new Map<string, number>();
  let newestToken = 0;

  /** What it emits counts itself: it can be told from the change alone whether it is the next one. */
  const take = ({ revision, topic, change }: Told): void => {
    const number = followers.revision + 1;
    const numberOfTopic = (emittedTo.get(topic) ?? 0) + 1;
    if (revision !== number || change.number !== number || change.numberOfTopic !== numberOfTopic) {
      stage.report("changes-exact", `${JSON.stringify({ revision, topic, ...change })} is change ${number}`);
    }
    emittedTo.set(topic, numberOfTopic);
    followers.add({ revision, topic, change });
  };

  const check = ({ accounts, pledged, emitted }: Books): void => {
    const total = accounts.reduce((sum, [, amount]) => sum + amount, pledged);
    const isSound = total === ACCOUNTS.length * START && accounts.every(([, amount]) => amount >= 0);
    const words = JSON.stringify({ accounts, pledged, emitted });
    if (!isSound) stage.report("commands-whole", `a command has left something behind: ${words}`);
    if (emitted !== followers.revision) {
      stage.report("commands-whole", `${emitted} changes by the books, and ${followers.revision} emitted: ${words}`);
    }
  };

  stage.log.on("bank", (deed: Deed) => {
    for (const told of deed.changes<BankChange>(followers.revision + 1)) take(told);
    check(deed.ask("books") as Books);
    const token = deed.result?.type === "done" ? (deed.result.value as Partial<Receipt> | null)?.token : undefined;
    if (token === undefined) return;
    if (token <= newestToken) stage.report("tokens-grow", `the bank gives token ${token} after ${newestToken}`);
    newestToken = token;
  });

  /** Those of one account, or of all; and what is done then has to be among them. */
  const subscribe = async (worker: Worker, timeoutMs: number): Promise<void> => {
    const { client, dice } = worker;
    const topic = dice.chance(0.5) ? dice.pick(ACCOUNTS) : null;
    const isOfNew = dice.chance(0.6);
    const api = client.of(bank);
    const owe = followers.start(worker, {
      what: topic === null ? "all that the bank emits, heard" : `what the bank emits for ${topic}, heard`,
      isWanted: (told) => topic === null || told.topic === topic,
      open: (from) =>
        withTopics(api.changes({ ...(topic && { topic }), ...(from === null ? {} : { fromRevision: from }) })),
      fromRevision: isOfNew ? null : 1 + dice.below(followers.revision + 1),
    });
    const from = topic ?? dice.pick(ACCOUNTS);
    owe((await api.transfer({ from, to: from, amount: 0 }, { timeoutMs })).number);
  };

  /** A page does not say which topic a change was emitted for; what made it does. */
  async function* withTopics(changes: AsyncIterable<Emission<BankChange>>): AsyncGenerator<Told> {
    for await (const { revision, change } of changes) {
      yield { revision, change, topic: followers.at(revision)?.topic ?? "" };
    }
  }

  const known = new WeakSet<Worker["client"]>();
  const pledges = new WeakMap<Worker["client"], string>();

  const work = async (worker: Worker, timeoutMs: number): Promise<void> => {
    const { client, dice, clock } = worker;
    const api = client.of(dice.chance(OLD_CLIENTS) ? oldBank : bank);
    const [from, to] = [dice.pick(ACCOUNTS), dice.pick(ACCOUNTS)];
    const amount = 1 + dice.below(AMOUNT_MAX);
    const forMs = dice.between(0, PLEDGED_MS_MAX);
    const pledged = pledges.get(client);
    const kind = dice.next();
    if (kind < 0.4) await api.transfer({ from, to, amount }, { timeoutMs });
    else if (kind < 0.5) pledges.set(client, (await api.pledge({ from, amount, forMs }, { timeoutMs })).id);
    else if (kind < 0.65) {
      const { id } = await api.pledge({ from, amount: 1, forMs }, { timeoutMs });
      await rest(clock, forMs * dice.between(LAST_MOMENT.least, LAST_MOMENT.most));
      await api.prolong({ id, forMs }, { timeoutMs });
    } else if (kind < 0.7 && pledged !== undefined) await api.prolong({ id: pledged, forMs }, { timeoutMs });
    else if (kind < 0.8 && pledged !== undefined) await api.redeem({ id: pledged, to }, { timeoutMs });
    else {
      const before = followers.revision;
      const { emitted } = await api.books(undefined, { timeoutMs });
      if (emitted < before)
        stage.report("linearizable", `the bank has ${emitted} changes, and ${before} were made before`);
    }
  };

  return {
    work: async (worker) => {
      const { client, dice } = worker;
      const timeoutMs = dice.chance(0.2) ? dice.between(1, 100) : dice.between(500, 3_000);
      const isNew = !known.has(client);
      known.add(client);
      try {
        if (isNew && dice.chance(SHARE_OF_SUBSCRIBERS)) await subscribe(worker, timeoutMs);
        else await work(worker, timeoutMs);
      } catch (error) {
        if (!isPassing(error) && !hasCode(error, "REJECTED")) throw error;
      }
      if (followers.finding !== null) stage.report("changes-exact", followers.finding);
    },
    leftovers: async ({ client }) => {
      const { pledged } = await client.of(bank).books();
      return pledged > 0 ? `${pledged} are pledged still` : null;
    },
    lookBack: async () => {
      await followers.caughtUp();
      if (followers.finding !== null) stage.report("changes-exact", followers.finding);
    },
  };
};
