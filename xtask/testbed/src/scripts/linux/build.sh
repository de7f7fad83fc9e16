# Builds the Linux guest in a root that is thrown away afterwards; makes `vmlinuz`, `initrd` and `disk.raw` in this
# folder, where there are `init`, `device`, `modules` and `grub.cfg`.
# $1: the package that depends on the kernel's    $2: a static busybox    $3: the length of what stands for the options
set -eu
export LC_ALL=C.UTF-8

kernel_package() {
	apt-cache depends --important "$1" | sed -n 's/^ *Depends: *\(linux-image-[^ ]*\)$/\1/p'
}

# The kernel, and what starts it by UEFI, signed so that it does with Secure Boot too. They are taken out of their
# packages, since a root that boots nothing need not have them installed.
apt-get --quiet update
apt-get --quiet --option APT::Sandbox::User=root download "$(kernel_package "$1")" shim-signed grub-efi-amd64-signed
for package in *.deb; do
	dpkg-deb --extract "$package" kernel
done
release=$(ls kernel/lib/modules)
cp "kernel/boot/vmlinuz-$release" vmlinuz
depmod --basedir "$PWD/kernel" "$release"

# The initial RAM disk, which is the whole system.
mkdir -p tree/bin tree/dev tree/etc tree/proc tree/run tree/sys
cp "$2" tree/bin/busybox
for applet in $(tree/bin/busybox --list); do
	[ -e "tree/bin/$applet" ] || ln -s busybox "tree/bin/$applet"
done
install --mode=755 init tree/init
install --mode=755 device tree/etc/device
cp modules tree/etc/modules
(
	cd kernel
	cp --parents "lib/modules/$release/modules.builtin" "lib/modules/$release/modules.order" ../tree
	modprobe --dirname "$PWD" --set-version "$release" --show-depends --all $(cat ../modules) |
		sed -n "s|^insmod $PWD/||p" | sort --unique | tr -d ' ' | xargs cp --parents --target-directory=../tree
)
depmod --basedir "$PWD/tree" "$release"
(cd tree && find . | sort | bin/busybox cpio -o -H newc) | gzip -9 >initrd

# The disk: GRUB for BIOS in front of the partition, GRUB for UEFI in it. Debian's looks for its file in /EFI/debian.
truncate --size=40M disk.raw
echo 'start=2048, type=ef, bootable' | sfdisk --quiet disk.raw
options=$(printf "%$3s" '' | tr ' ' @)
sed "s/@OPTIONS@/$options/" grub.cfg >patched.cfg
grub-mkimage --format=i386-pc --output=core.img --prefix='(,msdos1)/EFI/debian' biosdisk part_msdos fat normal linux
dd status=none conv=notrunc bs=440 count=1 if=/usr/lib/grub/i386-pc/boot.img of=disk.raw
dd status=none conv=notrunc seek=1 if=core.img of=disk.raw
mformat -i disk.raw@@1M -T $((39 * 2048)) -v GUEST ::
mmd -i disk.raw@@1M ::/EFI ::/EFI/BOOT ::/EFI/debian
mcopy -i disk.raw@@1M patched.cfg ::/EFI/debian/grub.cfg
mcopy -i disk.raw@@1M kernel/usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
mcopy -i disk.raw@@1M kernel/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed ::/EFI/BOOT/grubx64.efi
mcopy -i disk.raw@@1M vmlinuz initrd ::/
