/** Runs the function of a `withLock`; the caller must call `leave` when it has ended. */
export declare function enter<T>(key: number, shared: boolean, fn: () => T): T;
export declare function leave(): void;
/** Whether a request can't be granted before the `withLock` around it has ended. */
export declare function waitsForItself(place: string | number, fileName: string, shared: boolean): boolean;
