/** A follower whose event loop was held up reads what its sockets hold before it takes its leader for dead. */

import { spawn } from "node:child_process";
import * as path from "node:path";
import { createInterface } from "node:readline";
import * as assert from "uvu/assert";
import { Events } from "../support/network.ts";
import { suite } from "../support/suite.ts";
import { CLUSTER, type InProcess, withNodes } from "./in-process.ts";

/** More than any election timeout. */
const STALL_MS = 1_500;

/** Runs with n1 in this process, and its leader in another, which sends so much at a time. */
const withDistantLeader = (
  bytes: number,
  body: (cluster: InProcess, answers: Events<string>) => Promise<void>,
): Promise<void> =>
  withNodes(
    3,
    async (cluster) => {
      await cluster.start("n1", { directories: [] });
      const file = path.join(import.meta.dirname, "distant-leader.ts");
      const args = [file, CLUSTER, ...cluster.members.map(({ url }) => url), String(bytes)];
      const child = spawn(process.execPath, "Deno" in globalThis ? ["run", "--allow-all", ...args] : args, {
        stdio: ["ignore", "pipe", "inherit"],
      });
      try {
        const answers = new Events<string>();
        createInterface({ input: child.stdout }).on("line", (line) => answers.add(line));
        await cluster.told("n1").when("the leader", (story) => story.event === "following" && story.leader === "n2");
        await body(cluster, answers);
      } finally {
        child.kill("SIGKILL");
      }
    },
    { idle: true },
  );

function holdUp(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

const test = suite("node: stall");

for (const [what, bytes] of [
  ["heartbeats", 0],
  ["messages that take several reads each", 8 * 1024 * 1024],
] as const) {
  test(`${what} that lie in the socket are read before the leader is given up`, () =>
    withDistantLeader(bytes, async (cluster, answers) => {
      const { all } = cluster.told("n1");
      for (let round = 1; round <= 3; round++) {
        const [told, answered] = [all.length, answers.all.length];
        holdUp(STALL_MS);
        await answers.first(answered + 3); // It has read on, and its leader knows.
        const elections = all.slice(told).filter(({ event }) => event === "pre-vote" || event === "candidate");
        assert.equal(elections, [], `round ${round}`);
        assert.is(cluster.node("n1").status().leader, "n2");
      }
    }));
}

test.run();
