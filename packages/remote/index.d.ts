/**
 * The engine of `openRoot('postgres://…')`, which rootlock loads itself. It has no interface for programs:
 * `import { openRoot } from 'rootlock'`.
 */
export {}
