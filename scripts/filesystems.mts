// `npm run check -- filesystems`: the tests on every file system that can be mounted here, after
// installing what makes and serves them.

import { debian } from './debian.mjs'
import { AVA, report, run, tap } from './tests.mjs'

debian('xfsprogs', 'btrfs-progs', 'bindfs', 'sshfs', 'openssh-sftp-server', 'ntfs-3g')
debian('exfat-fuse', 'exfatprogs')

const FILES = ['file-systems', 'remote-storage'].map(
  (name) => `.build/__test__/exclusion/${name}.test.mjs`
)

report([['file systems', await run(process.execPath, [AVA, '--tap', ...FILES], tap)]])
