/** The real disk and the one in memory keep the same contract. */

import * as fs from "node:fs/promises";
import * as os from "node:os";
import * as path from "node:path";
import { disk } from "../../src/environment/disk.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { suite } from "../support/suite.ts";
import { keepsTheContract } from "./disk-contract.ts";

const root = await fs.mkdtemp(path.join(os.tmpdir(), "conclave-disk-"));
const real = suite("the real disk");
keepsTheContract(real, disk, () => fs.mkdtemp(path.join(root, "folder-")));
real.after(() => fs.rm(root, { recursive: true }));
real.run();

const memory = suite("the disk in memory");
const memoryDisk = new MemoryDisk();
let folders = 0;
keepsTheContract(memory, memoryDisk, async () => {
  const folder = `root/folder-${folders++}`;
  await memoryDisk.makeFolder(folder);
  return folder;
});
memory.run();
