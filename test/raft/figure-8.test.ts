/** Figure 8 of the paper: why a leader does not count the replicas of an entry of an earlier term (5.4.2). */

import * as assert from "uvu/assert";
import { suite } from "../support/suite.ts";
import { Cluster } from "./cluster.ts";

const test = suite("raft: Figure 8");

const SERVERS = ["S1", "S2", "S3", "S4", "S5"];

/** The figure up to (c): S1 leads term 4 and knows a majority that holds entry 2, which is of term 2. */
function upToC(): Cluster {
  // One entry per message, so that entry 2 can arrive without entry 3.
  const cluster = new Cluster(SERVERS, Object.fromEntries(SERVERS.map((id) => [id, { log: [1] }])), {
    appendBytesMax: 1,
  });

  // (a) S1 is leader of term 2 and replicates entry 2 to S2 only.
  electWithout(cluster, "S1");
  cluster.deliver("S1", "S2");
  assert.equal(cluster.at("S2").terms, [1, 2]);

  // (b) S1 crashes. S5 is elected for term 3 by S3, S4 and itself, and takes a different entry 2.
  cluster.crash("S1");
  cluster.crash("S2");
  electWithout(cluster, "S5");
  assert.equal(cluster.at("S5").durableTerms, [1, 3]);

  // (c) S5 crashes. S1 restarts, is elected for term 4, and goes on replicating entry 2.
  cluster.crash("S5");
  cluster.restart("S1");
  cluster.restart("S2");
  electWithout(cluster, "S1");
  assert.is(cluster.at("S1").raft.term, 4);
  for (const follower of ["S3", "S4"]) {
    cluster.deliver("S1", follower); // It has no entry 2 and rejects entry 3.
    cluster.deliver(follower, "S1");
    cluster.deliver("S1", follower); // Now entry 2 alone.
    assert.equal(cluster.at(follower).durableTerms, [1, 2]);
    cluster.deliver(follower, "S1");
  }
  return cluster;
}

/** Elects a leader, and leaves its first AppendEntries waiting on the links. */
function electWithout(cluster: Cluster, id: string): void {
  const candidate = cluster.at(id);
  // A candidate that was away learns the term from the first try and wins with the second.
  for (let tries = 0; candidate.role !== "leader" && tries < 2; tries++) {
    cluster.stand(id);
    for (const other of [...SERVERS, ...SERVERS, ...SERVERS, ...SERVERS]) {
      if (candidate.role !== "leader" && !cluster.deliver(id, other)) cluster.deliver(other, id);
    }
  }
  assert.is(candidate.role, "leader", id);
  for (const other of SERVERS) {
    while (cluster.waiting(id, other)[0]?.type === "vote-request") cluster.deliver(id, other);
    cluster.drop(other, id);
  }
}

test("(c) an entry of an earlier term is not committed, though a majority holds it", () => {
  const cluster = upToC();
  const holders = cluster.servers.filter((server) => server.disk.entries[1]?.term === 2);

  assert.is(holders.length, 4);
  assert.is(cluster.at("S1").raft.commitIndex, 0);
});

test("(d) for a server that lacks it may still be elected and overwrite it", () => {
  const cluster = upToC();
  cluster.crash("S1");
  cluster.restart("S5");
  cluster.stand("S5");
  cluster.settle(); // S2, S3 and S4 are in term 4 already: the first try only teaches S5 that.
  cluster.elect("S5");

  for (const server of cluster.running) assert.equal(server.terms.slice(0, 2), [1, 3], server.id);
});

test("(e) once an entry of the current term is on a majority, everything before it is committed", () => {
  const cluster = upToC();
  cluster.deliver("S1", "S3");
  cluster.deliver("S3", "S1");
  assert.is(cluster.at("S1").raft.commitIndex, 0, "S1 and S3 hold entry 3");

  cluster.deliver("S1", "S2");
  cluster.deliver("S2", "S1");
  assert.is(cluster.at("S1").raft.commitIndex, 3, "S1, S2 and S3 do");

  // S5 can't win any more: S2 and S3 are more up-to-date.
  cluster.crash("S1");
  cluster.restart("S5");
  cluster.stand("S5");
  cluster.settle();
  cluster.stand("S5");
  cluster.settle();
  assert.is.not(cluster.at("S5").role, "leader");
});

test.run();
