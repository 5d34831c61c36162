/** Calls `aborted` when the signal aborts; the result ends that. */
export declare function onAbort(signal: AbortSignal, aborted: () => void): () => void;
