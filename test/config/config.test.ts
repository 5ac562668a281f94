/** `cluster.config.json`: its defaults, and that each mistake ends in one line with file, path and remedy. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import * as assert from "uvu/assert";
import { hostOf, parseConfig, portOf, readConfig } from "../../src/config/index.ts";
import { JSON_SCHEMA_FILE, jsonSchemaText } from "../../src/config/json-schema.ts";
import { ConclaveError } from "../../src/errors.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { suite } from "../support/suite.ts";

const FILE = "my.config.json";

const node = (id: string, port: number): object => ({ id, url: `ws://127.0.0.1:${port}` });

const valid = (changes: object = {}): object => ({
  cluster: "test",
  directories: [{ url: "ws://127.0.0.1:7000" }],
  nodes: [node("n1", 7101), node("n2", 7102)],
  ...changes,
});

/** The one line that a mistake gives, without the name of the file that it begins with. */
function mistake(json: unknown): string {
  try {
    parseConfig(json, FILE);
  } catch (error) {
    if (!(error instanceof ConclaveError)) throw error;
    assert.is(error.code, "CONFIG_INVALID");
    assert.not(error.message.includes("\n"), `more than one line: ${error.message}`);
    assert.ok(error.message.startsWith(`${FILE}: `), `no file is named: ${error.message}`);
    return error.message.slice(FILE.length + 2);
  }
  throw new Error("the mistake was not noticed");
}

async function mistakeInFile(file: string): Promise<string> {
  const error = await readConfig(file).then(
    () => new Error("the mistake was not noticed"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConclaveError)) throw error;
  assert.is(error.code, "CONFIG_INVALID");
  assert.not(error.message.includes("\n"), `more than one line: ${error.message}`);
  assert.ok(error.message.startsWith(`${file}: `), error.message);
  return error.message;
}

const folder = mkdtempSync(path.join(os.tmpdir(), "conclave-config-"));

const test = suite("config");
test.after(() => rmSync(folder, { recursive: true, force: true }));

test("what is left out gets its default", () => {
  const config = parseConfig(valid(), FILE);
  assert.is(config.heartbeatMs, 100);
  assert.is(config.electionTimeoutMinMs, 300);
  assert.is(config.electionTimeoutMaxMs, 600);
  assert.equal(config.allowedOrigins, []);
  assert.equal(config.limits, DEFAULT_LIMITS);
});

test("what is given is kept, and one limit changes only itself", () => {
  const config = parseConfig(valid({ heartbeatMs: 20, limits: { readsMax: 7 } }), FILE);
  assert.is(config.heartbeatMs, 20);
  assert.equal(config.limits, { ...DEFAULT_LIMITS, readsMax: 7 });
});

/** A mistake, where it is, and a word of the remedy. */
const MISTAKES: readonly (readonly [string, unknown, string, RegExp])[] = [
  ["a key that is not known", valid({ hartbeatMs: 50 }), "hartbeatMs", /not known: remove it, or check its spelling/],
  ["a limit that is not known", valid({ limits: { maxReads: 1 } }), "limits.maxReads", /not known/],
  [
    "a key of a node that is not known",
    valid({ nodes: [{ ...node("n1", 1), port: 1 }] }),
    "nodes[0].port",
    /not known/,
  ],
  ["a string for a number", valid({ heartbeatMs: "50" }), "heartbeatMs", /number is needed, not "50"/],
  ["a number for a list", valid({ nodes: 3 }), "nodes", /Array is needed, not 3/],
  ["a node that is no object", valid({ nodes: ["n1"] }), "nodes[0]", /is needed, not "n1"/],
  ["null", null, "the top level", /is needed, not null/],
  ["a list", [], "cluster", /missing: add it/],
  ["no cluster", valid({ cluster: undefined }), "cluster", /missing: add it|is needed/],
  ["no nodes key", { cluster: "c", directories: [{ url: "ws://h:1" }] }, "nodes", /this is missing: add it/],
  ["no url", valid({ nodes: [{ id: "n1" }] }), "nodes[0].url", /this is missing: add it/],
  ["no node", valid({ nodes: [] }), "nodes", /name at least one node/],
  ["no directory", valid({ directories: [] }), "directories", /name at least one directory/],
  ["too many nodes", valid({ nodes: Array.from({ length: 32 }, (_, i) => node(`n${i}`, 7100 + i)) }), "nodes", /31/],
  ["a name with a space", valid({ cluster: "my cluster" }), "cluster", /letters, digits.*not "my cluster"/],
  ["an id with a slash", valid({ nodes: [node("../n1", 1)] }), "nodes[0].id", /letters, digits/],
  ["an http address", valid({ directories: [{ url: "http://h:1" }] }), "directories[0].url", /ws:\/\/HOST:PORT/],
  ["an address without a port", valid({ nodes: [{ id: "a", url: "ws://h" }] }), "nodes[0].url", /ws:\/\/HOST:PORT/],
  ["a port past 65535", valid({ nodes: [node("n1", 70_000)] }), "nodes[0].url", /ws:\/\/HOST:PORT/],
  ["a host that is empty", valid({ nodes: [{ ...node("n1", 1), host: "" }] }), "nodes[0].host", /leave it out/],
  ["a heartbeat of zero", valid({ heartbeatMs: 0 }), "heartbeatMs", /at least 1 is needed, not 0/],
  ["half a millisecond", valid({ heartbeatMs: 0.5 }), "heartbeatMs", /whole number/],
  ["a negative limit", valid({ limits: { readsMax: -1 } }), "limits.readsMax", /at least 1/],
  [
    "messages too small for a compare-and-swap of two values",
    valid({ limits: { valueBytesMax: 2_000_000, messageBytesMax: 4_000_000 } }),
    "limits.messageBytesMax",
    /4000000 is too little.*use 4066560 or more/,
  ],
  [
    "messages too small for a batch of commands",
    valid({ limits: { valueBytesMax: 1, messageBytesMax: 500_000 } }),
    "limits.messageBytesMax",
    /too little.*use 589824 or more/,
  ],
  [
    "a send buffer too small for messages",
    valid({ limits: { sendBufferBytesMax: 8_388_608 } }),
    "limits.sendBufferBytesMax",
    /two messages.*use 16777216 or more/,
  ],
  [
    "a send buffer too small for what is on the way to a follower",
    valid({ limits: { appendBytesInFlightMax: 33_554_432 } }),
    "limits.sendBufferBytesMax",
    /sent again because it is late.*use 134217728 or more/,
  ],
  [
    "a share of proposals that one client overruns",
    valid({ limits: { linkProposalsMax: 100 } }),
    "limits.linkProposalsMax",
    /100 is too little, a client has that much unanswered: use 2048 or more/,
  ],
  [
    "a share of their bytes that one client overruns",
    valid({ limits: { linkProposalBytesMax: 4_194_304 } }),
    "limits.linkProposalBytesMax",
    /use 4325376 or more/,
  ],
  ["a share of reads that one client overruns", valid({ limits: { linkReadsMax: 255 } }), "limits.linkReadsMax", /256/],
  [
    "a share of their bytes that one client overruns",
    valid({ limits: { linkReadBytesMax: 1_000_000 } }),
    "limits.linkReadBytesMax",
    /use 4325376 or more/,
  ],
  ["a window that clients overrun", valid({ limits: { sessionWindowMax: 100 } }), "limits.sessionWindowMax", /2048/],
  ["an id twice", valid({ nodes: [node("n1", 1), node("n1", 2)] }), "nodes[1].id", /"n1" is taken/],
  ["a port twice", valid({ nodes: [node("n1", 1), node("n2", 1)] }), "nodes[1].url", /127\.0\.0\.1:1 is taken/],
  ["a directory's port", valid({ nodes: [node("n1", 7000)] }), "nodes[0].url", /127\.0\.0\.1:7000 is taken/],
  [
    "an election timeout close to the heartbeat",
    valid({ heartbeatMs: 101 }),
    "electionTimeoutMinMs",
    /too close.*use 303 or more/,
  ],
  ["timeouts without a range", valid({ electionTimeoutMaxMs: 300 }), "electionTimeoutMaxMs", /more than.*300/],
];

for (const [what, json, where, remedy] of MISTAKES) {
  test(`${what}: one line with file, path and remedy`, () => {
    const line = mistake(json);
    assert.is(line.slice(0, line.indexOf(": ")), where);
    assert.match(line, remedy);
  });
}

test("a port of 0, which the system would choose, is refused: nobody could find the process", () => {
  assert.match(mistake(valid({ nodes: [node("n1", 0)] })), /^nodes\[0\]\.url: /);
});

test("a file that is not there: the line names it and says what to do", async () => {
  assert.match(await mistakeInFile(path.join(folder, "none.json")), /no such file: create it.*--config/);
});

test("a file that can't be read as a file gives one line as well", async () => {
  await mistakeInFile(folder);
});

test("a file that is not JSON: the line says so", async () => {
  const file = path.join(folder, "broken.json");
  writeFileSync(file, '{ "cluster": "test",\n\n oops');
  assert.match(await mistakeInFile(file), /this is not JSON/);
});

test("a mistake in a file is told with the file's name", async () => {
  const file = path.join(folder, "mistaken.json");
  writeFileSync(file, JSON.stringify(valid({ heartbeatMs: 0 })));
  assert.match(await mistakeInFile(file), /heartbeatMs: at least 1/);
});

test("the project's own configuration is valid", async () => {
  const config = await readConfig(path.join(import.meta.dirname, "..", "..", "cluster.config.json"));
  assert.ok(config.nodes.length >= 3);
});

test("the JSON schema file is up to date", () => {
  assert.is(readFileSync(JSON_SCHEMA_FILE, "utf8"), jsonSchemaText());
});

test("an editor that follows the schema learns every key and every limit", () => {
  const schema: { properties: Record<string, { properties?: object }> } = JSON.parse(jsonSchemaText());
  assert.equal(
    Object.keys(schema.properties).sort(),
    Object.keys({ $schema: "", ...parseConfig(valid(), FILE) }).sort(),
  );
  assert.equal(Object.keys(schema.properties["limits"]?.properties ?? {}), Object.keys(DEFAULT_LIMITS));
});

test("host and port to bind follow from the address unless a host is given", () => {
  assert.is(portOf("ws://127.0.0.1:7101"), 7101);
  assert.is(portOf("wss://example.org:443"), 443);
  assert.is(portOf("ws://example.org:80"), 80);
  assert.is(hostOf({ url: "ws://127.0.0.1:7101" }), "127.0.0.1");
  assert.is(hostOf({ url: "ws://[::1]:7101" }), "::1");
  assert.is(hostOf({ url: "ws://example.org:7101", host: "0.0.0.0" }), "0.0.0.0");
});

test.run();
