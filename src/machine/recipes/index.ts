/** The machines behind the recipes of the client: every cluster has them, and they are machines like any other. */

import type { AnyMachine } from "../definition.ts";
import { barriers } from "./barriers.ts";
import { caches } from "./caches.ts";
import { leases } from "./leases.ts";
import { locks } from "./locks.ts";
import { queues } from "./queues.ts";
import { rateLimits } from "./rate-limits.ts";

export const RECIPES: readonly AnyMachine[] = [barriers, caches, leases, locks, queues, rateLimits];
