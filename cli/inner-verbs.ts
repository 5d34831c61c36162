// Verbs with which this command starts itself again; not for users.

/** The other process of the doctor's trial. */
export const PARTNER = 'doctors-partner'

/** The process that keeps the lock of a run. */
export const KEEPER = 'keep'
