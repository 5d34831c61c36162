import { type BindingEvent } from './binding';
import type { Observer } from './diagnostics';
/** Receives the events of a request. */
export interface Listener {
    /** The lock was granted. */
    granted?(token: number): void;
    on(event: BindingEvent): void;
}
export declare const environment: import("../binding").BindingEnvironment;
/** A new number that identifies a request and its lock. */
export declare function nextKey(): number;
/** Blocks until something happens to a request, and delivers it. */
export declare function block(key: number): void;
/**
 * Releases a lock. Returns whether that is done; if not, the `released` event follows, with any error.
 *
 * @param blocks whether the event is waited for by `block`
 */
export declare function release(key: number, observer: Observer | undefined, blocks: boolean): boolean;
/** Delivers the events of a request to a listener until `ignore`. */
export declare function listen(key: number, listener: Listener): void;
export declare function ignore(key: number): void;
/** Keeps the event loop alive for a pending request. Events don't, so that a held lock does not. */
export declare function ref(): void;
export declare function unref(): void;
/** Makes a request that ends with one event, and resolves with it; keeps the event loop alive until then. */
export declare function ask(request: (key: number) => void): Promise<BindingEvent>;
