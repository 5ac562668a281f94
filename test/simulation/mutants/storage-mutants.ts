/** Mutants of what is kept on disk. */

import type { Mutant } from "./mutant.ts";

export const STORAGE_MUTANTS: readonly Mutant[] = [
  {
    name: "frame-not-flushed",
    rule: "A write counts once a flush has followed it (paper, Figure 2, persistent state).",
    profile: "hostile",
    edits: [
      {
        file: "storage/wal.ts",
        find: "await file.sync();\n    for (const batch of batches)",
        replace: "for (const batch of batches)",
      },
    ],
  },
  {
    name: "flush-tried-again",
    rule: "After a flush that failed, a later one proves nothing about what the first should have written.",
    profile: "hostile",
    edits: [
      {
        file: "storage/wal.ts",
        find: "await file.sync();\n    for (const batch of batches)",
        replace: "await file.sync().catch(() => file.sync());\n    for (const batch of batches)",
      },
    ],
  },
  {
    name: "torn-tail-taken",
    rule: "A frame whose body does not match its checksum was torn by a crash, and is no entry.",
    caughtBy: ["damage-noticed", "process-lives", "state-machine-safety", "log-matching"],
    profile: "hostile",
    edits: [
      {
        file: "storage/wal-format.ts",
        find: "if (body.byteLength < header.length || crc32(body, salt) !== header.crc) return null;",
        replace: "if (body.byteLength < header.length) return null;",
      },
    ],
  },
  {
    name: "segment-folder-not-flushed",
    rule: "A new segment counts once its name in the folder is durable.",
    profile: "hostile",
    edits: [
      {
        file: "storage/wal.ts",
        find: "await disk.syncFolder(folder);\n    const previous = this.#file;",
        replace: "const previous = this.#file;",
      },
    ],
  },
  {
    name: "small-file-folder-not-flushed",
    rule: "A file that was renamed counts once its name in the folder is durable.",
    profile: "divided",
    edits: [
      {
        file: "storage/small-file.ts",
        find: `await disk.rename(draft, \`\${folder}/\${name}\`);
  await disk.syncFolder(folder);`,
        replace: `await disk.rename(draft, \`\${folder}/\${name}\`);`,
      },
    ],
  },
  {
    name: "void-entries-read",
    rule: "Of entries ever written at an index the last is valid (paper, 5.3).",
    profile: "divided",
    edits: [
      {
        file: "storage/wal-read.ts",
        find: "entry.index !== this.#next || entry.term !== termAt(entry.index)) return;",
        replace: "entry.index !== this.#next) return;",
      },
    ],
  },
];
