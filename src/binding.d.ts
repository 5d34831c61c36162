import type * as Binding from '../binding';
export type * from '../binding';
export declare const ASK_BLOCK: number, ASK_RECOVER: number, ASK_LOGGER: number, ASK_SHARED: number, ASK_NOTIFY: number, ASK_WAIT: number, BindingEnvironment: typeof Binding.BindingEnvironment, MIN_HEARTBEAT_MS: number, MIN_STALE_IN_HEARTBEATS: number, TOOK_OVER: string, absolutePath: typeof Binding.absolutePath;
