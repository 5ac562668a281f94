/** The world of one script: its cluster, once it has started, and the transcript of what happens there. */

import type { NodeId } from "../../../src/raft/index.ts";
import { Cluster } from "../cluster.ts";
import { type Beginning, DEFAULTS, type Server, type Settings } from "../server.ts";
import { textOfServer } from "./notation.ts";
import { Transcript } from "./transcript.ts";

export class World {
  readonly transcript = new Transcript();
  readonly #disks = new Map<NodeId, Beginning>();
  #settings: Settings = {};
  #cluster: Cluster | null = null;

  get hasStarted(): boolean {
    return this.#cluster !== null;
  }

  get cluster(): Cluster {
    if (this.#cluster === null) throw new Error('there is no cluster yet: "start" it');
    return this.#cluster;
  }

  get nowMs(): number {
    return this.#cluster?.clock.nowMs ?? 0;
  }

  /** What the disk of a server holds before the start. */
  prepareDisk(id: NodeId, beginning: Beginning): void {
    if (this.hasStarted || this.#disks.has(id)) throw new Error(`the disk of ${id} is in use`);
    this.#disks.set(id, beginning);
  }

  prepareSetting(name: string, value: number): void {
    if (this.hasStarted) throw new Error("the cluster has started: it is too late for settings");
    if (!Object.hasOwn(DEFAULTS, name)) throw new Error(`there is no setting "${name}"`);
    this.#settings = { ...this.#settings, [name]: value };
  }

  start(ids: readonly NodeId[]): void {
    if (this.hasStarted) throw new Error("the cluster has started already");
    const stray = [...this.#disks.keys()].find((id) => !ids.includes(id));
    if (stray !== undefined) throw new Error(`there is a disk for ${stray}, who does not start`);
    const { transcript } = this;
    this.#cluster = new Cluster(ids, Object.fromEntries(this.#disks), this.#settings, 1, (...step) =>
      transcript.witness(...step),
    );
  }

  /** A server that runs. */
  running(id: NodeId): Server {
    const server = this.cluster.at(id);
    if (!server.isRunning) throw new Error(`${id} is down`);
    return server;
  }

  /** A line on each server. */
  census(): string[] {
    return this.#cluster?.servers.map(textOfServer) ?? [];
  }
}
