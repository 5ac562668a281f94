#!/usr/bin/env node
/** `conclave`, as it is installed. */

import { runCommandLine } from "./command-line.ts";

await runCommandLine(process.argv.slice(2));
