/** Calls `aborted` when the signal aborts, until the returned function is called. */
export declare function onAbort(signal: AbortSignal, aborted: () => void): () => void;
