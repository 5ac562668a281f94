/** The shape of `cluster.config.json`, with its defaults and its rules. */

import * as v from "valibot";
import { DEFAULT_LIMITS, type Limits, limitTooLow } from "../limits.ts";

const positive = v.pipe(v.number(), v.integer("a whole number is needed"), v.minValue(1, "at least 1 is needed"));

const name = v.pipe(
  v.string(),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "use 1 to 64 letters, digits, dots, dashes or underscores"),
);

const url = v.pipe(
  v.string(),
  v.regex(/^wss?:\/\/[^/\s?#@]+:\d{1,5}(\/[A-Za-z0-9._~-]+)*$/, "write it as ws://HOST:PORT"),
  v.check((text) => URL.canParse(text), "write it as ws://HOST:PORT"),
  v.check((text) => !/:0+(\/|$)/.test(text), "name a port from 1 to 65535: others have to find it"),
);

const host = v.pipe(v.string(), v.minLength(1, "leave it out to bind to the url's host"));

const priority = v.pipe(
  v.number(),
  v.safeInteger("a whole number is needed"),
  v.description("Of nodes that could lead, the one with the highest is preferred. 0 by default."),
);

const limits = v.strictObject(
  Object.fromEntries(
    Object.entries(DEFAULT_LIMITS).map(([key, value]) => [key, v.optional(positive, value)]),
  ) as Record<keyof Limits, v.OptionalSchema<typeof positive, number>>,
);

export const configSchema = v.strictObject({
  $schema: v.optional(v.string()),
  cluster: v.pipe(name, v.description("The name of the cluster. Processes of different clusters do not talk.")),
  directories: v.pipe(
    v.array(v.strictObject({ url, host: v.optional(host), node: v.optional(name) })),
    v.minLength(1, "name at least one directory"),
    v.description(
      "Where directories listen: nodes register with all of them, clients use any that answers. One may name the node whose process runs it.",
    ),
  ),
  nodes: v.pipe(
    v.array(v.strictObject({ id: name, url, host: v.optional(host), priority: v.optional(priority) })),
    v.minLength(1, "name at least one node"),
    v.maxLength(31, "a cluster of more than 31 voters is slower, not safer"),
    v.description(
      "The members that the cluster begins with: id, address, the host to bind if it is not the address's, priority.",
    ),
  ),
  heartbeatMs: v.pipe(
    v.optional(positive, 100),
    v.description("How often the leader shows signs of life, in milliseconds."),
  ),
  electionTimeoutMinMs: v.pipe(
    v.optional(positive, 300),
    v.description("The shortest wait for a leader before an election, in milliseconds."),
  ),
  electionTimeoutMaxMs: v.pipe(v.optional(positive, 600), v.description("The longest such wait, in milliseconds.")),
  clockDriftMax: v.pipe(
    v.optional(
      v.nullable(v.pipe(v.number(), v.minValue(0, "0 is the least"), v.maxValue(0.9, "0.9 is the most"))),
      null,
    ),
    v.description(
      "How much faster than another a node's clock may run, as a share, if leaders are to serve reads under a lease.",
    ),
  ),
  allowedOrigins: v.pipe(
    v.optional(v.array(v.string()), []),
    v.description("Origins of web pages that may connect. None by default."),
  ),
  limits: v.pipe(v.optional(limits, {}), v.description("Bounds on memory and traffic; sizes in bytes.")),
});

/**
 * A configuration with its defaults filled in; what each field is for stands in the schema, for editors.
 *
 * @example
 * ```ts
 * import { type Config, parseConfig } from "conclave";
 *
 * const timeoutMs = ({ electionTimeoutMinMs, electionTimeoutMaxMs }: Config): number =>
 *   (electionTimeoutMinMs + electionTimeoutMaxMs) / 2;
 * const nodes = [{ id: "n1", url: "ws://10.0.0.1:7101" }];
 * const directories = [{ url: "ws://10.0.0.1:7000" }];
 * console.log(timeoutMs(parseConfig({ cluster: "demo", nodes, directories }, "demo"))); // 450
 * ```
 */
export interface Config {
  readonly $schema?: string | undefined;
  readonly cluster: string;
  readonly directories: readonly {
    readonly url: string;
    readonly host?: string | undefined;
    readonly node?: string | undefined;
  }[];
  readonly nodes: readonly {
    readonly id: string;
    readonly url: string;
    readonly host?: string | undefined;
    readonly priority?: number | undefined;
  }[];
  readonly heartbeatMs: number;
  readonly electionTimeoutMinMs: number;
  readonly electionTimeoutMaxMs: number;
  readonly clockDriftMax: number | null;
  readonly allowedOrigins: readonly string[];
  readonly limits: Limits;
}

/** An election timeout this many heartbeats long outlives two that are lost or late. */
const HEARTBEATS_PER_TIMEOUT_MIN = 3;

/** A rule that is broken: where, and what to do about it. */
interface Problem {
  readonly path: string;
  readonly remedy: string;
}

/** The rules that concern several fields at once. */
export function problemOf(config: Config): Problem | null {
  return (
    repeated(
      config.nodes.map(({ id }) => id),
      "nodes",
      "id",
      "give every node an id of its own",
    ) ??
    repeatedAddress(config) ??
    unknownNode(config) ??
    timingProblem(config) ??
    limitsProblem(config)
  );
}

function repeated(values: readonly string[], path: string, field: string, remedy: string): Problem | null {
  const index = values.findIndex((value, i) => values.indexOf(value) !== i);
  return index === -1 ? null : { path: `${path}[${index}].${field}`, remedy: `"${values[index]}" is taken: ${remedy}` };
}

function repeatedAddress({ directories, nodes }: Config): Problem | null {
  const places = [
    ...directories.map(({ url: address }, i) => ({ path: `directories[${i}].url`, address })),
    ...nodes.map(({ url: address }, i) => ({ path: `nodes[${i}].url`, address })),
  ].map(({ path, address }) => ({ path, host: new URL(address).host }));
  const second = places.find(({ host: taken }, i) => places.findIndex((place) => place.host === taken) !== i);
  if (second === undefined) return null;
  return { path: second.path, remedy: `${second.host} is taken: give every process a port of its own` };
}

function unknownNode({ directories, nodes }: Config): Problem | null {
  const index = directories.findIndex(({ node }) => node !== undefined && !nodes.some(({ id }) => id === node));
  if (index === -1) return null;
  return { path: `directories[${index}].node`, remedy: `no node "${directories[index]?.node}" is configured` };
}

function limitsProblem({ limits: given }: Config): Problem | null {
  const low = limitTooLow(given);
  if (low === null) return null;
  return {
    path: `limits.${low.limit}`,
    remedy: `${given[low.limit]} is too little, ${low.why}: use ${low.least} or more`,
  };
}

function timingProblem({ heartbeatMs, electionTimeoutMinMs, electionTimeoutMaxMs }: Config): Problem | null {
  const leastMs = HEARTBEATS_PER_TIMEOUT_MIN * heartbeatMs;
  if (electionTimeoutMinMs < leastMs) {
    const remedy = `${electionTimeoutMinMs} ms is too close to the heartbeat of ${heartbeatMs} ms: use ${leastMs} or more`;
    return { path: "electionTimeoutMinMs", remedy };
  }
  if (electionTimeoutMaxMs <= electionTimeoutMinMs) {
    return { path: "electionTimeoutMaxMs", remedy: `use more than electionTimeoutMinMs, ${electionTimeoutMinMs}` };
  }
  return null;
}
