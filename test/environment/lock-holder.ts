/** A process that takes the lock of a folder, says how that went, and holds it until its input ends. */

import { lockFolder } from "../../src/environment/lock.ts";
import { codeOf } from "./code-of.ts";

const locked = lockFolder(process.argv[2] ?? "");
console.log((await codeOf(locked)) === "resolved" ? "locked" : await codeOf(locked));
process.stdin.resume();
process.stdin.once("end", () => process.exit(0));
