#!/usr/bin/env bash
# Installs the packages of Debian 12 or 13 that aetools is built from. Needs root (or sudo).
#   scripts/setup.sh              what the programs need
#   scripts/setup.sh --tests      also what the tests compare with (scikit-learn, h5py, jsonschema, Chromium ...)
#   scripts/setup.sh --coverage   also gcovr
#   scripts/setup.sh --fuzz       also Clang with its sanitizers
#   scripts/setup.sh --tidy       also clang-tidy
#   scripts/setup.sh --format     also clang-format
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config git libtorch-dev libgloo-dev libopenblas-dev libcli11-dev nlohmann-json3-dev
  libeigen3-dev libspdlog-dev libopencv-dev libhdf5-dev liblzf-dev gemmi-dev tao-pegtl-dev zlib1g-dev
  libpng-dev libzstd-dev libssl-dev)
test_packages=(libgtest-dev libgmock-dev python3 python3-pytest python3-numpy python3-scipy python3-sklearn python3-torch
  python3-h5py python3-gemmi python3-jsonschema chromium openmpi-bin parallel iproute2)

for argument in "$@"; do
  case "$argument" in
    --tests) packages+=("${test_packages[@]}") ;;
    --coverage) packages+=(gcovr) ;;
    --fuzz) packages+=(clang libclang-rt-dev) ;;
    --tidy) packages+=(clang-tidy) ;;
    --format) packages+=(clang-format) ;;
    *)
      echo "setup.sh: unknown option $argument; expected --tests, --coverage, --fuzz, --tidy or --format" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "all packages are installed"
  exit 0
fi

run=()
[ "$(id -u)" -eq 0 ] || run=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${run[@]}" apt-get update
"${run[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
