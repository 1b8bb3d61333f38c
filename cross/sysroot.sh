#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cross/sysroot.sh ARCHITECTURE FOLDER: what the library is built with, for another Debian architecture, unpacked into FOLDER; nothing is
# installed and nobody needs to be root. FOLDER.ini tells Meson where it is. $DEBIAN_MIRROR is where packages come from.
set -euo pipefail

architecture=$1 folder=$2
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=(libc6-dev libstdc++6 libgcc-s1 libgomp1 libeigen3-dev doctest-dev libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libfmt-dev
          libjpeg62-turbo-dev libpng-dev libzip-dev zlib1g-dev libonnx-dev libprotobuf-dev libflatbuffers-dev)

[ ! -e "$folder/complete" ] || exit 0
rm -rf "$folder"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
apt=$(realpath "$folder/apt")
: >"$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main" >"$apt/sources.list"

# A package manager of its own, which believes that nothing is installed yet.
own_apt() {
  apt-get -q -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::State="$apt" \
    -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" -o Dir::Etc::SourceList="$apt/sources.list" \
    -o Dir::Etc::SourceParts=/dev/null -o Debug::NoLocking=1 "$@"
}
own_apt update
own_apt install --yes --no-install-recommends --download-only "${packages[@]}"
for package in "$apt"/cache/archives/*.deb; do dpkg-deb -x "$package" "$folder"; done
find "$folder" -type l -lname '/*' | while read -r link; do ln -srf "$folder$(readlink "$link")" "$link"; done
printf "[constants]\nsysroot = '%s'\n" "$(realpath "$folder")" >"$folder.ini"
rm -rf "$apt"
touch "$folder/complete"
