# Enters the control groups named before `--`, if any, then becomes the command after it, with the umask of a host
# whatever that of the test is.
set -eu
umask 022
while [ "$1" != -- ]; do
	echo 0 >"$1/cgroup.procs"
	shift
done
shift
exec "$@"
