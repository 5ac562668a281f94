/** The node actor alone: deliveries go in by hand, and nothing around it is real but its log. */

import * as assert from "uvu/assert";
import type { ActorContext, Delivery, Peer } from "../../src/actor/index.ts";
import { DEFAULT_LIMITS, KeyValueMachine, realEnvironment } from "../../src/index.ts";
import { Replica } from "../../src/machine/index.ts";
import { NodeActor, type NodeEvent } from "../../src/node/node.ts";
import { encodeMessage } from "../../src/node/raft-codec.ts";
import { Recovery } from "../../src/node/stored.ts";
import type { NodeAnswer, NodeMessage } from "../../src/protocol/node.ts";
import { bootstrap, createRaft, logIndex, term } from "../../src/raft/index.ts";
import { SnapshotStore, Wal } from "../../src/storage/index.ts";
import { MemoryDisk } from "../../src/testing/memory-disk.ts";
import { suite } from "../support/suite.ts";

const MEMBERS = ["n1", "n2", "n3"].map((id, i) => ({ id, url: `ws://127.0.0.1:${7101 + i}` }));

type NodeDelivery = Delivery<NodeMessage, NodeAnswer, NodeEvent>;

async function startAlone(): Promise<{ readonly node: NodeActor; deliver(delivery: NodeDelivery): void }> {
  const disk = new MemoryDisk(["/n1"]);
  const beginning = { index: logIndex(0), term: term(0), configuration: bootstrap(MEMBERS) };
  const recovery = new Recovery(beginning, DEFAULT_LIMITS.logCacheBytesMax);
  const { clock } = realEnvironment;
  const { segmentBytesMax } = DEFAULT_LIMITS;
  const wal = await Wal.open(disk, "/n1", { clock, salt: 1, segmentBytesMax, reserveBytes: 0 }, recovery);
  const context: ActorContext<NodeEvent> = {
    name: "node",
    ref: () => {
      throw new Error("nobody is called here");
    },
    keepLink: () => () => {},
    watch: () => {},
    post: () => {},
  };
  const config = {
    id: "n1",
    incarnation: "n1",
    clockDriftMax: null,
    heartbeatMs: 60_000,
    electionTimeoutMinMs: 600_000,
    electionTimeoutMaxMs: 900_000,
    evidenceDelayMaxMs: 600_000,
    appendBytesMax: 1_024,
    appendsInFlightMax: 1,
    appendBytesInFlightMax: 1_024,
    logCacheBytesMax: 1_024,
  };
  const node = new NodeActor(context, {
    environment: { ...realEnvironment, disk },
    cluster: "test",
    url: "ws://127.0.0.1:7101",
    directories: [],
    join: [],
    raft: createRaft(config, { ...recovery.recovered, isAdmitted: true }, realEnvironment.clock.nowMs(), 1),
    wal,
    store: await SnapshotStore.open(disk, "/n1", { salt: 1 }),
    isRemoved: false,
    firstMet: (id) => id,
    leave: () => Promise.resolve(),
    replica: new Replica(new KeyValueMachine(), () => {}),
    limits: DEFAULT_LIMITS,
    tell: () => {},
    admit: () => Promise.resolve(),
    onFatal: (error) => {
      throw error;
    },
  });
  return { node, deliver: (delivery) => void node.behaviour([delivery]) };
}

/** One life of n2's process. */
const processOfN2 = (life: string): Peer => ({
  hello: {
    protocol: 1,
    cluster: "test",
    process: life,
    name: "n2",
    incarnation: "n2",
    epoch: "",
    url: MEMBERS[1]?.url ?? null,
  },
  bufferedBytes: 0,
  ref: () => ({ tell: () => true, ask: () => Promise.reject(new Error("nothing is asked here")) }),
});

function heartbeat(peer: Peer, inTerm: number): NodeDelivery {
  const packed = encodeMessage({
    type: "heartbeat-request",
    term: term(inTerm),
    round: 1,
    commitIndex: logIndex(0),
  });
  return { type: "message", message: { type: "raft", packed }, sender: { name: "node", peer }, answer: null };
}

const test = suite("node: actor");

test("a member is heard over the link that stands, not over one that it has left behind", async () => {
  const { node, deliver } = await startAlone();
  const [before, after] = [processOfN2("before"), processOfN2("after")];
  const url = MEMBERS[1]?.url ?? null;
  deliver({ type: "link", up: true, url, peer: before });
  deliver(heartbeat(before, 3));
  assert.is(node.status().term, 3);
  deliver({ type: "link", up: true, url, peer: after });
  deliver(heartbeat(before, 5));
  assert.is(node.status().term, 3, "what an older process said late is not heard");
  deliver({ type: "link", up: false, url, peer: before });
  assert.is(node.status().links["n2"], true, "nor is its end the end of the newer link");
  deliver(heartbeat(after, 4));
  assert.is(node.status().term, 4);
  node.stop();
});

test.run();
