# Kills libvirtd as the kernel would, and waits until it is gone. QEMU and virtlogd run on.
set -eu
pid=$(cat /run/libvirtd.pid)
kill -KILL "$pid"
while kill -0 "$pid" 2>/dev/null; do
	sleep 0.01
done
