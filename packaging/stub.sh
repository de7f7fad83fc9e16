#!/bin/sh
# @PRODUCT@ @VERSION@ installs itself: sh FILE --help. Behind the first @STUB@ bytes lies a gzipped tar file.
#
# This is the head of a self-extracting archive. It finds a folder in which a program may run, takes the helper
# (`cairnctl`) out of the file, and hands everything to it: options, verbs, and the check of the whole file, this
# script included, which the helper makes again before it does anything. Where no helper can run, `plain` below checks,
# lists and extracts with sh alone. It knows nothing about hosts.
#
# Any single bit of this text may be wrong when it runs. Hence: no success but by the helper's own exit code or
# through `&&`; no `return`, which ends the script with 0 where a function's brace was lost; `set -eu` from the first line; no loop that could fail to end; nothing reads standard input, which the
# helper gets back from descriptor 3; on the way to the helper no redirection names a path outside the scratch folder; the
# scratch folder is made and entered on one line, and its name is looked at before anything is written. No name here is one
# flipped bit away from a path separator, and none starts with `./`, which is one away from `>/`. A test,
# `packaging/cairnctl/tests/flips.rs`, runs it with every bit flipped.
#
# Lines that are only a comment, this one too, are dropped when the file is packed.
set -eu
exec 3<&0 </dev/null
umask 077

# die CODE WORDS... - the exit codes are those of the whole product: 2 damaged, 3 host not supported or a tool missing.
die() {
	code=$1
	shift
	printf '%s\n' "$0: $*" >&2
	exit "$code"
}

# cut AT COUNT - that many bytes of this file.
cut() {
	tail -c "+$(($1 + 1))" "$me" | head -c "$2"
}

# inside - the member that holds the helper.
inside() {
	cut $((@STUB@ + @HEAD@)) @HELPER@
}

# rest - the tar stream.
rest() {
	tail -c "+$((@STUB@ + 1))" "$me" | gzip -dc
}

# need TOOLS... - says which of them is missing.
need() {
	for tool; do
		found=$(command -v $tool) || die 3 "this host has no \`$tool\`; install it and try again"
	done
}

# leave - empties the scratch folder, goes out of it and removes it.
leave() {
	rm -f cairnctl helper
	cd .. && rmdir "cairn_$$"
}

# broken - says why the helper did not come out of the file: for want of a tool, or because it is not what was packed.
broken() {
	leave || :
	need tail head gzip mkdir chmod
	die 2 "the file is damaged; copy it again"
}

# scratch DIR ARGS... - tries to run the helper from a new folder in DIR. Comes back only if that cannot be, for want of
# room or because nothing may run there. That gzip finds its checksum right is enough here: the helper's first deed is to
# compare the SHA-256 of everything. It is cut from standard input, so that a redirection that lost a bit names a file that
# is not there, instead of showing a program on the terminal. Behind it lie a few zeros, tar's padding, which no program
# minds. But a shell runs as a script what the system does not run as a program: hence the look at the first bytes.
scratch() {
	if cd "$1" && mkdir "cairn_$$" && cd "./cairn_$$"; then
		case $PWD in */cairn_$$) ;; *) die 3 "cannot enter a scratch folder in \`$1\`" ;; esac
		shift
		if inside | gzip -dc >helper && tail -c +513 <helper >cairnctl && chmod 700 cairnctl; then
			case $(head -c 4 cairnctl) in ?ELF) ;; *) broken ;; esac
			case $("$PWD/cairnctl" --probe 2>&1 || :) in runs) exec "$PWD/cairnctl" --scratch "$PWD" --from "$from" --archive "$me" "$@" <&3 ;; esac
		else
			inside | gzip -t || broken
			why=4
		fi
		leave
	fi
}

# plain ARGS... - for a host on which no helper runs. The trailer is text: 346 bytes, 10 bytes before the end. openssl comes
# first: it takes a fifth of the time of sha256sum where the processor helps.
plain() {
	need cat wc head tail gzip tr tar mkdir
	hash=
	for tool in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256' 'busybox sha256sum'; do
		found=$(command -v "${tool%% *}") && hash=${hash:-$tool} || found=
	done
	[ -n "$hash" ] || die 3 "this host has none of sha256sum, openssl, shasum, busybox; install one and try again"
	size=$(cat "$me" | wc -c)
	size=$((size))
	sum=$(head -c $((size - 372)) "$me" | $hash)
	case $(tail -c 356 "$me" | head -c 345) in
	"cairn-archive 1 stub="*" size=$(printf %016d $size) sha256=${sum%% *} key="*) ;;
	*) die 2 "the file is damaged; copy it again" ;;
	esac
	cd "$from"
	case " $* ${CAIRN_TRUST+--trust} ${CAIRN_REQUIRE_SIGNATURE+--trust}" in *' --trust'* | *' --require-signature'*) die 3 "no helper runs here, and sh alone checks no signature" ;; esac
	into=
	for arg; do
		case $arg in
		verify | --check) echo "checked with sh alone: the bytes are those that were packed; no signature was checked" && exit ;;
		--info) cut @STUB@ @HEAD@ | gzip -dc | tail -c +513 | tr -d '\000' && exit ;;
		--list) rest | tar -tf - && exit ;;
		extract | --target) into=. ;;
		--only* | --entry*) die 3 "no helper runs here, and sh alone extracts all or nothing" ;;
		*) [ -z "$into" ] || into=$arg ;;
		esac
	done
	[ -z "$into" ] || { umask 022 && mkdir -p "$into" && cd "$into" && rest | tar -xof - && exit; }
	die $why "no folder here has room and lets a program run (tried:$tried); set TMPDIR to one that does"
}

main() {
	from=$PWD
	me=$0
	case $me in /*) ;; *) me=$from/$me ;; esac
	[ -f "$me" ] || die 1 "run it as a file: sh ./FILE"
	beside= last=
	for arg; do
		case $last in --target | --root | --prefix | extract) beside=$arg ;; esac
		case $arg in --target=* | --root=* | --prefix=*) beside=${arg#*=} ;; esac
		last=$arg
	done
	case $beside in */*) beside=${beside%/*} ;; ?*) beside=. ;; esac
	tried=
	why=3
	for dir in "$beside" "${TMPDIR:-}" /var/tmp /tmp "$from" "${me%/*}"; do
		[ -d "$dir" ] && [ -w "$dir" ] || continue
		tried="$tried $dir"
		scratch "$dir" "$@"
	done
	plain "$@"
}

main "$@"
