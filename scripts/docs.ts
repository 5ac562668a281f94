// A few lines of plain JavaScript, so that any Node can read them: hand-over.mjs finds one that runs the rest.
void import("./hand-over.mjs").then(({ handOver }) => handOver(__filename, () => import("./main/docs.mts")));
