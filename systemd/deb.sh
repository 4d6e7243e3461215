#!/bin/bash
# Makes dist/spanhawk_VERSION_ARCH.deb for one kind of board, with all it needs: it installs without a network.
#   deb.sh WHEEL BOARD       BOARD is the name of a file in systemd/requirements, as arm64-python3.11
# PYTHON is the python whose pip fetches the wheels (default: python3).
#
# Everything is unpacked here as it lies on the board, with its byte code: what is left to do there is to link it
# (install.sh). Byte code is the same on every processor, and only the same minor version of Python makes it. Where this
# machine has none, the board makes its own when it installs, which takes it minutes.
set -euo pipefail
[ $# = 2 ] || { echo "usage: deb.sh WHEEL BOARD, a name in systemd/requirements" >&2; exit 2; }
[ -e "$1" ] || { echo "deb.sh: there is no $1; build it with make wheel" >&2; exit 2; }
wheel=$(readlink -f "$1") board=${2%.txt}
cd "$(dirname "$0")"
[ -e "requirements/$board.txt" ] || { echo "deb.sh: no requirements/$board.txt; there are: $(cd requirements && echo *.txt)" >&2; exit 2; }
arch=${board%%-*} python=${board##*-python}
case $arch in
  arm64) machine=aarch64 ;;
  amd64) machine=x86_64 ;;
  *) echo "deb.sh: unknown architecture $arch" >&2; exit 2 ;;
esac
base=${wheel##*/}
version=${base#spanhawk-}
version=${version%%-*}
next=${python%.*}.$((${python#*.} + 1))
compiler_of() { # VERSION: a python of that minor version, from PATH or pyenv
  local found
  for found in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    found=$(command -v "$found") && "$found" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null &&
      echo "$found" && return
  done
  return 1
}
cd ..
mkdir -p dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

share=$work/usr/share/spanhawk
install -d "$share" "$work/DEBIAN" "$work/usr/share/doc/spanhawk"
cp systemd/*.service systemd/*.timer systemd/*.conf systemd/install.sh systemd/spanhawk.toml.example "$wheel" "$share/"
cp -r systemd/host systemd/requirements "$share/"
# The names are those that install.sh gives them below /opt/spanhawk.
pinned=systemd/requirements/$board.txt
packages=$share/packages/$board-$(sha256sum "$pinned" | cut -c1-8)
own=$share/versions/$version-$(sha256sum "$wheel" | cut -c1-8)
platforms=(--platform "manylinux2014_$machine")
for glibc in 17 24 26 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_$machine"); done
"${PYTHON:-python3}" -m pip install -qq --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
  --no-compile --python-version "$python" "${platforms[@]}" --target "$packages" -r "$pinned"
rm -rf "$packages/bin" # its programs name this machine's Python
# A quarter of all bytes: what generates MAVLink for other languages, and every dialect but the one that is spoken.
rm -rf "$packages"/pymavlink/{generator,tools,message_definitions}
find "$packages/pymavlink/dialects" -type f ! -path '*/v20/common.*' ! -name __init__.py -delete
"${PYTHON:-python3}" -m zipfile -e "$wheel" "$own"
if compiler=$(compiler_of "$python"); then
  # Unchecked: a file's time may change on its way to the board, and would then make its byte code void in silence.
  # A file that does not compile is not Python of this version (templates are among them).
  compile() { "$compiler" -W ignore -m compileall -qq -j 0 --invalidation-mode unchecked-hash -s "$1" -p "$2" "$1"; }
  compile "$packages" "/opt/spanhawk/packages/${packages##*/}" || true
  compile "$own" "/opt/spanhawk/versions/${own##*/}/venv/lib/python$python/site-packages"
else
  echo "deb.sh: no python$python here: the package has no byte code, and the board makes its own (some minutes)" >&2
fi
cp LICENSE "$work/usr/share/doc/spanhawk/copyright"
cat models/bundles/LICENSE.md >>"$work/usr/share/doc/spanhawk/copyright"

cat >"$work/DEBIAN/control" <<END
Package: spanhawk
Version: $version
Architecture: $arch
Maintainer: spanhawk <spanhawk@localhost>
Section: science
Priority: optional
Depends: python3 (>= $python), python3 (<< $next), systemd (>= 249), udev
Recommends: python3-picamera2
Suggests: mosquitto, gpsd, libedgetpu1-std
Installed-Size: $(du -sk "$work/usr" | cut -f1)
Description: crack inspection on board of a drone
 Finds cracks in camera frames with an int8 U-Net, measures and geotags them,
 and delivers them over MQTT so that none is lost. Runs as a systemd service.
END
cat >"$work/DEBIAN/postinst" <<'END'
#!/bin/sh
# The same installer as from a checkout: versions side by side, an atomic switch, back by itself when it fails.
set -e
[ "$1" != configure ] || /usr/share/spanhawk/install.sh install --no-apt
END
cat >"$work/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
[ "$1" != remove ] || /usr/share/spanhawk/install.sh uninstall
END
chmod 0755 "$work" "$work/DEBIAN/postinst" "$work/DEBIAN/prerm"
dpkg-deb --root-owner-group -Zzstd -z10 --build "$work" "dist/spanhawk_${version}_$arch-python$python.deb" >/dev/null
echo "dist/spanhawk_${version}_$arch-python$python.deb"
