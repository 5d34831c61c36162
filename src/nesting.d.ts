/** Runs what a lock is held for; `leave` has to be called when that has ended. */
export declare function enter<T>(key: number, shared: boolean, fn: () => T): T;
export declare function leave(): void;
/** Whether a request can't be granted before what it is made in has ended. */
export declare function waitsForItself(place: string | number, fileName: string, shared: boolean): boolean;
