#!/bin/sh
# The machine's first process: makes the host's files, read-only, this machine's own, and runs the
# scenario that the kernel's command line names. Beside this file, /modules in the order to load.
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/lib/$module" || exit 1; done </modules

mount() { /bin/busybox mount "$@" || exit 1; }
value() { /bin/busybox sed -n "s/.*\\b$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline; }

mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 host /new
mount -t proc proc /new/proc
mount -t sysfs sys /new/sys
mount -t devtmpfs dev /new/dev
mount -t tmpfs tmp /new/run
mount -t tmpfs tmp /new/var/lib
mount -t tmpfs tmp /new/mnt
# What of the host's temporary folder is needed is seen through the project's own path.
project=$(value project)
mount -t tmpfs tmp /new/srv
/bin/busybox mkdir -p /new/run/netns /new/mnt/project /new/var/lib/nfs/rpc_pipefs /new/var/lib/nfs/v4recovery
mount -o bind "/new$project" /new/mnt/project
mount -t tmpfs tmp /new/tmp
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp MODULES="/mnt/project/$(value modules)"
scenario=$(value scenario)
cd /new || exit 1
if [ "$scenario" = suspend ]; then
  # The way to the host's files does not survive the machine's sleep: everything is copied before.
  /bin/busybox chroot /new /bin/sh -c '
    mkdir -p /tmp/ram/mnt/project /tmp/ram/proc /tmp/ram/sys /tmp/ram/dev /tmp/ram/bin /tmp/ram/tmp
    cp --parents "$(command -v node)" $(ldd "$(command -v node)" | grep -o "/[^ ]*") /bin/busybox /tmp/ram
    cd /mnt/project && cp -r .build/__test__ .build/scripts /tmp/ram/mnt/project
    mkdir /tmp/ram/mnt/project/.build
    mv /tmp/ram/mnt/project/__test__ /tmp/ram/mnt/project/scripts /tmp/ram/mnt/project/.build
    cp --parents ./index.*js ./*.node package.json /tmp/ram/mnt/project
    ln -s busybox /tmp/ram/bin/sh
  '
  cd /new/tmp/ram || exit 1
  for folder in proc sys dev; do mount -o bind "/$folder" "$folder"; done
  mount -t sysfs sys sys
fi
exec /bin/busybox chroot . /bin/busybox sh -c "
  cd /mnt/project
  node .build/scripts/vm/$scenario.mjs
  echo scenario ended with \$?
  echo o >/proc/sysrq-trigger
  busybox sleep 100
" </dev/null
