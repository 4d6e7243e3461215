#!/bin/sh
# Writes the hash-pinned requirements of every platform anew, from pyproject.toml; needs uv (pip install uv).
# Name: Debian's word for the architecture, then the Python. install.sh takes the file that fits the board.
set -eu
cd "$(dirname "$0")"

pin() { # NAME PYTHON UV-PLATFORM [EXTRA REQUIREMENT...]
  name=$1 python=$2 platform=$3
  shift 3
  {
    echo "# Made by systemd/requirements/compile.sh from pyproject.toml; pip install --require-hashes -r FILE"
    printf '%s\n' "$@" >extra.in
    uv pip compile ../../pyproject.toml extra.in --no-config --quiet --upgrade --no-header --no-annotate \
      --generate-hashes --only-binary :all: --default-index https://pypi.org/simple \
      --python-version "$python" --python-platform "$platform"
  } >"$name.txt.new"
  rm extra.in
  mv "$name.txt.new" "$name.txt"
}

# ai-edge-litert asks for backports-strenum, whose 1.3 is for Python below 3.11 only; uv does not heed upper bounds.
STRENUM='backports-strenum<1.3'

# Raspberry Pi OS Bookworm: apt's picamera2 brings a simplejpeg built for numpy 1, and the venv's numpy comes first.
pin arm64-python3.11 3.11 aarch64-manylinux_2_36 'numpy<2' "$STRENUM"
# Raspberry Pi OS Trixie: apt's own are built for numpy 2.
pin arm64-python3.13 3.13 aarch64-manylinux_2_40 'numpy>=2' "$STRENUM"
# JetPack 6 (Ubuntu 22.04): NVIDIA's own packages there are built for numpy 1.
pin arm64-python3.10 3.10 aarch64-manylinux_2_35 'numpy<2'
# Debian 12 on a PC, where the service is tested.
pin amd64-python3.11 3.11 x86_64-manylinux_2_36 'numpy>=2' "$STRENUM"
