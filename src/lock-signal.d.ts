/** Calls `look` whenever the signal is asked whether it is aborted. */
export declare function askedBy(signal: AbortSignal, look: () => void): void;
