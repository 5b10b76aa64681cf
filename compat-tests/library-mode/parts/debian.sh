# shellcheck shell=sh
# SPDX-License-Identifier: LGPL-2.0-or-later
# The source packages of Debian's suites.

packages="build-essential dpkg-dev libaio-dev libcmocka-dev libclang-dev libdevmapper-dev libedit-dev
	libjson-c-dev libmount-dev libsystemd-dev libudev-dev liburcu-dev pkg-config"

# Installs the packages that a build of multipath-tools needs. Fails if that is not possible.
# shellcheck disable=SC2086 # lists of words
install_packages() {
	missing=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $packages 2>&1 |
		sed -n -e '/^ii/d' -e '/no packages found matching /{s/.* //p;d}' -e 's/^.. *//p')
	[ -z "$missing" ] && return 0
	scripts/apt-install $missing >"$work/log" 2>&1 || {
		skip "multipath-tools: packages are missing: $(tail -n 1 "$work/log")"
		return 1
	}
}

debian() {
	for suite in bookworm trixie; do
		! fetch $suite || compare_tree "$tree"
	done
	for suite in bullseye sid; do
		fetch $suite || continue
		if scripts/patch-multipath-tools "$tree" >"$work/log" 2>&1; then
			bad "$(basename "$tree") is refused"
		else
			ok "$(basename "$tree") is refused: $(cat "$work/log")"
		fi
	done
}

# Fetches and unpacks the source package of a suite, once. Sets $tree; fails if there is no package.
fetch() { # suite
	download "$1" >"$work/log" 2>&1
	tree=$(find "$work/apt/$1" -mindepth 1 -maxdepth 1 -type d)
	[ -n "$tree" ] || {
		skip "Debian $1: no source package ($(tail -n 1 "$work/log"))"
		return 1
	}
}

# shellcheck disable=SC2086 # a list of words
download() { # suite
	mkdir -p "$work/apt/lists/partial" "$work/apt/$1"
	[ -z "$(find "$work/apt/$1" -mindepth 1 -maxdepth 1 -type d)" ] || return 0
	cat >"$work/apt/$1.sources" <<-SOURCES
		Types: deb-src
		URIs: http://deb.debian.org/debian
		Suites: $1
		Components: main
		Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
	SOURCES
	options="-o Dir::Etc::sourcelist=$work/apt/$1.sources -o Dir::Etc::sourceparts=- -o Dir::State::lists=$work/apt/lists"
	options="$options -o APT::Sandbox::User=root -qq"
	(cd "$work/apt/$1" && rm -rf -- * && apt-get $options update && apt-get $options source multipath-tools)
}
