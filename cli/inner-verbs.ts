// What this command starts itself with again; not for people.

/** The other process of the doctor's trial. */
export const PARTNER = 'doctors-partner'

/** The process that keeps the lock of a run. */
export const KEEPER = 'keep'
