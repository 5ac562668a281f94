/**
 * Ports for processes that stop and are started again where they were. The system is not asked to choose them: it
 * chooses among those that it also gives to outgoing connections, and one of these may have it when its owner is back.
 */

import { createServer } from "node:net";

/** Systems give outgoing connections ports from 32,768 or 49,152 on. */
const FIRST = 12_000;
const END = 32_000;
const BLOCK = 32;

/** What this process has of its newest block, and has not given away. */
const left: number[] = [];

/** Whether one could listen there now; if so, and as long as `hold` says, nobody else can. */
function tries(port: number, { hold }: { readonly hold: boolean }): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => {
      if (hold) {
        server.unref();
        resolve(true);
      } else server.close(() => resolve(true));
    });
  });
}

/** Each block belongs to the process that listens on its first port, until it ends. */
async function takeBlock(): Promise<void> {
  const blocks = Math.floor((END - FIRST) / BLOCK);
  const first = Math.floor(Math.random() * blocks);
  for (let i = 0; i < blocks; i++) {
    const guard = FIRST + ((first + i) % blocks) * BLOCK;
    if (!(await tries(guard, { hold: true }))) continue;
    for (let port = guard + 1; port < guard + BLOCK; port++) left.push(port);
    return;
  }
  throw new Error("no block of ports is free");
}

/** Ports that nobody listens on; they are no other process's that asks here, and none comes twice. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    if (left.length === 0) await takeBlock();
    const port = left.shift();
    if (port !== undefined && (await tries(port, { hold: false }))) ports.push(port);
  }
  return ports;
}
