/** Directories in the process of a node. */

import * as assert from "uvu/assert";
import { freePorts } from "../../src/cli/ports.ts";
import { parseConfig } from "../../src/config/index.ts";
import { closeAll, startDirectories } from "../../src/embed/directories.ts";
import { realEnvironment } from "../../src/environment/real.ts";
import { codeOf } from "../support/network.ts";
import { suite } from "../support/suite.ts";

const test = suite("embed: directories");

const noteNothing = () => () => {};

test("a node's own are started, all of them or none", async () => {
  const [a, b, c, n1, n2] = (await freePorts(5)).map((port) => `ws://127.0.0.1:${port}`);
  const config = (...given: readonly object[]) =>
    parseConfig(
      {
        cluster: "test",
        directories: given,
        nodes: [
          { id: "n1", url: n1 },
          { id: "n2", url: n2 },
        ],
      },
      "it",
    );
  const shared = config({ url: a, node: "n1" }, { url: b, node: "n2" }, { url: c });
  const own = await startDirectories(shared, "n2", realEnvironment, noteNothing);
  assert.equal(
    own.map(({ port }) => `ws://127.0.0.1:${port}`),
    [b],
  );

  const both = config({ url: a, node: "n1" }, { url: b, node: "n1" });
  assert.is(await codeOf(startDirectories(both, "n1", realEnvironment, noteNothing)), "ADDRESS_IN_USE");
  await closeAll(own);
  const again = await startDirectories(both, "n1", realEnvironment, noteNothing);
  assert.is(again.length, 2, "the other's port was free again");
  await closeAll(again);
});

test.run();
