/** Whether this program is at work, or being worked on. */

/** `NODE_ENV=production`. Where nobody may know, it is not. */
export function isProduction(): boolean {
  try {
    return globalThis.process?.env["NODE_ENV"] === "production";
  } catch {
    return false;
  }
}
