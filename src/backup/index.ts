/** Backups as files: what a cluster holds, taken out of it, and put into another one. */

export { restoreBackup } from "./restore.ts";
export { saveBackup } from "./save.ts";
