#!/bin/sh
# Removes what is installed on this host. Data stays unless --purge is given.
# All work is done by cairnctl; every option is passed on to it, for example --yes or --dry-run.
set -eu

main() {
	here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
	exec "$here/bin/cairnctl" uninstall "$@"
}

main "$@"
