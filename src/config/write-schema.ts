/** `npm run schema`: writes the JSON schema anew. A test fails when the file is out of date. */

import { writeFile } from "node:fs/promises";
import { JSON_SCHEMA_FILE, jsonSchemaText } from "./json-schema.ts";

await writeFile(JSON_SCHEMA_FILE, jsonSchemaText());
