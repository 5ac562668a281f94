/** Where the command line itself is: what was compiled, or in the repository what finds a Node that reads its sources. */

import { fileURLToPath } from "node:url";

/** Then this is in some folder of dist/, whichever file it has become a part of. */
const isCompiled = import.meta.url.endsWith(".js");
const fileOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** The file that a runtime is given to run a command in a process of its own. */
export const ENTRY = fileOf(isCompiled ? "../cli/main.js" : "../../scripts/conclave.ts");

/** What a person types before the name of a command. */
export const TYPED = isCompiled ? "npx conclave" : "node scripts/conclave.ts";

/** The folder of the package, in which its dependencies are found. */
export const PACKAGE_FOLDER = fileOf("../../");
