/**
 * An HTTP service of which any number of processes share one rate limit: `PORT=8080 node scripts/examples/rate-limiter.mts`,
 * as often as you like, with another PORT each. NODES may name the nodes.
 */

import { createServer } from "node:http";
import { connect, hasCode } from "../../src/index.ts"; // In a program of your own: "conclave".

const client = await connect({ nodes: (process.env["NODES"] ?? "ws://127.0.0.1:7101").split(",") });
/** Three at once, and as many again evenly in every minute: for each caller, whichever process is asked. */
const limiter = client.rateLimiter("example", { limit: 3, perMs: 60_000 });

const server = createServer(async (request, response) => {
  const caller = request.headers["x-user"]?.toString() ?? request.socket.remoteAddress ?? "";
  try {
    const { allowed, remaining, retryAfterMs } = await limiter.take(caller, 1, { timeoutMs: 2_000 });
    response.setHeader("ratelimit-remaining", remaining);
    if (!allowed) response.setHeader("retry-after", Math.ceil(retryAfterMs / 1_000));
    response.writeHead(allowed ? 200 : 429).end(allowed ? "welcome\n" : "too many requests\n");
  } catch (error) {
    // The cluster does not answer: whether to let everybody in then, or nobody, is for each service to decide.
    response.writeHead(hasCode(error, "NO_LEADER") ? 503 : 500).end(`${error}\n`);
  }
});
server.listen(Number(process.env["PORT"] ?? 8080), "127.0.0.1", () => console.log("listening"));

process.once("SIGTERM", () => {
  server.closeAllConnections();
  server.close(() => void client.close());
});
