/** Has `look` called whenever somebody looks at the signal. */
export declare function askedBy(signal: AbortSignal, look: () => void): void;
