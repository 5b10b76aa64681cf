# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# Which trees scripts/patch-multipath-tools patches, which it refuses, and why. The trees are minimal: they
# have only the files that the script reads.

# The parts of checkers.h that decide.
opaque_class='struct checker_class;'
defined_class='struct checker_class {
	int sync;
};'
checker='struct checker {'
mpcontext='	void **mpcontext;
};'
start='int start_checker_thread(pthread_t *thread, const pthread_attr_t *attr, struct checker_context *ctx);'
wait='bool checker_need_wait(struct checker *c);'
disconnected='enum { PATH_DISCONNECTED };'
layout_b="$opaque_class
$checker
$mpcontext
$start"

patching() {
	mkdir -p "$work/alone"
	not_patched "a folder without version" "" "$layout_b" "not a multipath-tools tree"
	not_patched "a folder without checkers.h" 0x000904 "" "not a multipath-tools tree"
	not_patched "0.8.5" 0x000805 "$opaque_class
$checker
$mpcontext" "found multipath-tools 0.8.5: its checkers.h has no start_checker_thread"
	not_patched "0.15.0" 0x000F00 "$defined_class
$checker
};" "found multipath-tools 0.15.0: its checkers.h shows struct checker_class"
	# Snapshots and distributions have parts of later releases under the version of an earlier one.
	not_patched "a snapshot of 0.15 with the version 0.14.5" 0x000E05 "$defined_class
$checker
$mpcontext
$start
$wait" "found multipath-tools 0.14.5: its checkers.h shows struct checker_class"
	not_patched "a header whose struct checker has no mpcontext" 0x000E05 "$opaque_class
$checker
};
void *mpcontext;
$start
$wait" "found multipath-tools 0.14.5: the struct checker of its checkers.h has no mpcontext"
	not_patched "a header without struct checker" 0x000E05 "$opaque_class
$start
$wait" "found multipath-tools 0.14.5: the struct checker of its checkers.h has no mpcontext"
	patched_with "0.9.4" 0x000904 "$layout_b" layout-b
	patched_with "0.14.5" 0x000E05 "$layout_b
$wait
$disconnected" "layout-c disconnected"
	patched_with "a later release with the header of 0.13" 0x000F01 "$layout_b
$wait" layout-c
	make_tree 0x000904 "$layout_b"
	: >"$tree/Makefile"
	refuses "a tree with another Makefile" "0.9.4, but Makefile"
}

make_tree() { # version code, header
	tree=$work/alone/tree
	rm -rf "$tree"
	mkdir -p "$tree/libmultipath" "$tree/tests"
	printf 'BUILDDIRS := \\\n\tlibmultipath/checkers \\\n\tmultipath\n' >"$tree/Makefile"
	echo 'OBJS := alias.o checkers.o vector.o' >"$tree/libmultipath/Makefile"
	echo 'lib/libchecktur.so:' >"$tree/tests/Makefile"
	[ -z "$1" ] || echo "#define VERSION_CODE $1" >"$tree/libmultipath/version.h"
	[ -z "$2" ] || echo "$2" >"$tree/libmultipath/checkers.h"
}

not_patched() { # what, version code, header, words of the message
	make_tree "$2" "$3"
	refuses "$1" "$4"
}

# Passes if the script refuses $tree for this reason and leaves it as it was.
refuses() { # what, words of the message
	cp -a "$tree" "$tree.before"
	if scripts/patch-multipath-tools "$tree" >"$work/log" 2>&1; then
		bad "$1 is refused"
	elif ! grep -q "$2" "$work/log" || ! diff -r "$tree.before" "$tree" >"$work/log"; then
		bad "$1 is refused and unchanged, because: $2"
	else
		ok "$1 is refused and unchanged, because: $2"
	fi
	rm -rf "$tree.before"
}

# Passes if the script patches a tree with this version and header, and needs these features.
patched_with() { # what, version code, header, features
	make_tree "$2" "$3"
	if scripts/patch-multipath-tools "$tree" >"$work/log" 2>&1 && grep -q "libcheckers.a with $4\$" "$work/log"; then
		ok "$1 gets $4"
	else
		bad "$1 gets $4: $(tail -n 1 "$work/log")"
	fi
}
