/** What the doctor starts this command with again; not for people. */
export const PARTNER = 'doctors-partner'
