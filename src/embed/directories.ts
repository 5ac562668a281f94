/** Directories in the process of a node: those of which the configuration says that this node runs them. */

import { type Config, hostOf, portOf } from "../config/index.ts";
import { type DirectoryOptions, type RunningDirectory, startDirectory } from "../directory/index.ts";
import type { Environment } from "../environment.ts";

/**
 * Starts all of them, or none.
 *
 * @param tellerOf what hears the stories of the directory at a URL
 * @throws ConclaveError as `startDirectory`
 */
export async function startDirectories(
  config: Config,
  id: string,
  environment: Environment,
  tellerOf: (url: string) => DirectoryOptions["tell"],
): Promise<RunningDirectory[]> {
  const own = config.directories.filter(({ node }) => node === id);
  const starting = own.map((directory) =>
    startDirectory({
      environment,
      cluster: config.cluster,
      url: directory.url,
      host: hostOf(directory),
      port: portOf(directory.url),
      members: config.nodes,
      allowedOrigins: config.allowedOrigins,
      limits: config.limits,
      tell: tellerOf(directory.url),
    }),
  );
  const results = await Promise.allSettled(starting);
  const started = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return started;
  await closeAll(started);
  throw failed.reason;
}

export async function closeAll(directories: readonly RunningDirectory[]): Promise<void> {
  await Promise.all(directories.map((directory) => directory.close()));
}
