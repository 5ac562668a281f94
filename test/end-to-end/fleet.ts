/** Programs of a user's own for a test, each a process, with a cluster in them or beside them. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { freePorts } from "../../src/cli/ports.ts";
import { type Client, type ConnectOptions, connect } from "../../src/client/index.ts";
import type { NodeStatus } from "../../src/protocol/node.ts";
import { command, type LogLine, Running } from "./cluster.ts";
import type { MemberSettings } from "./programs/member.ts";

/** A process that runs one of the programs. */
export class Program extends Running {
  readonly name: string;
  #calls = 0;

  constructor(name: string, file: string, settings: object) {
    const [runtime, args] = command(path.join(import.meta.dirname, "programs", file));
    super(runtime, [...args, JSON.stringify(settings)]);
    this.name = name;
    this.child.stdin?.on("error", () => {}); // It may be dead.
  }

  /** Has it do something. @throws if it can't, or ends */
  async ask<T = unknown>(name: string, args: unknown = null): Promise<T> {
    const call = ++this.#calls;
    const from = this.lines.length;
    this.child.stdin?.write(`${JSON.stringify({ call, name, args })}\n`);
    const { value, error } = await this.line((line) => line.event === "answer" && line["call"] === call, from);
    if (error !== undefined) throw new Error(`${this.name}: ${name}: ${error}`);
    return value as T;
  }

  /** The first time from `from` on that it tells of this. */
  told(event: string, from = 0): Promise<LogLine> {
    return this.line((line) => line.event === event, from);
  }

  /** Hears every line in the moment in which it comes. */
  hear(listener: (line: LogLine) => void): void {
    if (this.child.stdout === null) throw new Error("no pipe");
    createInterface({ input: this.child.stdout }).on("line", (text) => listener(JSON.parse(text)));
  }

  all(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }
}

/** Programs, and what they share. */
export class Fleet {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "conclave-fleet-"));
  readonly urls: ReadonlyMap<string, string>;
  readonly #config: object;
  readonly #programs = new Set<Program>();
  readonly #clients: Client[] = [];
  readonly #watchmen = new Map<Program, ChildProcess>();

  private constructor([directoryPort, ...ports]: readonly number[], settings: object) {
    this.urls = new Map(ports.map((port, i) => [`n${i + 1}`, `ws://127.0.0.1:${port}`]));
    const nodes = [...this.urls].map(([id, url]) => ({ id, url }));
    // Nobody runs it: nodes and clients do without.
    const directories = [{ url: `ws://127.0.0.1:${directoryPort}` }];
    this.#config = { cluster: "fleet", directories, nodes, ...settings };
  }

  /** @param settings what the configuration says beside nodes and directories */
  static async prepare(nodes: number, settings: object = {}): Promise<Fleet> {
    return new Fleet(await freePorts(nodes + 1), settings);
  }

  start(name: string, file: string, settings: object): Program {
    const program = new Program(name, file, settings);
    this.#programs.add(program);
    return program;
  }

  /** A program with a node in it: once the node runs, or when the program has ended before. */
  async member(id: string, version: MemberSettings["version"]): Promise<Program> {
    const settings: MemberSettings = { id, config: this.#config, dataDir: this.folder, version };
    const program = this.start(id, "member.ts", settings);
    await Promise.race([program.told("ready"), program.exited]);
    return program;
  }

  members(version: MemberSettings["version"]): Promise<Program[]> {
    return Promise.all([...this.urls.keys()].map((id) => this.member(id, version)));
  }

  async client(options: Partial<ConnectOptions> = {}): Promise<Client> {
    const client = await connect({ nodes: [...this.urls.values()], ...options });
    this.#clients.push(client);
    return client;
  }

  /** Stops a process. Should the test be killed before it lets it go on, so is the process, which could not end itself. */
  suspend(program: Program): void {
    const watchman = spawn("sh", ["-c", `read -r word || kill -KILL ${program.pid}`], {
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#watchmen.set(program, watchman);
    process.kill(program.pid, "SIGSTOP");
  }

  resume(program: Program): void {
    process.kill(program.pid, "SIGCONT");
    this.#dismiss(program);
  }

  #dismiss(program: Program): void {
    this.#watchmen.get(program)?.stdin?.end("it goes on\n");
    this.#watchmen.delete(program);
  }

  /** Ends everything, whatever state it is in. */
  async stop(): Promise<void> {
    await Promise.all([...this.#programs].map((program) => program.kill("SIGKILL")));
    for (const program of this.#watchmen.keys()) this.#dismiss(program);
    await Promise.all(this.#clients.map((client) => client.close()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Runs a test with programs that are gone afterwards. */
export async function withFleet(
  nodes: number,
  body: (fleet: Fleet) => Promise<void>,
  settings: object = {},
): Promise<void> {
  const fleet = await Fleet.prepare(nodes, settings);
  try {
    await body(fleet);
  } finally {
    await fleet.stop();
  }
}

/** What each has, once all of them have applied all that the log holds by now. */
export async function entriesOf<T>(members: readonly Program[]): Promise<T[][]> {
  const status = (member: Program): Promise<NodeStatus> => member.ask("status");
  const endIndex = Math.max(...(await Promise.all(members.map(status))).map(({ lastIndex }) => lastIndex));
  for (const member of members) while ((await status(member)).appliedIndex < endIndex);
  return Promise.all(members.map((member) => member.ask<T[]>("entries")));
}
