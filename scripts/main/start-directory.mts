/** Starts one directory of a cluster. */

import { hostOf, portOf, readConfig } from "../../src/config/index.ts";
import { startDirectory } from "../../src/directory/index.ts";
import { realEnvironment } from "../../src/environment/real.ts";
import { ConclaveError } from "../../src/errors.ts";
import { fail, logFormat, readArguments, serve, teller } from "./process.mts";

const USAGE = `usage: start-directory [--url URL] [--config FILE] [--log pretty|json]

  --url URL      which of the configured directories this is; the first by default
  --config FILE  default cluster.config.json`;

const { values } = readArguments(USAGE, {
  url: { type: "string" },
  config: { type: "string", default: "cluster.config.json" },
  log: { type: "string" },
});

async function main(): Promise<void> {
  const config = await readConfig(values.config);
  const directory = config.directories.find(({ url }) => values.url === undefined || url === values.url);
  if (directory === undefined) {
    const known = config.directories.map(({ url }) => url).join(", ");
    throw new ConclaveError("INVALID_ARGUMENT", `No directory at ${values.url} is configured, only ${known}.`);
  }
  const { url } = directory;
  const tell = teller("directory", logFormat(values.log));
  await serve(tell, () =>
    startDirectory({
      environment: realEnvironment,
      cluster: config.cluster,
      url,
      host: hostOf(directory),
      port: portOf(url),
      members: config.nodes,
      allowedOrigins: config.allowedOrigins,
      limits: config.limits,
      tell,
    }),
  );
}

main().catch(fail);
