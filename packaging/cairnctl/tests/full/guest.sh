# Boots the guest image /root/guest.raw twice on a bridge: says `up`, `pong` and `off` for each time, and what it has counted.
set -eu
cd /root
ip link add br0 type bridge
ip link set dev br0 up
ip tuntap add dev tap0 mode tap
ip link set dev tap0 master br0 up
mkfifo line monitor.in monitor.out
cat monitor.out >/dev/null &
for time in 1 2; do
	: >said
	qemu-system-x86_64 -accel tcg -m 192 -nodefaults -display none -no-reboot -serial stdio -monitor pipe:monitor \
		-drive file=guest.raw,format=raw,if=virtio,cache=unsafe \
		-netdev tap,id=net,ifname=tap0,script=no,downscript=no \
		-device virtio-net-pci,netdev=net,mac=52:54:00:12:34:56 <line >said &
	qemu=$!
	exec 3>line
	until grep -q 'login:' said; do
		kill -0 "$qemu"
		sleep 0.2
	done
	echo "up $time"
	until busybox ping -6 -c 1 -W 2 fe80::5054:ff:fe12:3456%br0 >/dev/null 2>&1; do kill -0 "$qemu"; done
	echo "pong $time"
	grep -o 'Boot number of this disk: .*' said
	# Its power button.
	echo system_powerdown >monitor.in
	wait "$qemu"
	echo "off $time"
	exec 3>&-
	[ "$time" = 2 ] || cat monitor.out >/dev/null &
done
