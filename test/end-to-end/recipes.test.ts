/** Locks, and a singleton, among programs that stand still or are killed: never two at once that count. */

import { writeFileSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { locks } from "../../src/machine/recipes/locks.ts";
import { suite } from "../support/suite.ts";
import { sharedNowMs } from "./clock.ts";
import { type Program, withFleet } from "./fleet.ts";
import type { HolderSettings } from "./programs/holder.ts";
import type { WorkerSettings } from "./programs/worker.ts";

const test = suite("end to end: recipes");

const TTL_MS = 1_000;

/** What happened, and when. */
class Timeline {
  readonly lines: string[] = [];
  #startMs: number | null = null;

  add(who: string, what: string): void {
    this.#startMs ??= performance.now();
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(2);
    this.lines.push(`${seconds.padStart(5)} s  ${who.padEnd(5)}  ${what}`);
  }
}

/** Takes what programs write, but with no token that is lower than one that it has seen. */
class Store {
  readonly #timeline: Timeline;
  /** Who wrote with which token, and how often, as the calls came. */
  readonly taken: string[] = [];
  readonly refused: string[] = [];
  #highest = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  write(by: string, token: number): void {
    const write = `${by} ${token}`;
    if (token < this.#highest) {
      this.refused.push(write);
      this.#timeline.add("store", `refuses what ${by} writes with token ${token}: it has seen ${this.#highest}`);
      return;
    }
    this.#highest = token;
    if (!this.taken.includes(write)) this.#timeline.add("store", `takes what ${by} writes with token ${token}`);
    this.taken.push(write);
  }
}

/** Until so much time has passed since then. */
const since = (startMs: number, ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, startMs + ms - performance.now()));

test(
  "who holds a lock stands still for three times its lease: then its signal has fired, and its late write is refused",
  () =>
    withFleet(3, async (fleet) => {
      await fleet.members(0);
      const timeline = new Timeline();
      const store = new Store(timeline);
      const start = (name: string): Program => {
        const settings: HolderSettings = { nodes: [...fleet.urls.values()], ttlMs: TTL_MS };
        const program = fleet.start(name, "holder.ts", settings);
        program.hear(({ event, token, reason }) => {
          if (event === "write") store.write(name, Number(token));
          if (event === "holds") timeline.add(name, `holds the lock for ${TTL_MS} ms, or as long as it renews that`);
          if (event === "is-about-to-write") timeline.add(name, "has looked at its signal, and is about to write");
          if (event === "leaves") timeline.add(name, `finds that its signal has fired (${reason}), and stops writing`);
        });
        return program;
      };
      const [ann, bob] = [start("ann"), start("bob")];
      await Promise.all([ann.told("ready"), bob.told("ready")]);
      /** @returns what it writes */
      const lock = async (program: Program): Promise<string> => {
        const token = await program.ask<number>("lock");
        await program.line((line) => line.event === "write" && line["token"] === token);
        return `${program.name} ${token}`;
      };
      const suspend = (program: Program): number => {
        timeline.add(program.name, "is stopped by SIGSTOP");
        fleet.suspend(program);
        return performance.now();
      };
      /** What it says from then on. */
      const resume = async (program: Program, stoppedMs: number): Promise<number> => {
        await since(stoppedMs, 3 * TTL_MS);
        timeline.add(program.name, "goes on by SIGCONT");
        fleet.resume(program);
        return program.lines.length;
      };

      const first = await lock(ann);
      const gate = path.join(fleet.folder, "gate");
      await ann.ask("standStill", gate);
      await ann.told("is-about-to-write");
      const annStoppedMs = suspend(ann);
      const second = await lock(bob);
      writeFileSync(gate, "");
      void ann.ask("hear this in a turn of its own").catch(() => {});
      const wokenAt = await resume(ann, annStoppedMs);
      assert.is((await ann.told("leaves", wokenAt))["reason"], "LOST");
      while (ann.all("looks").length < 4) await ann.told("looks", ann.lines.length);
      for (const { turn, fired } of ann.all("looks"))
        assert.ok(fired, `it has fired in a turn that begins with ${turn}`);
      assert.equal(store.refused, [first], "the write that was under way came too late");

      await bob.ask("rest");
      await bob.told("rests");
      const bobStoppedMs = suspend(bob);
      const third = await lock(ann);
      void bob.ask("goOn").catch(() => {});
      const restedAt = await resume(bob, bobStoppedMs);
      assert.is((await bob.told("leaves", restedAt))["reason"], "LOST");
      assert.equal(store.refused, [first], "whoever is between two turns writes nothing more");
      assert.equal([...new Set(store.taken)], [first, second, third]);
      assert.ok(store.taken.lastIndexOf(first) < store.taken.indexOf(second));
      test.tell(timeline.lines);
    }),
  { timeoutMs: 60_000 },
);

/** One time that somebody worked. */
interface Turn {
  readonly worker: Program;
  readonly token: number;
  readonly beganMs: number;
  /** The last that was heard of it. */
  lastMs: number;
}

/** Puts what workers tell in order, by the clock that they share. */
class Referee {
  readonly turns: Turn[] = [];
  readonly #foul = Promise.withResolvers<never>();

  constructor() {
    this.#foul.promise.catch(() => {}); // It may come when nobody plays any more.
  }

  watch(worker: Program): void {
    worker.hear(({ token, atMs }) => {
      if (token !== undefined) this.#note(worker, Number(token), Number(atMs));
    });
  }

  /** Goes on until it is done, or a rule is broken. */
  play<T>(game: Promise<T>): Promise<T> {
    return Promise.race([game, this.#foul.promise]);
  }

  /** The first turn after that one; whoever has it works. */
  async next(workers: readonly Program[], after: number): Promise<Turn> {
    const isNext = (token: unknown): boolean => Number(token) > after;
    await Promise.any(workers.map((worker) => worker.line((line) => line.event === "works" && isNext(line["token"]))));
    const next = this.turns.find(({ token }) => isNext(token));
    if (next === undefined) throw new Error("a turn was told of, and is not known");
    return next;
  }

  #note(worker: Program, token: number, atMs: number): void {
    const known = this.turns.find((turn) => turn.token === token);
    const turn = known ?? { worker, token, beganMs: atMs, lastMs: atMs };
    turn.lastMs = Math.max(turn.lastMs, atMs);
    if (known === undefined) this.turns.push(turn);
    for (const other of this.turns) {
      if (other === turn) continue;
      const [first, second] = other.beganMs < turn.beganMs ? [other, turn] : [turn, other];
      const wasAlone = first.lastMs < second.beganMs;
      if (wasAlone && first.token < second.token) continue;
      const what = wasAlone ? `${second.token} follows ${first.token}` : "two worked at once";
      this.#foul.reject(new Error(`${first.worker.name} and ${second.worker.name}: ${what}`));
    }
  }
}

const KILLS = 10;
const WORKERS = 4;

test(
  "whoever does the work is killed ten times: another one does it, and never two at once",
  () =>
    withFleet(3, async (fleet) => {
      await fleet.members(0);
      const settings: WorkerSettings = { nodes: [...fleet.urls.values()] };
      const referee = new Referee();
      let hired: readonly Program[] = [];
      const hire = (name: string): void => {
        const worker = fleet.start(name, "worker.ts", settings);
        referee.watch(worker);
        hired = [...hired, worker];
      };
      for (let i = 1; i <= WORKERS; i++) hire(`worker ${i}`);
      const line = (await fleet.client()).of(locks);
      const allInLine = async (): Promise<void> => {
        while ((await line.look("election:work")).waiting < WORKERS - 1);
      };
      const gapsMs: number[] = [];
      const play = async (): Promise<void> => {
        let turn = await referee.next(hired, 0);
        for (let kill = 1; kill <= KILLS; kill++) {
          await allInLine();
          const killedMs = sharedNowMs();
          const { worker, token } = turn;
          await worker.kill("SIGKILL");
          hired = hired.filter((one) => one !== worker);
          hire(`worker ${WORKERS + kill}`);
          turn = await referee.next(hired, token);
          gapsMs.push(Math.round(turn.beganMs - killedMs));
        }
      };
      await referee.play(play());
      test.tell([
        `${KILLS} kill -9 of whoever worked, ${referee.turns.length} turns, never two at once; from each kill to the next turn:`,
        `${gapsMs.join(", ")} ms`,
      ]);
    }),
  { timeoutMs: 120_000 },
);

test.run();
