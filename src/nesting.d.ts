/** Runs what a lock is held for. */
export declare function inside<T>(key: number, shared: boolean, fn: () => T): T;
/** Whether a request can't be granted before what it is made in has ended. */
export declare function waitsForItself(place: string | number, fileName: string, shared: boolean): boolean;
