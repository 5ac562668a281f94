/** Simulates whole clusters, or breaks a rule in them: the mutants are part of the tests, and not of what is published. */

import { runAsScript } from "../../src/cli/command-line.ts";
import { fail } from "../../src/cli/process.ts";

const args = process.argv.slice(2);

if (args.includes("--mutants")) {
  const { runMutants } = await import("../../test/simulation/mutants/run.ts");
  process.exit(await runMutants(args.filter((word) => word !== "--mutants")).catch(fail));
}
if (args.includes("--help")) {
  console.log(`usage: simulate --mutants [--only NAME]... [--starts N] [--seeds N] [--survive N] [--markdown]

  --mutants       break one rule of the real code after another, and see after how many seeds each is noticed
`);
}
await runAsScript("simulate", "simulate.ts", args);
