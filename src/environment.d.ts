import { type BindingEvent } from './binding';
import type { Observer } from './diagnostics';
/** Hears what happens to a request. */
export interface Listener {
    /** The lock that was waited for. */
    granted?(token: number): void;
    on(event: BindingEvent): void;
}
export declare const environment: import("../binding").BindingEnvironment;
/** A number that names a request, and what comes of it. */
export declare function nextKey(): number;
/** Releases a lock: whether that is done; else the `released` event tells, with the error. */
export declare function release(key: number, observer: Observer | undefined): boolean;
/** Hears the events of a request until `ignore`. */
export declare function listen(key: number, listener: Listener): void;
export declare function ignore(key: number): void;
/** Events do not keep the event loop alive, so that a held lock does not. What is waited for does. */
export declare function ref(): void;
export declare function unref(): void;
/** A request that ends with one event: the event, while the event loop is kept alive. */
export declare function ask(request: (key: number) => void): Promise<BindingEvent>;
