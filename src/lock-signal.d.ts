/** Has `look` called whenever somebody asks whether the signal has aborted. */
export declare function askedBy(signal: AbortSignal, look: () => void): void;
