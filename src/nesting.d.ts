/** Runs what a lock is held for; `leave` has to be called when that has ended. */
export declare function enter<T>(key: number, fn: () => T): T;
export declare function leave(): void;
/** The locks inside which a request is made. */
export declare function surroundingLocks(): number[];
