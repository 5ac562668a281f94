/** Starts one node of a cluster, and the directories that it runs. */

import * as path from "node:path";
import { isUrl } from "../actor/index.ts";
import { hostOf, portOf, readConfig } from "../config/index.ts";
import { closeAll, startDirectories } from "../embed/directories.ts";
import { realEnvironment } from "../environment/real.ts";
import { ConclaveError } from "../errors.ts";
import { KeyValueMachine, Machines, RECIPES } from "../machine/index.ts";
import { type RunningNode, startNode } from "../node/index.ts";
import { type Call, usageLines } from "./call.ts";
import { CONFIG_FILE } from "./demo.ts";
import { directoryName } from "./names.ts";
import { fail, logFormat, readArguments, serve, teller } from "./process.ts";

const usage = (name: string): string => `${usageLines(
  name,
  "--id ID [--url URL] [--join URL] [--config FILE] [--data DIR] [--log pretty|json]",
  "[--force-new-cluster ID]",
)}

Starts one node of a cluster, and in the same process the directories of which the configuration names it as their node.

  --id ID        which of the configured nodes this is, or what a new one is called
  --url URL      where others reach it, such as ws://10.0.0.5:7101; for one that is configured, if it has moved
  --host HOST    the host to bind, if it is not the url's
  --join URL     any member of a running cluster that this node is to join
  --config FILE  default cluster.config.json
  --data DIR     where nodes keep their data, each in a folder of its own; default .conclave

  --force-new-cluster ID
    The majority of the cluster is lost for good: begins a new one from the data of this node alone, which is named once
    more. What the others have acknowledged and this node never got is lost, and what it got and nobody acknowledged
    counts as committed: of several survivors, take the one whose log is longest (inspect shows it). The others must not
    be started with their old data again; empty their folders, and start them with --join.`;

export async function run({ name, args }: Call): Promise<void> {
  const { values } = readArguments(usage(name), args, {
    id: { type: "string" },
    url: { type: "string" },
    host: { type: "string" },
    join: { type: "string", multiple: true, default: [] },
    config: { type: "string", default: CONFIG_FILE },
    data: { type: "string", default: ".conclave" },
    log: { type: "string" },
    "force-new-cluster": { type: "string" },
  });
  const config = await readConfig(values.config);
  const known = config.nodes.map(({ id }) => id).join(", ");
  if (values.id === undefined)
    throw new ConclaveError("INVALID_ARGUMENT", `Say which node this is with --id: ${known}.`);
  const { id } = values;
  const configured = config.nodes.find((node) => node.id === id);
  const url = values.url ?? configured?.url;
  if (url === undefined) {
    throw new ConclaveError(
      "INVALID_ARGUMENT",
      `No node "${id}" is configured, only ${known}; give a new one its --url.`,
    );
  }
  if (configured === undefined && values.join.length === 0) {
    throw new ConclaveError("INVALID_ARGUMENT", `"${id}" is new: name a member of the cluster with --join.`);
  }
  for (const address of [url, ...values.join]) {
    if (isUrl(address)) continue;
    throw new ConclaveError("INVALID_ARGUMENT", `"${address}" is no address; one looks like ws://10.0.0.5:7101.`);
  }
  const forceNewCluster = values["force-new-cluster"];
  if (forceNewCluster !== undefined && values.join.length > 0) {
    throw new ConclaveError(
      "INVALID_ARGUMENT",
      "--force-new-cluster begins a cluster, and --join joins one: not both.",
    );
  }
  const host = values.host ?? (values.url === undefined ? configured?.host : undefined);
  const format = logFormat(values.log);
  const tell = teller(id, format);
  const start = (): Promise<RunningNode> =>
    startNode({
      environment: realEnvironment,
      cluster: config.cluster,
      id,
      members: config.nodes,
      url,
      join: values.join,
      forceNewCluster,
      directories: config.directories.map((directory) => directory.url),
      host: hostOf({ url, host }),
      port: portOf(url),
      allowedOrigins: config.allowedOrigins,
      dataFolder: path.join(values.data, id),
      machine: new Machines(new KeyValueMachine(), RECIPES, { isGuarded: false }),
      timing: config,
      clockDriftMax: config.clockDriftMax,
      limits: config.limits,
      tell,
      onFatal: (error) => {
        tell({ event: "failed", code: error.code, error: error.message });
        fail(error);
      },
    });
  await serve(tell, async () => {
    const tellerOf = (at: string) => teller(directoryName(config, at), format);
    const directories = await startDirectories(config, id, realEnvironment, tellerOf);
    const node = await start().catch(async (error: unknown) => {
      await closeAll(directories);
      throw error;
    });
    return {
      close: async () => {
        await node.close();
        await closeAll(directories);
      },
    };
  });
}
