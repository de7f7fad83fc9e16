# Starts virtlogd, unless it runs, and libvirtd, and waits until that answers.
# `libvirtd --daemon` returns 0 even where the daemon then gives up: only an answer counts.
set -eu
pidof virtlogd >/dev/null || virtlogd --daemon
libvirtd --daemon
tries=2400
until virsh --quiet version >/dev/null 2>&1; do
	tries=$((tries - 1))
	if [ "$tries" = 0 ] || ! pidof libvirtd >/dev/null; then
		echo "libvirtd does not answer; its log ends with:" >&2
		tail -n 20 /var/log/libvirt/libvirtd.log >&2 || true
		exit 1
	fi
	sleep 0.05
done
