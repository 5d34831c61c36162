export declare const defaults: {
    readonly fileName: string;
    readonly heartbeatMs: number;
    readonly staleMs: number;
    readonly wait: true;
    readonly recover: true;
};
export declare function invalidType(name: string, expected: string, actual: unknown): TypeError;
export declare function outOfRange(name: string, expected: string, actual: unknown): RangeError;
/** A path as the binding wants it. */
export declare function path(name: string, value: unknown): string;
export declare function options<T extends object>(value: T | undefined): Partial<T>;
/** Leaves `undefined` as it is: the binding knows the default. */
export declare function fileName(value: unknown): string | undefined;
/** Checks the times and rounds them to whole microseconds, as the core has them, to the safe side. */
export declare function terms(givenHeartbeatMs: unknown, givenStaleMs: unknown): {
    heartbeatMs: number;
    staleMs: number;
};
/** The age from which `inspect` calls a lock stale. */
export declare function staleAge(value: unknown): number;
export declare function boolean(name: string, value: unknown, otherwise: boolean): boolean;
export declare function signal(value: unknown): AbortSignal | undefined;
export declare function callback<F extends (...args: never[]) => unknown>(name: string, value: unknown): F;
