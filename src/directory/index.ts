/** The directory: names, and who leads. */

export type { DirectoryStory } from "./directory.ts";
export { type DirectoryOptions, type RunningDirectory, startDirectory } from "./start.ts";
