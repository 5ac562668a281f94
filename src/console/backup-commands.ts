/** Commands that take what the cluster holds out of it, and that put it into another one. */

import { restoreBackup, saveBackup } from "../backup/index.ts";
import { colours } from "./colours.ts";
import type { Command } from "./commands.ts";
import { NODE_OPTION, nodeOption } from "./node-option.ts";
import { sizeText } from "./show.ts";

/** Commands about backups. */
export const BACKUP_COMMANDS: readonly Command[] = [
  {
    name: "backup",
    usage: "backup FILE [--node ID]",
    help: "write all that the cluster holds to a file, as it is at one moment",
    takes: { words: [1, 1], options: NODE_OPTION },
    run: async (args, context) => {
      const { client, disk, signal, print } = context;
      const [file = ""] = args.words;
      const saved = await saveBackup(disk, file, client, { signal, ...(await nodeOption(args, context)) });
      const { cluster, index, bytes } = saved;
      print(`ok ${colours.dim(`${sizeText(bytes)}, all of cluster ${cluster} up to entry ${index}`)}`);
      return { file, cluster, index, bytes };
    },
  },
  {
    name: "restore",
    usage: "restore FILE [--force]",
    help: "put what is in a backup into this cluster, which has to be empty; --force replaces what it holds",
    takes: { words: [1, 1], options: { "--force": null } },
    run: async ({ words: [file = ""], options }, { client, disk, signal, print }) => {
      const { cluster, index } = await restoreBackup(disk, file, client, { signal, force: options.has("--force") });
      print(`ok ${colours.dim(`as cluster ${cluster} was at entry ${index}`)}`);
      return { file, cluster, index };
    },
  },
];
