import type * as Binding from '../binding';
/** An attempt to load a file or package: the binding, or the error; neither if it does not exist. */
export interface Attempt {
    what: string;
    binding?: typeof Binding;
    error?: unknown;
}
export declare function explain(target: string, version: string, here: string, attempts: Attempt[]): Error;
