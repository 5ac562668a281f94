/** How patient the nodes of a simulated cluster are. */
export const TIMING = { heartbeatMs: 50, electionTimeoutMinMs: 300, electionTimeoutMaxMs: 600 } as const;
