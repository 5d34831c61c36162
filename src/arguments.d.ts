export declare const defaults: {
    readonly fileName: string;
    readonly heartbeatMs: number;
    readonly staleMs: number;
    readonly wait: true;
    readonly recover: true;
};
export declare function invalidType(name: string, expected: string, actual: unknown): TypeError;
/** @param reason why the value is refused, as the rest of a sentence */
export declare function invalidValue(name: string, reason: string, actual: unknown): TypeError;
export declare function outOfRange(name: string, expected: string, actual: unknown): RangeError;
/** A path as the binding wants it. */
export declare function path(name: string, value: unknown, expected?: string): string;
/**
 * An object of options. One that is not known is refused: a lock that ignores a time limit, or whatever else
 * it was asked for, is worse than an error.
 *
 * @param elsewhere the options that other functions have, and what to use instead
 */
export declare function options<T extends object>(value: T | undefined, elsewhere?: Record<string, string>): Partial<T>;
/** A lock file's name, if one is given. */
export declare function fileName(value: unknown, name?: string): string | undefined;
/** Checks the times and rounds them to whole microseconds, as the core has them, to the safe side. */
export declare function terms(givenHeartbeatMs: unknown, givenStaleMs: unknown): {
    heartbeatMs: number;
    staleMs: number;
};
/** The age from which `inspect` calls a lock stale. */
export declare function staleAge(value: unknown): number;
/** How long a request waits: until then for a held lock, or one attempt if that is 0. */
export declare function timeout(value: unknown, otherwise: number): number;
export declare function boolean(name: string, value: unknown, otherwise: boolean): boolean;
export declare function signal(value: unknown): AbortSignal | undefined;
export declare function callback<F extends (...args: never[]) => unknown>(name: string, value: unknown): F;
