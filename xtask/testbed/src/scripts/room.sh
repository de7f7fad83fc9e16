# Holds a room: namespaces of their own around a clone. Runs first in fresh mount, process, uts and ipc namespaces,
# and in a fresh network namespace unless told otherwise.
# $1: the clone's root    $2: `loopback`, or `machine` to stay in the machine's network
# then four words for each mount, in order: kind, options, source, target inside the clone
set -eu
root=$1
network=$2
shift 2

node() { # name, mode, major, minor
	mknod -m "$2" "$root/dev/$1" c "$3" "$4"
}

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,size=4m,nosuid tmpfs "$root/dev"
umask 0
node null 666 1 3
node zero 666 1 5
node full 666 1 7
node random 666 1 8
node urandom 666 1 9
node tty 666 5 0
umask 022
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/net"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

while [ "$#" -ge 4 ]; do
	# A link in the clone may point to an absolute path: let the clone itself follow it.
	at=$root$(chroot "$root" realpath --canonicalize-missing -- "$4")
	case $1 in
	device)
		mknod -m 666 "$at" c "${2%:*}" "${2#*:}"
		;;
	bind)
		if [ -d "$3" ]; then
			mkdir -p "$at"
		else
			mkdir -p "${at%/*}"
			[ -e "$at" ] || : >"$at"
		fi
		mount --bind "$3" "$at"
		mount -o "remount,bind,$2" "$at"
		;;
	*)
		mkdir -p "$at"
		mount -t "$1" -o "$2" "$3" "$at"
		;;
	esac
	shift 4
done

if [ "$network" = loopback ]; then
	chroot "$root" ip link set dev lo up
fi
if [ -e "$root/etc/hostname" ]; then
	chroot "$root" hostname --file /etc/hostname
fi
exec chroot "$root" sh -c 'echo ready; exec 3<&0; cat <&3 >/dev/null & wait "$!"'
