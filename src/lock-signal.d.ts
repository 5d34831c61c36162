/** Has `look` called whenever somebody asks the signal whether it is aborted. */
export declare function askedBy(signal: AbortSignal, look: () => void): void;
