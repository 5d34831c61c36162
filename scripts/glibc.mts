import { readFileSync } from 'node:fs'

/** What npm's packages for glibc promise: CentOS 7 and later. */
const FLOOR = 17

/** Throws if a binary needs too new a glibc. The symbols' versions are in it as text. */
export function checkGlibc(file: string): void {
  const wanted = [...readFileSync(file, 'latin1').matchAll(/\0GLIBC_2\.(\d+)/g)].map(([, minor]) =>
    Number(minor)
  )
  if (wanted.length === 0) throw new Error(`${file} names no version of glibc: is it for Linux?`)
  const newest = Math.max(...wanted)
  if (newest > FLOOR) {
    throw new Error(`${file} wants glibc 2.${newest}, more than 2.${FLOOR}: build it by .ci/build`)
  }
}
