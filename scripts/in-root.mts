import { fileURLToPath } from 'node:url'

const HOME = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The command line that runs another one with a folder as its root, in this project, which is at
 * `/rootlock`: a folder that must be there. The mounts are in a namespace of their own, and end with it.
 */
export function inRoot(place: string, path: `PATH=${string}`, ...command: string[]): string[] {
  const script = `
    mount --rbind /dev "$1/dev" && mount --bind /proc "$1/proc" &&
    mount -t tmpfs none "$1/tmp" && mount --bind "$2" "$1/rootlock" || exit
    in=$1; shift 2
    exec chroot "$in" sh -c 'cd /rootlock && exec env -i HOME=/root LANG=C.UTF-8 "$@"' sh "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh', place, HOME, path, ...command]
}
