# Holds the overlay of a clone. Runs first in a mount and a process namespace of its own.
# $1: the clone's folder, with `lower0`, `lower1`, ... as links to the layers, and `disk` and `root`
# $2: the layers as overlayfs wants them, top first: lower1:lower0
# $3: the size of a tmpfs for the upper layer, as mount takes it, or empty for the disk that `disk` is on
set -eu
umask 022
cd "$1"
mount -t proc proc /proc
# What systemd-nspawn writes here while a machine runs goes with the namespace.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
if [ -n "$3" ]; then
	mount -t tmpfs -o "size=$3,mode=755" tmpfs disk
fi
mkdir -p disk/upper disk/work
# Names relative to this folder, so that no path can hold a character that mount takes for its own.
# volatile: nothing in a clone outlives us, so it need not be synced. redirect_dir: folders can be renamed.
mount -t overlay -o "lowerdir=$2,upperdir=disk/upper,workdir=disk/work,volatile,redirect_dir=on" overlay root
echo ready
exec 3<&0
cat <&3 >/dev/null &
wait "$!"
