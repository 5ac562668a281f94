/** Looks through the data of nodes, and writes nothing. */

import { readdir, stat } from "node:fs/promises";
import * as path from "node:path";
import { colours, table } from "../console/index.ts";
import { realEnvironment } from "../environment/real.ts";
import { ConclaveError, messageOf } from "../errors.ts";
import {
  type Inspection,
  inspect,
  isNodeFolder,
  type Range,
  type SnapshotReport,
  verifyBackup,
} from "../storage/index.ts";
import { type Call, usageLines } from "./call.ts";
import { readArguments } from "./process.ts";

const usage = (name: string): string => `${usageLines(name, "[--json] PATH")}

Shows what the folder of a node holds, or of all nodes whose folders are in it: the snapshots, the files of the log with
their entries and terms, what was last voted, and where the first damage is. Nothing is written. Of a node that runs, what it is
writing at the moment looks torn. Of a backup, which is a file, it shows which cluster it is from, and whether it is sound.

  --json  one JSON object a node and line

Exits with 1 if something is damaged.`;

const { disk } = realEnvironment;

/** @throws ConclaveError `INVALID_ARGUMENT` */
async function nodeFolders(folder: string): Promise<string[]> {
  const inside = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new ConclaveError("INVALID_ARGUMENT", `${folder} can't be read: ${messageOf(cause)}`);
  });
  if (await isNodeFolder(disk, folder)) return [folder];
  const found: string[] = [];
  for (const entry of inside.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = path.join(folder, entry.name);
    // One that can't be looked into may be a node's: it is told with the others.
    if (entry.isDirectory() && (await isNodeFolder(disk, inner).catch(() => true))) found.push(inner);
  }
  if (found.length > 0) return found;
  throw new ConclaveError("INVALID_ARGUMENT", `${folder} holds no node's data.`);
}

const grouped = (number: number): string => number.toLocaleString("en");
const orDash = (number: number | null): string => (number === null ? "-" : grouped(number));
const inWords = (range: Range): string => {
  if (range === null) return "-";
  const [first, last] = range;
  return first === last ? `${first}` : `${first}–${last}`;
};

const damageOf = ({ damage }: SnapshotReport): string =>
  damage === null ? "none" : colours.red(`DAMAGED at offset ${damage.offset}: ${damage.why}`);

const isSoundAll = ({ damage, snapshots }: Inspection): boolean =>
  damage === null && snapshots.every((one) => one.damage === null);

function textOf(folder: string, inspection: Inspection): string {
  const { owner, snapshots, segments, base, state, terms, tornBytes, divergedAt, damage } = inspection;
  const states = snapshots.map((one) => [
    one.file,
    `${one.index}`,
    one.term === null ? "-" : `${one.term}`,
    orDash(one.pieces),
    orDash(one.bytes),
    damageOf(one),
  ]);
  const files = segments.map((one) => [
    one.file,
    inWords(one.frames),
    inWords(one.entries),
    inWords(one.terms),
    grouped(one.bytes),
  ]);
  const runs = terms.map(({ term, first, last }) => [`${term}`, inWords([first, last])]);
  // One that has joined a running cluster is admitted by what its log, or its snapshot, says.
  const hasTakenPart = owner.admitted || runs.length > 0 || states.length > 0;
  const parts = [
    `${colours.bold(owner.node)} of cluster ${owner.cluster}, incarnation ${owner.incarnation}, in ${folder}${hasTakenPart ? "" : "\nIt has not taken part yet: the others have not met it, or not taken it in."}`,
    states.length === 0 ? "" : table([["snapshot", "of entry", "term", "pieces", "bytes", "damage"], ...states]),
    files.length === 0 ? "The log is empty." : table([["file", "writes", "entries", "terms", "bytes"], ...files]),
    base === 0 ? "" : `The log begins behind entry ${base}.`,
    runs.length === 0 ? "" : table([["term", "entries"], ...runs]),
    state === null
      ? ""
      : `term ${state.term}, ${state.vote === null ? "no vote" : `vote for ${state.vote}`}, committed ${state.commitIndex}`,
    tornBytes === 0 ? "" : `The last write was cut short: ${grouped(tornBytes)} bytes that the next start cuts off.`,
    divergedAt === null
      ? ""
      : colours.red(
          `Its state at entry ${divergedAt} was another than the majority's, and so may its snapshots be: it waits for theirs.`,
        ),
    damage === null
      ? colours.green("no damage")
      : colours.red(`DAMAGED ${damage.file} at offset ${damage.offset}: ${damage.why}`),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

const isFile = (file: string): Promise<boolean> =>
  stat(file).then(
    (found) => found.isFile(),
    () => false,
  );

async function showBackup(file: string, isJson: boolean): Promise<void> {
  const { cluster, index, term, bytes, pieces } = await verifyBackup(disk, file);
  if (isJson) {
    console.log(JSON.stringify({ file, cluster, index, term, bytes, pieces }));
    return;
  }
  const rows = [
    ["backup of", "up to entry", "term", "pieces", "bytes"],
    [cluster, `${index}`, `${term}`, grouped(pieces), grouped(bytes)],
  ];
  console.log(`${table(rows)}\n\n${colours.green("no damage")}`);
}

export async function run({ name, args }: Call): Promise<void> {
  const { values, words } = readArguments(usage(name), args, { json: { type: "boolean", default: false } }, ["PATH"]);
  const [given = ""] = words;
  if (await isFile(given)) {
    await showBackup(given, values.json);
    return;
  }
  let isSound = true;
  const folders = await nodeFolders(given);
  for (const [i, folder] of folders.entries()) {
    const gap = i === 0 ? "" : "\n\n";
    try {
      const inspection = await inspect(disk, folder);
      if (!isSoundAll(inspection)) isSound = false;
      console.log(values.json ? JSON.stringify({ folder, ...inspection }) : `${gap}${textOf(folder, inspection)}`);
    } catch (error) {
      if (!(error instanceof ConclaveError)) throw error;
      isSound = false;
      const { code, message } = error;
      const line = `${colours.red(code)} ${message}`;
      console.log(values.json ? JSON.stringify({ folder, error: { code, message } }) : `${gap}${line}`);
    }
  }
  process.exitCode = isSound ? 0 : 1;
}
