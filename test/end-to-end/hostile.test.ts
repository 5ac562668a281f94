/** Garbage at every port of a cluster that serves. */

import { connect as connectTcp } from "node:net";
import * as assert from "uvu/assert";
import { WebSocket } from "ws";
import { suite } from "../support/suite.ts";
import { type Cluster, withCluster } from "./cluster.ts";

const test = suite("end to end: hostile peers");

const ROUNDS = 20;

/** A connection that sends something, and how it was closed. */
function closedAfter(url: string, message: Uint8Array | string): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    socket.on("open", () => socket.send(message));
    socket.on("error", () => {});
    socket.on("close", (code) => resolve(code));
  });
}

/** Bytes that are not WebSocket at all; resolves when the other side has had enough. */
function rawBytes(url: string, bytes: Uint8Array): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connectTcp(Number(port), hostname, () => socket.write(bytes));
    socket.on("error", () => {});
    socket.on("close", () => resolve());
    socket.resume();
  });
}

const noise = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i + 1, 2654435761) ^ Math.imul(seed + 1, 40503)) >>> 13);

const portsOf = (cluster: Cluster): string[] => [cluster.directoryUrl, ...cluster.urls.values()];

test("garbage, oversized and text frames are closed with the right code while the cluster serves", () =>
  withCluster(
    3,
    async (cluster) => {
      const client = await cluster.client();
      let stop = false;
      const writing = (async () => {
        let written = 0;
        for (; !stop; written++) await client.put("k", String(written));
        return written;
      })();
      for (const url of portsOf(cluster)) {
        for (let i = 0; i < ROUNDS; i++) assert.is(await closedAfter(url, noise(1 + i * 7, i)), 1002, "garbage");
        assert.is(await closedAfter(url, "hello"), 1003, "text");
        assert.is(await closedAfter(url, new Uint8Array(2_000_000)), 1009, "oversized");
        await rawBytes(url, noise(500, 1));
      }
      stop = true;
      const written = await writing;
      assert.ok(written > 0);
      assert.is((await client.get("k"))?.value, String(written - 1));
      const processes = [cluster.directory, ...cluster.nodes.values()];
      for (const running of processes) assert.is(running?.child.exitCode, null, "every process lives");
      for (const { process: name, event } of processes.flatMap((running) => running?.lines ?? [])) {
        assert.is.not(event, "handler-failed", name);
      }
    },
    { limits: { valueBytesMax: 500_000, messageBytesMax: 1_500_000 } },
  ));

test("a page in a browser may not connect, unless its origin is allowed", () =>
  withCluster(
    1,
    async (cluster) => {
      const url = cluster.urls.get("n1") ?? "";
      const open = (origin: string): Promise<string> =>
        new Promise((resolve) => {
          const socket = new WebSocket(url, { origin });
          socket.on("open", () => {
            socket.terminate();
            resolve("open");
          });
          socket.on("error", (error) => resolve(error.message));
        });
      assert.match(await open("http://evil.example"), "403");
      assert.is(await open("http://good.example"), "open");
    },
    { allowedOrigins: ["http://good.example"] },
  ));

test.run();
