/** A whole cluster in a simulated world: real actors, a workload, and everything that can go wrong. */

import { Client } from "../../src/client/client.ts";
import { hasCode } from "../../src/errors.ts";
import { DEFAULT_LIMITS, KeyValueMachine, type RunningNode, startDirectory, startNode } from "../../src/index.ts";
import { MemoryDisk } from "../support/memory-disk.ts";
import type { Call, Operation } from "./linearizability.ts";
import { Process, World } from "./world.ts";

const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 };
const PORT = 7000;
const urlOf = (host: string): string => `ws://${host}:${PORT}`;
/** Small, so that segments rotate and entries leave memory. */
const LIMITS = { ...DEFAULT_LIMITS, segmentBytesMax: 4_096, logCacheBytesMax: 2_048, appendBytesMax: 1_024 };
const CALL_TIMEOUT_MS = 3_000;

/** A promise of Raft that was broken. */
export class Broken extends Error {
  override readonly name = "Broken";
}

export interface Faults {
  /** How often something goes wrong, on average. */
  readonly everyMs: number;
}

export class SimulatedCluster {
  readonly world: World;
  readonly ids: readonly string[];
  readonly history: Call[] = [];
  readonly counts = { kills: 0, crashes: 0, cuts: 0, elections: 0, calls: 0, unknown: 0 };
  readonly #disks = new Map<string, MemoryDisk>();
  readonly #processes = new Map<string, Process>();
  readonly #nodes = new Map<string, RunningNode>();
  readonly #leaders = new Map<number, string>();
  /** The command that was applied at each index, by whichever node came first. */
  readonly #applied = new Map<number, string>();
  #written = 0;
  #callsOpen = 0;
  #stopping = false;
  #broken: Broken | null = null;

  constructor(seed: number, nodes: number) {
    this.world = new World(seed);
    this.ids = Array.from({ length: nodes }, (_, i) => `n${i + 1}`);
    for (const id of this.ids) this.#disks.set(id, new MemoryDisk());
  }

  /**
   * Lets clients work for a while among faults, heals everything, and waits until all is calm.
   *
   * @throws Broken
   */
  async run(clients: number, workMs: number, faults: Faults | null): Promise<void> {
    this.#startDirectory();
    for (const id of this.ids) this.#startNode(id);
    for (let i = 0; i < clients; i++) this.#startClient(i);
    if (faults !== null) this.#misbehave(faults, workMs);
    await this.#run(workMs);
    this.world.heal();
    for (const id of this.ids) if (!this.#processes.get(id)?.isAlive) this.#startNode(id);
    this.#stopping = true;
    await this.#run(workMs + 4 * CALL_TIMEOUT_MS, () => this.#callsOpen === 0);
    if (this.#callsOpen > 0) throw new Broken(`${this.#callsOpen} calls were never answered`);
    await this.#converge();
  }

  /** Whatever happened, the nodes agree in the end, and one of them leads. */
  async #converge(): Promise<void> {
    const agree = (): boolean => {
      const all = [...this.#nodes.values()].map((node) => node.status());
      const [first] = all;
      if (first === undefined || all.length < this.ids.length) return false;
      const isOne = all.filter(({ role }) => role === "leader").length === 1;
      return (
        isOne && all.every(({ appliedIndex, lastIndex }) => appliedIndex === lastIndex && lastIndex === first.lastIndex)
      );
    };
    await this.#run(this.world.nowMs + 20_000, agree);
    if (agree()) return;
    const states = [...this.#nodes.values()].map((node) => JSON.stringify(node.status())).join("\n");
    throw new Broken(`the nodes did not come to agree:\n${states}`);
  }

  async #run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    await this.world.run(untilMs, () => this.#broken !== null || done());
    if (this.#broken !== null) throw this.#broken;
  }

  #break(why: string): void {
    this.#broken ??= new Broken(`${why} (at ${this.world.nowMs.toFixed(1)} ms)`);
  }

  #startDirectory(): void {
    const process = new Process(this.world, "directory");
    startDirectory({
      environment: process.environment,
      cluster: "simulated",
      url: urlOf("directory"),
      host: "directory",
      port: PORT,
      allowedOrigins: [],
      limits: LIMITS,
      tell: (story) => {
        if (story.event === "handler-failed") this.#break(`the directory failed: ${story.error}`);
      },
    }).catch((error) => this.#break(String(error)));
  }

  #startNode(id: string): void {
    const disk = this.#disks.get(id) ?? new MemoryDisk();
    const process = new Process(this.world, id, disk);
    this.#processes.set(id, process);
    this.#nodes.delete(id);
    startNode({
      environment: process.environment,
      cluster: "simulated",
      id,
      members: this.ids.map((member) => ({ id: member, url: urlOf(member) })),
      directories: [urlOf("directory")],
      host: id,
      port: PORT,
      allowedOrigins: [],
      dataFolder: `/${id}`,
      machine: this.#watchedMachine(id),
      timing: TIMING,
      limits: LIMITS,
      tell: (story) => {
        if (story.event === "handler-failed") this.#break(`${id} failed: ${story.error}`);
        if (story.event === "leader-elected") this.#elected(id, story.term);
      },
      onFatal: (error) => this.#break(`${id}: ${error.message}`),
    }).then(
      (node) => this.#nodes.set(id, node),
      (error) => this.#break(`${id} did not start: ${String(error)}`),
    );
  }

  /** Election safety (paper, Figure 3). */
  #elected(id: string, term: number): void {
    this.counts.elections++;
    const other = this.#leaders.get(term);
    if (other !== undefined && other !== id) this.#break(`${other} and ${id} both lead term ${term}`);
    this.#leaders.set(term, id);
  }

  /** State-machine safety (paper, Figure 3): nobody applies another command at an index. */
  #watchedMachine(id: string): KeyValueMachine {
    const machine = new KeyValueMachine();
    const apply = machine.apply.bind(machine);
    let at = { index: 0, commands: "" };
    machine.apply = (command, context = { index: 0 }) => {
      const commands = context.index === at.index ? at.commands : "";
      at = { index: context.index, commands: `${commands}|${command.join(",")}` };
      const key = at.index * 1e4 + at.commands.split("|").length;
      const known = this.#applied.get(key);
      if (known !== undefined && known !== at.commands) this.#break(`${id} applies another command at ${at.index}`);
      this.#applied.set(key, at.commands);
      return apply(command);
    };
    return machine;
  }

  #startClient(number: number): void {
    const process = new Process(this.world, `client${number}`);
    const client = new Client(
      { directories: [urlOf("directory")], nodes: this.ids.map(urlOf), timeoutMs: CALL_TIMEOUT_MS },
      process.environment,
    );
    const work = async (): Promise<void> => {
      while (!this.#stopping) {
        await this.#call(number, client);
        await this.world.sleep(this.world.dice.delayMs(0, 100));
      }
    };
    // Two lines of work a client, so that its calls overlap.
    for (let i = 0; i < 2; i++) work().catch((error) => this.#break(String(error)));
  }

  async #call(number: number, client: Client): Promise<void> {
    const { dice } = this.world;
    const key = `key${dice.below(4)}`;
    const value = String(++this.#written);
    const startMs = this.world.nowMs;
    const record = (operation: Operation, isKnown: boolean): void => {
      const endMs = isKnown ? this.world.nowMs : Number.POSITIVE_INFINITY;
      this.history.push({ client: number, key, startMs, endMs, operation });
      this.counts.calls++;
      if (!isKnown) this.counts.unknown++;
    };
    const write = async (operation: Operation, act: () => Promise<Operation>): Promise<void> => {
      try {
        record(await act(), true);
      } catch (error) {
        // Any other code promises that nothing was changed: then the history must be explained without the call.
        if (hasCode(error, "UNKNOWN_OUTCOME")) record(operation, false);
      }
    };
    this.#callsOpen++;
    const kind = dice.next();
    if (kind < 0.4) {
      const entry = await client.get(key).catch(() => undefined);
      if (entry !== undefined) record({ type: "read", value: entry === null ? null : String(entry.value) }, true);
    } else if (kind < 0.6) {
      const operation: Operation = { type: "write", value };
      await write(operation, async () => {
        await client.put(key, value);
        return operation;
      });
    } else if (kind < 0.8) {
      const operation: Operation = { type: "append", text: `,${value}` };
      await write(operation, async () => {
        await client.append(key, `,${value}`);
        return operation;
      });
    } else {
      const expected = this.history.findLast((call) => call.key === key && call.operation.type === "write")?.operation;
      const before = expected?.type === "write" ? expected.value : "0";
      const swap = { type: "cas", expected: before, value } as const;
      await write({ ...swap, swapped: null }, async () => {
        const { swapped } = await client.cas(key, { value: before }, value);
        return { ...swap, swapped };
      });
    }
    this.#callsOpen--;
  }

  #misbehave({ everyMs }: Faults, untilMs: number): void {
    const { world } = this;
    world.at(world.dice.next() * 2 * everyMs, () => {
      if (world.nowMs >= untilMs) return;
      this.#misbehaveOnce();
      this.#misbehave({ everyMs }, untilMs);
    });
  }

  #misbehaveOnce(): void {
    const { world } = this;
    const { dice } = world;
    const id = dice.pick(this.ids);
    const kind = dice.next();
    if (kind < 0.3) this.#end(id, false);
    else if (kind < 0.5) this.#end(id, true);
    else if (kind < 0.75) this.#cutOff();
    else world.heal();
  }

  /** Ends a process, or its whole machine with what its disk had not made durable, and starts it again later. */
  #end(id: string, wholeMachine: boolean): void {
    const { dice } = this.world;
    const process = this.#processes.get(id);
    const disk = this.#disks.get(id);
    if (process === undefined || disk === undefined || !process.isAlive) return;
    process.kill();
    this.#nodes.delete(id);
    if (wholeMachine) {
      this.counts.crashes++;
      const bytesKept = dice.below(disk.unsyncedBytes + 1);
      const namesKept = dice.below(disk.unsyncedNames + 1);
      this.#disks.set(id, disk.crash({ bytesKept, namesKept, tail: dice.pick(["lost", "zeros", "garbage"]) }));
    } else {
      this.counts.kills++;
      this.#disks.set(id, disk.kill());
    }
    this.world.at(dice.delayMs(1, 4_000), () => {
      if (!this.#processes.get(id)?.isAlive) this.#startNode(id);
    });
  }

  /** Cuts some directions between hosts: one cable, one machine, or the cluster in two. */
  #cutOff(): void {
    const { dice } = this.world;
    this.counts.cuts++;
    const side = new Set(this.ids.filter(() => dice.chance(0.4)));
    const isOneWay = dice.chance(0.3);
    for (const a of side) {
      for (const b of this.ids) {
        if (side.has(b)) continue;
        this.world.cut(a, b);
        if (!isOneWay) this.world.cut(b, a);
      }
    }
  }
}
