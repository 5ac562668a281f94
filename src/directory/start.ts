/** A directory as a process of its own. */

import { type ActorStory, ActorSystem, normalUrl } from "../actor/index.ts";
import type { ClientEnvironment } from "../environment.ts";
import { ConclaveError, hasCode } from "../errors.ts";
import type { Limits } from "../limits.ts";
import { DIRECTORY_ACTOR, directoryProtocol } from "../protocol/directory.ts";
import type { Member } from "../protocol/node.ts";
import { type DirectoryStory, directoryActor } from "./directory.ts";

/**
 * What `startDirectory` needs.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS, type DirectoryOptions, hostOf, portOf, realEnvironment, startDirectory } from "conclave";
 *
 * const options: DirectoryOptions = {
 *   environment: realEnvironment,
 *   cluster: "demo",
 *   url,
 *   host: hostOf({ url }),
 *   port: portOf(url),
 *   members: [{ id: "n1", url: "ws://10.0.0.1:7101" }],
 *   allowedOrigins: ["https://app.example.org"],
 *   limits: DEFAULT_LIMITS,
 *   tell: ({ event }) => console.log(event),
 * };
 * await (await startDirectory(options)).close();
 * ```
 */
export interface DirectoryOptions {
  readonly environment: ClientEnvironment;
  readonly cluster: string;
  /** Where nodes and clients reach it. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The nodes that it begins with: until one of them names others, nobody else may take their names, or claim to lead. */
  readonly members: readonly Member[];
  readonly allowedOrigins: readonly string[];
  readonly limits: Limits;
  readonly tell: (story: ActorStory | DirectoryStory) => void;
}

/**
 * A directory in this process.
 *
 * @example
 * ```ts
 * import type { RunningDirectory } from "conclave";
 *
 * function untilTerm(directory: RunningDirectory): void {
 *   process.once("SIGTERM", () => directory.close());
 * }
 * ```
 */
export interface RunningDirectory {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Starts a directory, which tells clients and nodes who leads. `join` does so where a configuration names one.
 *
 * @example
 * ```ts
 * import { DEFAULT_LIMITS, hostOf, portOf, realEnvironment, startDirectory } from "conclave";
 *
 * const directory = await startDirectory({
 *   environment: realEnvironment,
 *   cluster: "demo",
 *   url,
 *   host: hostOf({ url }),
 *   port: portOf(url),
 *   members: [{ id: "n1", url: "ws://10.0.0.1:7101" }],
 *   allowedOrigins: [],
 *   limits: DEFAULT_LIMITS,
 *   tell: () => {},
 * });
 * await directory.close();
 * ```
 *
 * @throws ConclaveError `ADDRESS_IN_USE`
 */
export async function startDirectory(options: DirectoryOptions): Promise<RunningDirectory> {
  const { environment, cluster, url, limits, members, tell } = options;
  const nodes = new Map(members.map(({ id, url: at }) => [id, { name: id, url: normalUrl(at) }]));
  const system = new ActorSystem({
    environment,
    cluster,
    name: DIRECTORY_ACTOR,
    url,
    linkLimits: { messageBytesMax: limits.messageBytesMax, sendBufferBytesMax: limits.sendBufferBytesMax },
    mailboxMax: limits.mailboxMax,
    tell,
  });
  system.spawn(DIRECTORY_ACTOR, directoryProtocol, (context) =>
    directoryActor(context, { ownerOf: (name) => nodes.get(name) ?? null, tell }),
  );
  const { host, port, allowedOrigins } = options;
  const listening = await system
    .listen({ host, port, allowedOrigins, connectionsMax: limits.connectionsMax })
    .catch(async (error) => {
      await system.close();
      if (!hasCode(error, "ADDRESS_IN_USE")) throw error;
      throw new ConclaveError("ADDRESS_IN_USE", `directory: ${error.message}`, { cause: error });
    });
  return { port: listening, close: () => system.close() };
}
