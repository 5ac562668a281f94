/** A rate limit that clients share, while leaders come and go. */

import * as assert from "uvu/assert";
import { codeOf } from "../../support/network.ts";
import { suite } from "../../support/suite.ts";
import { withClients } from "./clients.ts";

const test = suite("rate limiter");

test("all clients together are allowed what one would be, whoever leads", () =>
  withClients(async (clients, cluster) => {
    const HOUR_MS = 3_600_000;
    const limit = { limit: 20, perMs: HOUR_MS };
    let allowed = 0;
    const all = clients.map(async (client, i) => {
      const api = client.rateLimiter("api", limit);
      for (let n = 0; n < 10; n++) {
        const answer = await api.take("ann");
        if (answer.allowed) allowed++;
        else assert.ok(answer.retryAfterMs > 0 && answer.remaining === 0);
        if (i === 0 && n === 3) cluster.kill((await cluster.leader()).id);
      }
    });
    await Promise.all(all);
    assert.is(allowed, 20);
    const [a] = clients;
    const api = a.rateLimiter("api", limit);
    assert.equal(await api.take("bob", 5), { allowed: true, remaining: 15, retryAfterMs: 0 });
    assert.equal(await api.take("bob", 0), { allowed: true, remaining: 15, retryAfterMs: 0 });
    assert.is((await api.take()).remaining, 19);
    assert.is(await codeOf(api.take("bob", 21)), "REJECTED");
    assert.is(await codeOf(a.rateLimiter("api", { limit: 0, perMs: 1 }).take()), "REJECTED");
  }));

test("what was refused is allowed after the time that was told", () =>
  withClients(async ([a]) => {
    const api = a.rateLimiter("api", { limit: 2, perMs: 400 });
    assert.ok((await api.take("", 2)).allowed);
    const { allowed, retryAfterMs } = await api.take("", 2);
    assert.not(allowed);
    assert.ok(retryAfterMs <= 400);
    for (let answer = await api.take("", 2); !answer.allowed; answer = await api.take("", 2)) {
      assert.ok(answer.retryAfterMs <= retryAfterMs);
    }
  }));

test.run();
