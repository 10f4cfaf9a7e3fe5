#!/bin/sh
# Make every golden value again on a 64-bit ARM processor that QEMU emulates: sh emulated.sh FOLDER
#
# Debian's Python for arm64, PyPI's wheels for it and QEMU are unpacked in the folder; nothing is
# installed, and an architecture that Debian's own tools don't know of stays unknown to them.
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
project=$(cd "$(dirname "$0")/.." && pwd)

# apt with lists and an architecture of its own.
apt_arm64() {
    apt-get -qq -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" \
        -o Dir::Cache="$folder/apt" -o APT::Architecture=arm64 -o APT::Architectures=arm64 "$@"
}

if ! [ -e "$folder/installed" ]; then
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
    : > "$folder/apt/status"
    apt_arm64 update
    apt_arm64 -y --no-install-recommends -d install python3 libpython3-stdlib libstdc++6
    for package in "$folder"/apt/archives/*.deb; do
        dpkg -x "$package" "$folder/root"
    done
    (cd "$folder" && apt-get -qq update && apt-get -qq download qemu-user-static)
    dpkg -x "$folder"/qemu-user-static_*.deb "$folder/qemu"
fi
python=$(echo "$folder"/root/usr/bin/python3.[0-9]*)
emulated() {
    PYTHONPATH="$folder/site:$project:$project/cli" PYTHONDONTWRITEBYTECODE=1 \
        INITGEN_COMPILING=1 INITGEN_CACHE_DIR="$folder/kernels" \
        "$folder/qemu/usr/bin/qemu-aarch64-static" -L "$folder/root" "$python" "$@"
}
if ! [ -e "$folder/installed" ]; then
    version=$(emulated -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$project/.venv/bin/python" -c 'import tomllib
for each in tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]: print(each)' > "$folder/needed"
    "$project/.venv/bin/uv" pip install -q --target "$folder/site" --only-binary :all: \
        --python-platform aarch64-manylinux_2_28 --python-version "$version" -r "$folder/needed"
    touch "$folder/installed"
fi
for engine in reference kernels; do
    said=$(emulated "$project/tests/support/golden.py" "$engine")
    echo "$engine: $said"
    case $said in *'"wrong": []'*) ;; *) exit 1 ;; esac
done
