# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# Counts and prints results. $work is a directory for files.

passed=0
failed=0
not_run=0
ok() {
	passed=$((passed + 1))
	echo "ok       $*"
}
bad() {
	failed=$((failed + 1))
	echo "FAILED   $*"
}
skip() {
	not_run=$((not_run + 1))
	echo "not run  $*"
}

# Passes if the command succeeds. Prints the end of its output if it fails.
try() { # what, command...
	what=$1
	shift
	if "$@" >"$work/log" 2>&1; then
		ok "$what"
	else
		bad "$what"
		tail -n 30 "$work/log" | sed 's/^/         | /'
		return 1
	fi
}

# Passes if the files or directories are the same. Prints the differences if not.
# Nothing equals nothing: an empty file means that what should have written it has failed.
same() { # what, expected, found
	if [ -f "$2" ] && ! [ -s "$2" ]; then
		bad "$1: nothing to compare with"
	elif diff -r "$2" "$3" >"$work/log" 2>&1; then
		ok "$1"
	else
		bad "$1"
		head -n 40 "$work/log" | sed 's/^/         | /'
	fi
}
