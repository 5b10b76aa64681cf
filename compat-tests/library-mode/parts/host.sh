# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# A host in C and third-party plugins, see c/host.c and c/plugin.c.

# shellcheck disable=SC2086 # lists of words
make_plugins() { # directory, flags
	mkdir -p "$1"
	cc $2 -shared -fPIC -o "$1/libcheckother.so" "$here/c/plugin.c" || return
	ln -sf libcheckother.so "$1/libcheckother-fifteen-b-and-more.so"
	echo 'int libcheck_check(void *c) { return !c; } int libcheck_init(void *c) { return !c; }' |
		cc -xc -shared -fPIC -o "$1/libcheckbroken.so" -
	echo "not an object" >"$1/libchecktext.so"
}

# Prints the host's transcript and exit code. Any readable file serves as the device.
transcript() { # directory of the host, directory to run it in, plugins
	(
		cd "$2" || exit
		LD_LIBRARY_PATH=.:../libmpathutil:../libmpathcmd timeout 120 "$1/host" "$3" "$here/c/host.c" 2>&1
		echo "exit code $?"
	) | sed "s|$3|PLUGINS|g"
}
