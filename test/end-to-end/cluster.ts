/** A cluster of real processes for a test: the scripts that a person runs, on free ports, in a folder of its own. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "../../src/cli/ports.ts";
import { type Client, connect, type MemberView } from "../../src/client/index.ts";

export const PROJECT = path.join(import.meta.dirname, "..", "..");
const runtimeArguments = "Deno" in globalThis ? ["run", "--allow-all"] : [];

/** How to run a program on the runtime of this test. */
export const command = (file: string): [string, string[]] => [process.execPath, [...runtimeArguments, file]];

/** How to run one of the scripts. */
export const scriptCommand = (script: string): [string, string[]] => command(path.join(PROJECT, "scripts", script));

/** A log line as JSON: `process`, `event`, and the event's own fields. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly process: string; readonly event: string };

/** A child process whose JSON log can be waited on. */
export class Running {
  readonly child: ChildProcess;
  readonly lines: LogLine[] = [];
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  output = "";
  errors = "";
  readonly #waiting = new Set<() => void>();
  #over = false;

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
    const { stdout, stderr } = this.child;
    if (stdout === null || stderr === null) throw new Error("no pipes");
    const lines = createInterface({ input: stdout });
    lines.on("line", (line) => {
      this.output += `${line}\n`;
      if (line.startsWith("{")) this.lines.push(JSON.parse(line));
      this.#wake();
    });
    stderr.on("data", (chunk) => {
      this.errors += String(chunk);
    });
    const read = new Promise<void>((resolve) => void lines.once("close", resolve));
    this.exited = new Promise((resolve) => {
      this.child.once("close", async (code, signal) => {
        await read; // On Deno the last lines come after that.
        this.#over = true;
        resolve({ code, signal });
        this.#wake();
      });
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** The first line from `from` on that fits; fails if the process ends first. */
  line(fits: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    return this.#until(() => this.lines.slice(from).find(fits));
  }

  /** Waits until its output fits; fails if the process ends first. */
  async text(fits: RegExp): Promise<void> {
    await this.#until(() => fits.exec(this.output) ?? undefined);
  }

  async #until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#over) throw new Error(`the process ended before its line came:\n${this.output}${this.errors}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    // Not `child.kill`: after it, Deno reports the signal in place of the exit code.
    if (this.child.exitCode === null && this.child.signalCode === null) process.kill(this.pid, signal);
    await this.exited;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** A directory and nodes, each started and killed on its own. */
export class Cluster {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "conclave-"));
  readonly configFile = path.join(this.folder, "cluster.config.json");
  readonly dataFolder = path.join(this.folder, "data");
  readonly nodes = new Map<string, Running>();
  readonly ids: readonly string[];
  readonly urls: ReadonlyMap<string, string>;
  readonly directoryUrl: string;
  directory: Running | null = null;
  readonly #clients: Client[] = [];

  private constructor(ports: readonly number[], settings: object) {
    const [directoryPort = 0, ...nodePorts] = ports;
    this.ids = nodePorts.map((_, i) => `n${i + 1}`);
    this.urls = new Map(this.ids.map((id, i) => [id, `ws://127.0.0.1:${nodePorts[i]}`]));
    this.directoryUrl = `ws://127.0.0.1:${directoryPort}`;
    const nodes = [...this.urls].map(([id, url]) => ({ id, url }));
    const config = { cluster: "test", directories: [{ url: this.directoryUrl }], nodes, ...settings };
    writeFileSync(this.configFile, JSON.stringify(config));
  }

  /** A cluster on free ports; nothing runs yet. */
  static async prepare(nodes: number, settings: object = {}): Promise<Cluster> {
    return new Cluster(await freePorts(nodes + 1), settings);
  }

  /** A cluster that runs. */
  static async start(nodes: number, settings: object = {}): Promise<Cluster> {
    const cluster = await Cluster.prepare(nodes, settings);
    await Promise.all([cluster.startDirectory(), ...cluster.ids.map((id) => cluster.startNode(id))]);
    return cluster;
  }

  async startDirectory(): Promise<void> {
    this.directory = this.run("start-directory.ts", ["--log", "json"]);
    await this.directory.line(({ event }) => event === "listening");
  }

  /** @param args such as where a new node is reached, and by whom it is to be taken in */
  async startNode(id: string, args: readonly string[] = []): Promise<Running> {
    const node = this.run("start-node.ts", ["--id", id, "--data", this.dataFolder, "--log", "json", ...args]);
    this.nodes.set(id, node);
    await node.line(({ event }) => event === "listening");
    return node;
  }

  /** Runs a script with this cluster's configuration. */
  run(script: string, args: readonly string[]): Running {
    const [runtime, rest] = scriptCommand(script);
    return new Running(runtime, [...rest, "--config", this.configFile, ...args]);
  }

  node(id: string): Running {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`${id} was not started`);
    return node;
  }

  async client(options: { readonly timeoutMs?: number } = {}): Promise<Client> {
    const client = await connect({ directories: [this.directoryUrl], nodes: [...this.urls.values()], ...options });
    this.#clients.push(client);
    return client;
  }

  /** Ends everything, whatever state it is in. */
  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    const all = [...this.nodes.values(), ...(this.directory === null ? [] : [this.directory])];
    await Promise.all(all.map((running) => running.kill("SIGKILL")));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The leader, once there is one that `fits`. */
export function leaderOf(client: Client, fits: (id: string) => boolean = () => true): Promise<string> {
  return new Promise((resolve) => {
    const off = client.on("leader", (leader) => {
      if (leader === null || !fits(leader.id)) return;
      queueMicrotask(() => off());
      resolve(leader.id);
    });
  });
}

/** The members, once they are as they should be; they are asked again and again, since nobody tells of them. */
export async function untilMembers(
  client: Client,
  fits: (members: readonly MemberView[]) => boolean,
): Promise<readonly MemberView[]> {
  for (;;) {
    const members = await client.members();
    if (fits(members)) return members;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs a test with a cluster that is gone afterwards. */
export async function withCluster(
  nodes: number,
  body: (cluster: Cluster) => Promise<void>,
  settings: object = {},
): Promise<void> {
  const cluster = await Cluster.start(nodes, settings);
  try {
    await body(cluster);
  } finally {
    await cluster.stop();
  }
}
