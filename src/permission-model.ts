// Node's permission model, under which its own calls may be forbidden; the binding's are not.

/** Node's code for what the model forbids. */
export const DENIED = 'ERR_ACCESS_DENIED'

export const isDenied = (error: unknown): boolean =>
  (error as NodeJS.ErrnoException | undefined)?.code === DENIED
