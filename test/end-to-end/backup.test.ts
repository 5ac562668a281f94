/** What one cluster held, in another one: by the commands that a person types. */

import { existsSync } from "node:fs";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster, type Running, withCluster } from "./cluster.ts";

const test = suite("end to end: backup");

const run = async (cluster: Cluster, ...args: readonly string[]): Promise<Running> => {
  const running = cluster.run("client.ts", args);
  await running.exited;
  return running;
};

test("a backup is taken while clients write, and restored into a new cluster", () =>
  withCluster(3, async (cluster) => {
    const client = await cluster.client();
    const file = path.join(cluster.folder, "copy.backup");
    let isOver = false;
    let written = 0;
    const writer = (async () => {
      while (!isOver) {
        // Both at once or neither: a copy of one moment has them alike, or the first one step ahead.
        await client.put("first", String(++written));
        await client.put("second", String(written));
      }
    })();
    for (let i = 0; i < 500; i++) await client.put(`key-${i}`, `value ${i}`);
    const backedUp = await run(cluster, "--json", "backup", file);
    assert.is((await backedUp.exited).code, 0, backedUp.errors);
    assert.ok(existsSync(file));
    isOver = true;
    await writer;

    const other = await Cluster.start(1, { cluster: "another" });
    try {
      const restored = await run(other, "restore", file);
      assert.is((await restored.exited).code, 0, restored.errors);
      const reader = await other.client();
      const first = Number((await reader.get("first"))?.value);
      const second = Number((await reader.get("second"))?.value);
      assert.ok(
        first >= 1 && first - second <= 1 && first >= second,
        `${first} and ${second} are of different moments`,
      );
      for (let i = 0; i < 500; i++) assert.is((await reader.get(`key-${i}`))?.value, `value ${i}`);
      await reader.put("key-0", "changed");
      const refused = await run(other, "restore", file);
      assert.is((await refused.exited).code, 1);
      assert.is((await reader.get("key-0"))?.value, "changed", "a cluster that holds something keeps it");
    } finally {
      await other.stop();
    }
  }));

test.run();
