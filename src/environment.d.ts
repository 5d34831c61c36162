import type { BindingError, BindingEvent } from './binding';
import type { Observer } from './diagnostics';
import { type LostReason } from './lock-error';
/** Receives the events of a request. */
export interface Listener {
    /** The lock was granted. */
    granted?(token: number): void;
    on(event: BindingEvent): void;
}
/** The binding's functions, for this environment. */
export declare const environment: {
    acquire: (key: number, root: number, path: string | null | undefined, fileName: string | null | undefined, heartbeatMs: number, staleMs: number, ask: number) => number | BindingError;
    cancel: (key: number) => void;
    closeRoot: (root: number) => void;
    diagnose: (key: number, path: string, fileName: string) => void;
    inspect: (key: number, root: number, path: string | null | undefined, fileName: string, staleMs: number) => void;
    isWithin: (key: number, outer: number[]) => boolean;
    lost: (key: number) => "heartbeat-failed" | "hijacked" | null;
    openRoot: (key: number, path: string) => void;
    release: (key: number, knowsLoss: boolean) => "heartbeat-failed" | "hijacked" | boolean | BindingError | [key: number, token: number];
};
/** A new number that identifies a request and its lock. */
export declare function nextKey(): number;
/**
 * Releases a lock. Returns whether that is done; if not, the `released` event follows, with any error.
 * A loss that the caller does not know yet is told first.
 */
export declare function release(key: number, knowsLoss: boolean, lose: (reason: LostReason) => void, observer: Observer | undefined): boolean;
/** Delivers the events of a request to a listener until `ignore`. */
export declare function listen(key: number, listener: Listener): void;
export declare function ignore(key: number): void;
/** Keeps the event loop alive for a pending request. Events don't, so that a held lock does not. */
export declare function ref(): void;
export declare function unref(): void;
/** Makes a request that ends with one event, and resolves with it; keeps the event loop alive until then. */
export declare function ask(request: (key: number) => void): Promise<BindingEvent>;
