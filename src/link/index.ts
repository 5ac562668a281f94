/** One persistent WebSocket between two processes. */

export { CloseCode, type Closing, isRefusal } from "./close.ts";
export { type Backoff, DEFAULT_BACKOFF, Dialer } from "./dialer.ts";
export { FIRST_FREE_KIND, type Frame, HEADER_BYTES, PROTOCOL_VERSION } from "./frame.ts";
export { ANY_CLUSTER, type Hello, type Refusal } from "./hello.ts";
export { DEFAULT_LINK_LIMITS, Link, type LinkLimits, type LinkOwner } from "./link.ts";
