/** Mutants of snapshots, and of the logs that they take the place of. */

import type { Mutant } from "./mutant.ts";

export const SNAPSHOT_MUTANTS: readonly Mutant[] = [
  {
    name: "snapshot-without-members",
    rule: "A snapshot says who the members were at its entry (paper, section 7; thesis, 5.1).",
    profile: "faulty",
    caughtBy: ["snapshot-exact", "configuration-in-log"],
    edits: [
      {
        file: "node/snapshotter.ts",
        find: "const configuration = configurationAt(raft, index);",
        replace: "const configuration = raft.snapshot.configuration;",
      },
    ],
  },
  {
    name: "snapshot-with-later-members",
    rule: "A snapshot says who the members were at its entry, not who they are when it is taken (thesis, 5.1).",
    profile: "hostile",
    caughtBy: ["snapshot-exact"],
    edits: [
      {
        file: "node/snapshotter.ts",
        find: "const configuration = configurationAt(raft, index);",
        replace: "const { configuration } = raft.configurations.at(-1) ?? raft.snapshot;",
      },
    ],
  },
  {
    name: "stale-snapshot-installed",
    rule: "A snapshot of what is committed here already changes nothing (paper, Figure 13).",
    profile: "divided",
    rare:
      "a server has to get past a snapshot that it is still drawing, by the log; of 200 runs none met it when last " +
      "looked for. Tests of the core do",
    edits: [
      {
        file: "raft/snapshots.ts",
        find: "if (offer.lastIndex > raft.commitIndex) {",
        replace: "if (offer.lastIndex > raft.snapshot.index) {",
      },
      {
        file: "raft/snapshots.ts",
        find: "  if (index > raft.commitIndex) {\n    const goesOn = raft.log.termAt(index) === term;",
        replace:
          "  if (index > raft.snapshot.index) {\n    const goesOn = raft.log.termAt(index) === term && index > raft.commitIndex;",
      },
      {
        file: "node/snapshots.ts",
        find: "isWanted: (index) => index > raft.commitIndex ||",
        replace: "isWanted: (index) => index > raft.snapshot.index ||",
      },
    ],
  },
  {
    name: "conflicting-log-kept",
    rule: "A log that does not go on where a snapshot ends is void (paper, Figure 13, step 7).",
    profile: "divided",
    edits: [
      {
        file: "raft/snapshots.ts",
        find: "const goesOn = raft.log.termAt(index) === term;",
        replace: "const goesOn = raft.log.termAt(index) !== null;",
      },
    ],
  },
  {
    name: "snapshot-without-sessions",
    rule: "Sessions are a part of the replicated state, and so of its snapshots (thesis, 6.3).",
    profile: "hostile",
    edits: [
      {
        file: "machine/replica.ts",
        find: "this.#sessions = sessions;",
        replace: "this.#sessions = sessions;\n      sessions.clear();",
      },
    ],
  },
  {
    name: "snapshot-not-flushed",
    rule: "A snapshot is durable before it gets its name.",
    profile: "hostile",
    edits: [
      {
        file: "storage/snapshot-file.ts",
        find: "await writeGathered();\n  await file.sync();",
        replace: "await writeGathered();",
      },
    ],
  },
  {
    name: "snapshot-folder-not-flushed",
    rule: "A snapshot counts once its name in the folder is durable.",
    profile: "hostile",
    redundant:
      "before the log is compacted, and before that nothing depends on the snapshot, older ones are removed and the folder " +
      "is flushed for that",
    edits: [
      {
        file: "storage/snapshots.ts",
        find: "await this.#disk.rename(draft, whole);\n      await this.#disk.syncFolder(this.#folder);",
        replace: "await this.#disk.rename(draft, whole);",
      },
    ],
  },
  {
    name: "received-folder-not-flushed",
    rule: "A snapshot that was received counts once its name in the folder is durable.",
    profile: "hostile",
    edits: [
      {
        file: "storage/snapshot-receiver.ts",
        find: "await disk.rename(paths.draft, paths.whole);\n        await disk.syncFolder(paths.folder);",
        replace: "await disk.rename(paths.draft, paths.whole);",
      },
    ],
  },
  {
    name: "compacted-before-snapshot",
    rule: "The log goes once a snapshot of what was in it is durable (paper, section 7).",
    profile: "faulty",
    caughtBy: ["compacted-covered", "process-lives"],
    edits: [
      {
        file: "node/snapshotter.ts",
        find: "const info = await store.write({",
        replace: "await wal.compact(index);\n      const info = await store.write({",
      },
    ],
  },
  {
    name: "base-term-wrong",
    rule: "The entry that a log follows keeps its term: what comes next is matched with it (paper, 5.3 and section 7).",
    profile: "faulty",
    caughtBy: ["log-matching"],
    edits: [
      {
        file: "raft/log.ts",
        find: "this.#base = { index, term: termThere };",
        replace: "this.#base = { index, term: this.lastTerm };",
      },
    ],
  },
  {
    name: "damaged-chunk-taken",
    rule: "A snapshot whose bytes do not match their checksums is not used, nor passed on.",
    profile: "hostile",
    edits: [
      {
        file: "storage/snapshot-format.ts",
        find: 'if (crc32(content, crc32(fields, salt)) !== crc) return { type: "damaged" };',
        replace: "",
      },
    ],
  },
  {
    name: "reset-not-written",
    rule: "A log that goes on behind a snapshot says so on the disk, before what follows (paper, Figure 13, step 7).",
    profile: "divided",
    edits: [
      {
        file: "node/node.ts",
        find: "this.#parts.wal.append({ reset, entries, state: hardState })",
        replace:
          "this.#parts.wal.append({ reset: reset !== null && entries.length > 0 && entries[0]?.index === 1 ? reset : null, entries, state: hardState })",
      },
    ],
  },
  {
    name: "old-log-kept",
    rule: "What a snapshot has taken the place of leaves the disk.",
    profile: "calm",
    caughtBy: ["disk-bounded"],
    edits: [
      {
        file: "node/snapshotter.ts",
        find: "await wal.compact(through);",
        replace: "await Promise.resolve(through);",
      },
    ],
  },
  {
    name: "full-disk-taken-for-written",
    rule: "What a full disk had no room for is not written.",
    profile: "hostile",
    edits: [
      {
        file: "storage/wal.ts",
        find: "        this.#reservedTo = Math.min(this.#reservedTo, offset);\n      }\n      fullOrThrow(error);",
        replace: "      }\n      if (!isNoSpace(error)) throw error;",
      },
    ],
  },
];
