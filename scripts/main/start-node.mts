/** Starts one node of a cluster. */

import * as path from "node:path";
import { hostOf, portOf, readConfig } from "../../src/config/index.ts";
import { realEnvironment } from "../../src/environment/real.ts";
import { ConclaveError } from "../../src/errors.ts";
import { KeyValueMachine } from "../../src/machine/index.ts";
import { startNode } from "../../src/node/index.ts";
import { fail, logFormat, readArguments, serve, teller } from "./process.mts";

const USAGE = `usage: start-node --id ID [--config FILE] [--data DIR] [--log pretty|json]

  --id ID        which of the configured nodes this is
  --config FILE  default cluster.config.json
  --data DIR     where nodes keep their data, each in a folder of its own; default .conclave`;

const { values } = readArguments(USAGE, {
  id: { type: "string" },
  config: { type: "string", default: "cluster.config.json" },
  data: { type: "string", default: ".conclave" },
  log: { type: "string" },
});

async function main(): Promise<void> {
  const config = await readConfig(values.config);
  const known = config.nodes.map(({ id }) => id).join(", ");
  if (values.id === undefined)
    throw new ConclaveError("INVALID_ARGUMENT", `Say which node this is with --id: ${known}.`);
  const self = config.nodes.find(({ id }) => id === values.id);
  if (self === undefined) {
    throw new ConclaveError("INVALID_ARGUMENT", `No node "${values.id}" is configured, only ${known}.`);
  }
  const tell = teller(self.id, logFormat(values.log));
  await serve(tell, () =>
    startNode({
      environment: realEnvironment,
      cluster: config.cluster,
      id: self.id,
      members: config.nodes.map(({ id, url }) => ({ id, url })),
      directories: config.directories.map(({ url }) => url),
      host: hostOf(self),
      port: portOf(self.url),
      allowedOrigins: config.allowedOrigins,
      dataFolder: path.join(values.data, self.id),
      machine: new KeyValueMachine(),
      timing: config,
      limits: config.limits,
      tell,
      onFatal: (error) => {
        tell({ event: "failed", code: error.code, error: error.message });
        fail(error);
      },
    }),
  );
}

main().catch(fail);
