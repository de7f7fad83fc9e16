# Serves the commands of a test in a virtual machine, one after another, over a serial port that has its name from QEMU. A
# request is a line with two sizes in bytes, and a script and its input, which are so long; the answer is a line with the exit
# code and two sizes, standard output, and standard error.
set -eu
mkdir -p /run/testbed
cd /run/testbed
exec 3<>/dev/virtio-ports/testbed
while read -r script input <&3; do
	head --bytes="$script" <&3 >script
	head --bytes="$input" <&3 >input
	code=0
	sh script <input >output 2>errors 3>&- || code=$?
	echo "$code $(stat --format=%s output) $(stat --format=%s errors)" >&3
	cat output errors >&3
done
