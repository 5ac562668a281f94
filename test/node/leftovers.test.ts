/** What a life of a node had no time to remove, the next one does. */

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { eventually } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { withNodes } from "./in-process.ts";

const test = suite("node: leftovers");

test("an old snapshot goes when the node starts again, although its log does not grow", () =>
  withNodes(
    1,
    async (cluster) => {
      const folder = path.join(cluster.folder, "n1");
      const hasSnapshot = (): boolean => readdirSync(folder).some((name) => name.endsWith(".snap"));
      const client = await cluster.client();
      for (let i = 0; !hasSnapshot(); i++) await client.put("k", `${i}`.repeat(1_000));
      await cluster.stop("n1");
      // Even one that can't be read: a newer one stands for it.
      const old = path.join(folder, "snapshot-0000000000000001.snap");
      writeFileSync(old, "old");
      await cluster.start("n1");
      await eventually("the old snapshot to go", () => !existsSync(old));
    },
    { limits: { logBytesMax: 64 * 1024, segmentBytesMax: 8 * 1024 } },
  ));

test.run();
