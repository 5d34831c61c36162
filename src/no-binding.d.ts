import type * as Binding from '../binding';
/** A try at loading: what, and what came of it; nothing if it is not there. */
export interface Attempt {
    what: string;
    binding?: typeof Binding;
    error?: unknown;
}
export declare function explain(target: string, version: string, here: string, attempts: Attempt[]): Error;
