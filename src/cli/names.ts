/** What a process is called in its log, and in that of the launcher. */

import type { Config } from "../config/index.ts";

/** The first directory is `directory`, the second `directory2`. */
export function directoryName({ directories }: Config, url: string): string {
  const number = directories.findIndex((directory) => directory.url === url) + 1;
  return number === 1 ? "directory" : `directory${number}`;
}
