/**
 * Receives what an operator should know of a lock. `console` and winston fit as they are; pino needs
 * one line: `{ warn: (message, details) => log.warn(details, message), error: … }`.
 *
 * Called in the asynchronous context of the lock's caller. An error that it throws becomes an uncaught
 * exception and does not affect the lock.
 */
export interface Logger {
    /**
     * A stale lock was taken over, or could not be; a heartbeat failed and is retried; or other mounts or
     * machines may not see the file system's locks (reported once).
     */
    warn(message: string, details: Record<string, string>): void;
    /** A lock was lost. */
    error(message: string, details: Record<string, string>): void;
}
/** Calls `fn`. Every lock acquired inside it, asynchronously too, reports to `logger` unless it has its own. */
export declare function withLogger<T>(logger: Logger, fn: () => T): T;
/** The logger of an option, else the surrounding one. */
export declare function loggerOf(option: unknown): Logger | undefined;
