/** The JSON schema for editors, made from the same schema that the configuration is checked with. */

import { toJsonSchema } from "@valibot/to-json-schema";
import { configSchema } from "./schema.ts";

export const JSON_SCHEMA_FILE = new URL("./cluster.config.schema.json", import.meta.url);

/** The text of the schema file. Rules that concern several fields can't be told in it. */
export function jsonSchemaText(): string {
  const schema = toJsonSchema(configSchema, { ignoreActions: ["check"], typeMode: "input" });
  return `${JSON.stringify({ title: "Conclave cluster configuration", ...schema }, null, 2)}\n`;
}
