/** Starts one directory of a cluster. */

import { hostOf, portOf, readConfig } from "../config/index.ts";
import { startDirectory } from "../directory/index.ts";
import { realEnvironment } from "../environment/real.ts";
import { ConclaveError } from "../errors.ts";
import { type Call, usageLines } from "./call.ts";
import { CONFIG_FILE } from "./demo.ts";
import { directoryName } from "./names.ts";
import { logFormat, readArguments, serve, teller } from "./process.ts";

const usage = (name: string): string => `${usageLines(name, "[--url URL] [--config FILE] [--log pretty|json]")}

  --url URL      which of the configured directories this is; by default the first that no node runs
  --config FILE  default cluster.config.json`;

const OPTIONS = {
  url: { type: "string" },
  config: { type: "string", default: CONFIG_FILE },
  log: { type: "string" },
} as const;

export async function run({ name, args }: Call): Promise<void> {
  const { values } = readArguments(usage(name), args, OPTIONS);
  const config = await readConfig(values.config);
  const directory = config.directories.find(({ url, node }) =>
    values.url === undefined ? node === undefined : url === values.url,
  );
  if (directory === undefined) {
    const known = config.directories.map(({ url }) => url).join(", ");
    const why =
      values.url === undefined
        ? `Every directory is run by a node; to start one by itself name it with --url: ${known}.`
        : `No directory at ${values.url} is configured, only ${known}.`;
    throw new ConclaveError("INVALID_ARGUMENT", why);
  }
  const { url } = directory;
  const tell = teller(directoryName(config, url), logFormat(values.log));
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
