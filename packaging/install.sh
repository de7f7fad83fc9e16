#!/bin/sh
# Installs from the folder that this script lies in: a .run file extracted with --noexec or `extract`.
# All work is done by cairnctl; every option is passed on to it, for example --yes or --role agent.
set -eu

main() {
	here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
	exec "$here/bin/cairnctl" install --from "$here" "$@"
}

main "$@"
