# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# libcheckers.a without multipath-tools: features, native libraries, exported names, C programs.

alone() {
	mkdir -p "$work/alone"
	refused "" "no layout of struct checker is chosen"
	refused "layout-b layout-c" "two layouts of struct checker are chosen"
	refused "layout-c directory-argument" "directory-argument is a form of layout-b"
	refused "layout-b disconnected" "disconnected is a form of layout-c"
	$cargo rustc --quiet --release --locked --package checkers-library -- \
		--print native-static-libs 2>&1 | sed -n 's/.*native-static-libs: //p' >"$work/native"
	same "the native libraries are those of ffi/library/native-static-libs" ffi/library/native-static-libs "$work/native"
	standalone layout-b -DCHECKERS_LAYOUT_B -DCHECKERS_LAYOUT_C
	standalone layout-c -DCHECKERS_LAYOUT_C -DCHECKERS_LAYOUT_B
}

# Passes if the library does not compile with these features, for this reason.
refused() { # features, words of the message
	if $cargo check --quiet --locked --package checkers-library --no-default-features --features "$1" >"$work/log" 2>&1; then
		bad "features '$1' do not compile"
	elif grep -q "$2" "$work/log"; then
		ok "features '$1' do not compile: $2"
	else
		bad "features '$1' do not compile, but not because: $2"
	fi
}

# C programs that are linked with libcheckers.a only.
# shellcheck disable=SC2086 # lists of words
standalone() { # features, define, define of another layout
	dir=$work/alone/$(echo "$1" | tr ' ' +)
	rm -rf "$dir"
	mkdir -p "$dir/plugins"
	if $cargo clippy --version >/dev/null 2>&1; then
		try "lints ($1)" $cargo clippy --quiet --locked --package checkers-library --no-default-features \
			--features "$1" -- -D warnings
	else
		skip "lints ($1): cargo clippy is not installed"
	fi
	try "libcheckers.a with $1 is built" scripts/build-library "$1" "$dir" || return
	nm -g --defined-only "$dir/libcheckers.a" 2>/dev/null | sed -n 's/.* [TDBRV] //p' | sort -u >"$dir/names"
	if [ -s "$dir/names" ] && ! grep -q '^libcheck_' "$dir/names"; then
		ok "no checker's own name is exported"
	else
		bad "no checker's own name is exported"
	fi
	flags="-g -Wall -Wextra -Werror -I$top/ffi/include -DCHECKERS_H=\"path_checkers.h\" -DSTANDALONE $2"
	native=$(cat ffi/library/native-static-libs)
	try "a C program links with ffi/include ($1)" cc $flags "-DDIRECTORY=\"$dir/plugins\"" -rdynamic \
		-o "$dir/host" "$here/c/host.c" "$dir/libcheckers.a" $native || return
	make_plugins "$dir/plugins" "$flags"
	transcript "$dir" "$dir" "$dir/plugins" >"$dir/transcript"
	same "what it can do ($1)" "$here/expected/alone-${2#-DCHECKERS_}" "$dir/transcript"

	if cc -I"$top/ffi/include" $3 -xc -o "$dir/other" "$here/c/other_layout.c" -xnone "$dir/libcheckers.a" $native \
		>"$work/log" 2>&1; then
		bad "a program with another layout does not link"
	elif grep -q 'undefined reference to .checkers_layout_' "$work/log"; then
		ok "a program with another layout does not link"
	else
		bad "a program with another layout does not link, but not because of its layout"
	fi
	if command -v c++ >/dev/null; then
		try "the header is C++ too ($1)" c++ -Wall -Werror -I"$top/ffi/include" "$2" -xc++ -fsyntax-only \
			"$here/c/other_layout.c"
	else
		skip "the header is C++ too: no c++"
	fi
}
