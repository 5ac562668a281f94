/** The real world, as Node, Deno and Bun offer it. */

import type { Environment } from "../environment.ts";
import { disk } from "./disk.ts";
import { standardClock, standardRandom } from "./standard.ts";
import { network } from "./ws.ts";

/**
 * For `startNode` and `startDirectory` outside of a simulation.
 *
 * @example
 * ```ts
 * import { realEnvironment, saveBackup } from "conclave";
 *
 * await saveBackup(realEnvironment.disk, `${folder}/demo.backup`, client);
 * ```
 */
export const realEnvironment: Environment = { clock: standardClock, random: standardRandom, network, disk };
