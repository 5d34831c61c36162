import type * as Binding from '../binding';
export type * from '../binding';
export declare const ASK_RECOVER: number, ASK_LOGGER: number, ASK_SHARED: number, ASK_NOTIFY: number, ASK_WAIT: number, BindingEnvironment: typeof Binding.BindingEnvironment, DEFAULT_FILE_NAME: string, DEFAULT_HEARTBEAT_MS: number, DEFAULT_STALE_MS: number, MAX_FILE_NAME_BYTES: number, MIN_HEARTBEAT_MS: number, MIN_STALE_IN_HEARTBEATS: number, TOOK_OVER: string, absolutePath: typeof Binding.absolutePath;
