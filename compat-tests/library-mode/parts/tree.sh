# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# libcheckers.a inside multipath-tools: a tree as it is and the same tree patched are built and compared.

build() { # tree, log
	($make -C "$1" -j2 && $make -C "$1" test-progs) >"$2" 2>&1
}

compare_tree() { # pristine tree
	source=$1
	message=$(scripts/patch-multipath-tools --revert "$source" 2>&1)
	release=$(echo "$message" | sed -n 's/.*found multipath-tools \([0-9.]*\), which is not patched$/\1/p')
	if [ -z "$release" ]; then
		bad "$source: $message"
		return
	fi
	dir=$work/$release
	echo "--- multipath-tools $release"
	rm -rf "$dir"
	mkdir -p "$dir"
	cp -a "$source" "$dir/as-is"
	cp -a "$source" "$dir/patched"
	compare_patches || return
	try "the tree as it is builds" build "$dir/as-is" "$dir/as-is.log" || return
	try "libcheckers.a is built" scripts/build-library "$features" "$dir" || return
	mv "$dir/libcheckers.a" "$dir/patched/"
	LIBCHECKERS=$dir/patched/libcheckers.a
	export LIBCHECKERS
	try "the patched tree builds" build "$dir/patched" "$dir/patched.log" || {
		tail -n 30 "$dir/patched.log"
		unset LIBCHECKERS
		return
	}
	if [ -n "$(find "$dir/patched" -name 'libcheck[a-z]*.so' ! -path '*/tests/*')" ]; then
		bad "no plugin of a checker is built"
	else
		ok "no plugin of a checker is built"
	fi
	compare_symbols
	find_symbols
	compare_layouts "$features" "$dir/as-is"
	compare_hosts "$features"
	compare_unit_tests
	if $make -C "$dir/patched" install DESTDIR="$dir/root" >"$dir/install.log" 2>&1; then
		ok "make install: $dir/root"
	else
		bad "make install: see $dir/install.log"
	fi
	unset LIBCHECKERS
}

# Patching twice is patching once, and --revert undoes both. Sets $features.
compare_patches() {
	try "patch-multipath-tools" scripts/patch-multipath-tools "$dir/patched" || return
	features=$(sed -n 's/.*libcheckers.a with //p' "$work/log")
	echo "         features: $features"
	cp -a "$dir/patched" "$dir/twice"
	scripts/patch-multipath-tools "$dir/twice" >/dev/null
	same "patched twice is patched once" "$dir/patched" "$dir/twice"
	scripts/patch-multipath-tools --revert "$dir/twice" >/dev/null
	same "--revert restores the tree" "$source" "$dir/twice"
	rm -rf "$dir/twice"
}

exported() { nm -D --defined-only --with-symbol-versions "$1" | sed 's/^[0-9a-f]* *//' | LC_ALL=C sort; }
nodes() { readelf -VW "$1" | sed -n '/^Version definition/,/^$/s/.*Name: //p' | LC_ALL=C sort; }
needed() { readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | LC_ALL=C sort; }

# The libraries export the same symbols in the same version nodes.
compare_symbols() {
	for name in libmultipath libmpathpersist; do
		for tree in as-is patched; do
			file=$(echo "$dir/$tree/$name"/*.so.0)
			exported "$file" >"$dir/$tree.exported"
			nodes "$file" >"$dir/$tree.nodes"
			needed "$file" >"$dir/$tree.needed"
		done
		same "$name exports the same $(grep -c . <"$dir/as-is.exported") symbols" "$dir/as-is.exported" "$dir/patched.exported"
		same "$name has the same $(grep -c . <"$dir/as-is.nodes") version nodes" "$dir/as-is.nodes" "$dir/patched.nodes"
		echo "         new NEEDED of $name: $(comm -13 "$dir/as-is.needed" "$dir/patched.needed" | tr '\n' ' ')"
	done
}

# The patched programs find all symbols.
find_symbols() {
	for program in multipath/multipath multipathd/multipathd mpathpersist/mpathpersist; do
		LD_LIBRARY_PATH=$(find "$dir/patched" -maxdepth 1 -type d -name 'libm*' | paste -sd:) \
			ldd -r "$dir/patched/$program" >"$dir/ldd" 2>&1
		if [ -s "$dir/ldd" ] && ! grep -q 'undefined symbol\|not found' "$dir/ldd"; then
			ok "$(basename "$program") links and finds all symbols"
		else
			bad "$(basename "$program") links and finds all symbols"
			sed 's/^/         | /' "$dir/ldd"
		fi
	done
}

# struct checker as checkers-ffi has it is that of the C compiler and of bindgen.
# shellcheck disable=SC2086 # lists of words
compare_layouts() { # features, tree
	case $1 in
	layout-b*) define=-DCHECKERS_LAYOUT_B abi=0.7.9 ;;
	*) define=-DCHECKERS_LAYOUT_C abi=0.11 ;;
	esac
	include="-I$2/libmultipath -I$2/libmpathutil"
	try "a C program sees struct checker" cc -Wall $define '-DCHECKERS_H="checkers.h"' \
		$include -o "$dir/layout" "$here/c/print_layout.c" || return
	"$dir/layout" >"$dir/layout.c"
	$cargo run --quiet --locked --package checkers-ffi --example print_layout -- $abi >"$dir/layout.ours" 2>"$work/log"
	same "layout $abi is the C compiler's: $(tr '\n' ',' <"$dir/layout.c" | sed 's/,$//; s/,/, /g')" "$dir/layout.c" "$dir/layout.ours"
	$cargo run --quiet --locked --manifest-path compat-tests/bindings/Cargo.toml --bin layout \
		--target-dir target/bindings -- "$2/libmultipath/checkers.h" $include >"$dir/layout.bindgen" 2>"$work/log"
	same "layout $abi is bindgen's" "$dir/layout.bindgen" "$dir/layout.ours"
}

# The transcripts of a C host with either libmultipath differ as written in expected/.
# shellcheck disable=SC2086,SC2089,SC2090 # lists of words, with quotes for the compiler
compare_hosts() { # features
	defines=$(echo "$1" | tr ' ' '\n' | sed 's/-/_/g; s/.*/-DCHECKERS_\U&/' | tr '\n' ' ')
	for tree in as-is patched; do
		at=$dir/$tree
		flags="-g -Wall -I$at/libmultipath -I$at/libmpathutil -DCHECKERS_H=\"checkers.h\" $defines"
		mkdir -p "$dir/$tree.host"
		util=
		[ ! -d "$at/libmpathutil" ] || util=-lmpathutil
		try "a C host links with $tree libmultipath" cc $flags -o "$dir/$tree.host/host" "$here/c/host.c" \
			-L"$at/tests" -lmultipath -L"$at/libmpathutil" $util \
			-L"$at/libmpathcmd" -lmpathcmd -lurcu || return
		make_plugins "$at/tests/lib" "$flags" || return
		transcript "$dir/$tree.host" "$at/tests" "$at/tests/lib" >"$dir/$tree.transcript"
	done
	diff "$dir/as-is.transcript" "$dir/patched.transcript" | grep '^[<>]' >"$dir/differences"
	expected=$here/expected/$release
	[ -f "$expected" ] || expected=$here/expected/$(echo "$1" | tr ' ' +)
	same "the C host's transcript of $(grep -c . <"$dir/patched.transcript") lines differs as written in expected/$(basename "$expected")" \
		"$expected" "$dir/differences"
}

# multipath-tools' own unit tests have the same results. directio-test includes upstream's directio.c and
# says nothing about ours, so it is left out.
compare_unit_tests() {
	for tree in as-is patched; do
		unit_tests "$dir/$tree" >"$dir/$tree.tests"
	done
	grep -v '^directio ' "$dir/as-is.tests" >"$dir/expected.tests"
	grep -v '^directio ' "$dir/patched.tests" >"$dir/found.tests"
	awk '{ programs++; passed += $2; failed += $3; skipped += $4 }
		END { print programs + 0, "programs,", passed + 0, "passed,", failed + 0, "failed,", skipped + 0, "skipped" }' \
		"$dir/found.tests" >"$dir/summary"
	if grep -q ' 0 passed' "$dir/summary"; then
		bad "multipath-tools' own unit tests: none has run"
	else
		same "multipath-tools' own unit tests end as before: $(cat "$dir/summary")" "$dir/expected.tests" "$dir/found.tests"
	fi
	echo "         passed: $(sed -n 's/^\([a-z]*\) \([1-9][0-9]*\) .*/\1 \2/p' "$dir/found.tests" | paste -sd, | sed 's/,/, /g')"
	while read -r name _ _ skipped _; do
		[ "$skipped" = 0 ] || skip "$name: $skipped tests skip themselves here, patched or not"
	done <"$dir/found.tests"
	echo "         left out: directio, $(sed -n 's/^directio \([0-9]*\).*/\1/p' "$dir/as-is.tests") tests of upstream's directio.c"
}

# Runs the unit tests of a tree. A line per program: its name, how many tests passed, failed and were
# skipped, its exit code.
unit_tests() { # tree
	(
		cd "$1/tests" || exit
		for program in *-test; do
			LD_LIBRARY_PATH=.:../libmpathutil:../libmpathcmd timeout 300 "./$program" >"$program.out" 2>&1
			awk -v name="${program%-test}" -v code=$? '
				/^\[       OK \]/ { passed++ }
				/^\[  FAILED  \] [a-z]/ && !seen[$0]++ { failed++ }
				/^\[  SKIPPED \] [a-z]/ && !seen[$0]++ { skipped++ }
				END { print name, passed + 0, failed + 0, skipped + 0, "exit code", code }' "$program.out"
		done
	)
}
