#!/bin/bash
# Installs spanhawk on a board, changes its version, takes it off again.
#
#   sudo ./systemd/install.sh install     from a checkout: the version of this checkout (an upgrade too)
#   sudo spanhawk-install rollback        back to the version before
#   sudo spanhawk-install status          which versions are there, and how the daemon does
#   sudo spanhawk-install uninstall       take it off; flights and configuration stay
#
# Options of install: --wheel FILE (rather than building one), --wheelhouse DIR (no network: take every wheel from
# there), --config FILE (put in place where there is no configuration yet), --no-apt, --no-start.
#
# /opt/spanhawk/versions/NAME holds a version: its venv and its units. /opt/spanhawk/current is the one that runs; it is
# switched by one rename, so that a power cut leaves the old or the new. A version that does not start is rolled back.
# /opt/spanhawk/packages/NAME holds the pinned packages, shared by versions that pin the same. The Debian package brings
# both unpacked; they are linked from there, and stay when dpkg replaces its own files.
set -euo pipefail

ROOT=/opt/spanhawk
ETC=/etc/spanhawk
UNITS=/etc/systemd/system
LOCAL=/usr/local
HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
WITH_CREDENTIALS='spanhawk spanhawk-doctor spanhawk-prune'
HOLD_S=5          # a new version has to stay up so long before it is confirmed
KEEP_FREE_MB=600  # a venv, its wheels while they are unpacked, and some air

say() { echo "spanhawk: $*" >&2; }
die() { # CODE SENTENCE
  say "$2"
  exit "$1"
}

main() {
  local verb=${1:-}
  [ $# -gt 0 ] && shift
  WHEEL='' WHEELHOUSE='' CONFIG='' APT=yes START=yes SCRATCH=''
  while [ $# -gt 0 ]; do
    case $1 in
      --wheel | --wheelhouse | --config)
        [ -n "${2:-}" ] || die 2 "$1 needs a value"
        [ -e "$2" ] || die 2 "$1: there is no $2"
        case $1 in
          --wheel) WHEEL=$(readlink -f "$2") ;;
          --wheelhouse) WHEELHOUSE=$(readlink -f "$2") ;;
          --config) CONFIG=$(readlink -f "$2") ;;
        esac
        shift 2
        ;;
      --no-apt) APT=no && shift ;;
      --no-start) START=no && shift ;;
      *) die 2 "unknown option $1; see the head of $HERE/install.sh" ;;
    esac
  done
  case $verb in
    install | upgrade | rollback | fallback | uninstall | status) ;;
    -h | --help | '') sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$HERE/install.sh" && exit 0 ;;
    *) die 2 "unknown command '$verb'; one of install, rollback, status, uninstall" ;;
  esac
  if [ "$verb" = status ]; then # only reads
    status
    return
  fi
  [ "$(id -u)" = 0 ] || die 2 "needs root: sudo $0 $verb"
  mkdir -p "$ROOT"
  exec 9>"$ROOT/.lock" # two at once would undo each other
  # A fallback that has just brought a version back may still be tidying up.
  flock -w 60 9 || die 75 "another install has been running for a minute; try again when it is done"
  case $verb in
    install | upgrade) put_on ;;
    *) "$verb" ;;
  esac
}

# -- install and upgrade

put_on() {
  local requirements name
  check_machine
  requirements=$(requirements_file)
  [ "$APT" = no ] || apt_packages
  find_wheel
  name=$(version_name "$WHEEL")
  if [ ! -e "$ROOT/versions/$name/.complete" ]; then
    build_version "$name" "$requirements"
  fi
  host_files "$name"
  first_configuration
  if [ "$(current)" != "$name" ] && [ "$(proven)" = "$name" ]; then # back from one that has not come up yet
    leave "$(current)" "$name" ''
  fi
  if [ "$(current)" = "$name" ] && [ "$(proven)" = "$name" ]; then
    say "$name is the version in use already"
    link_units
    [ "$START" = no ] || start_or_say
  elif [ -z "$(current)" ]; then
    switch_to "$name"
    [ "$START" = no ] || start_or_say
  else
    upgrade_to "$name"
  fi
  forget_old_versions
  [ "$START" = no ] || final_doctor
}

check_machine() {
  command -v systemctl >/dev/null || die 69 "there is no systemd here; spanhawk's service needs it"
  if ! live; then
    START=no
    say "systemd does not run here, so this root is for a board that is not on: the service starts when it boots"
  fi
  local free
  free=$(df --output=avail -m "$ROOT" | tail -1)
  [ "$free" -ge "$KEEP_FREE_MB" ] || die 75 "$free MB free for $ROOT, $KEEP_FREE_MB are needed; make room, then again"
}

# Whether this root is what runs; else it is an image in the making (mmdebstrap, rpi-image-gen).
live() { [ -d /run/systemd/system ]; }

requirements_file() {
  local arch python file
  arch=$(dpkg --print-architecture)
  python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  file=$HERE/requirements/$arch-python$python.txt
  [ -e "$file" ] || die 69 "no pinned requirements for $arch with Python $python; there are: $(cd "$HERE/requirements" && echo *.txt)"
  echo "$file"
}

apt_packages() {
  local missing=()
  dpkg-query -W -f='${Status}' python3-venv 2>/dev/null | grep -q 'ok installed' || missing+=(python3-venv)
  # The camera of a Raspberry Pi comes from its own archive; its bindings cannot come from PyPI.
  if grep -qi raspberry /proc/device-tree/model 2>/dev/null && ! has_picamera2; then
    missing+=(python3-picamera2)
  fi
  [ ${#missing[@]} -eq 0 ] && return
  say "installing ${missing[*]}"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null; } ||
    die 75 "apt could not install ${missing[*]}; check the network, then again"
}

has_picamera2() { python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("picamera2") is None)'; }

find_wheel() {
  [ -n "$WHEEL" ] && return
  local found=("$HERE"/spanhawk-*.whl)
  if [ -e "${found[0]}" ]; then # the Debian package and an installed version carry theirs
    WHEEL=${found[0]}
    return
  fi
  [ -e "$HERE/../pyproject.toml" ] || die 2 "no wheel beside $HERE/install.sh and no checkout above it; give --wheel FILE"
  say "building the wheel"
  scratch # before its name is used
  pip wheel --quiet --no-deps --wheel-dir "$SCRATCH" "$HERE/.." ||
    die 75 "the wheel could not be built (see above); check the network, then again"
  WHEEL=$(echo "$SCRATCH"/spanhawk-*.whl)
}

# A folder that is gone when this ends
scratch() {
  [ -z "$SCRATCH" ] || return 0
  SCRATCH=$(mktemp -d)
  trap 'rm -rf "$SCRATCH"' EXIT
}

# In an environment of that folder; WORDS of pip
pip() {
  scratch
  [ -x "$SCRATCH/venv/bin/pip" ] || python3 -m venv "$SCRATCH/venv"
  "$SCRATCH/venv/bin/pip" "$@"
}

# The version and what the wheel is made of: two builds of one version number lie side by side.
version_name() {
  local base=${1##*/}
  base=${base#spanhawk-}
  echo "${base%%-*}-$(sha256sum "$1" | cut -c1-8)"
}

build_version() { # NAME REQUIREMENTS
  local home=$ROOT/versions/$1 site=() packages lib
  say "building version $1"
  rm -rf "$home" # what a power cut left
  mkdir -p "$home/systemd"
  # picamera2 and libcamera are apt's; the venv's own packages come before them.
  has_picamera2 && site=(--system-site-packages)
  python3 -m venv --without-pip "${site[@]}" "$home/venv"
  lib=$(echo "$home"/venv/lib/python3*/site-packages)
  packages=$ROOT/packages/$(basename "$2" .txt)-$(sha256sum "$2" | cut -c1-8)
  [ -d "$packages" ] || build_packages "$2" "$packages"
  # Read after the venv's own folder and before the system's.
  echo "$packages" >"$lib/spanhawk-packages.pth"
  echo "${packages##*/}" >"$home/packages"
  if [ -d "$HERE/versions/$1" ]; then
    link_tree "$HERE/versions/$1" "$lib"
  else # a wheel of Python alone is installed when it is unpacked
    python3 -m zipfile -e "$WHEEL" "$lib" || die 2 "$WHEEL is damaged; build it again"
  fi
  byte_code "$lib"
  printf '#!%s\nimport sys\n\nfrom edge.cli import main\n\nsys.exit(main())\n' "$home/venv/bin/python" >"$home/venv/bin/spanhawk"
  chmod 0755 "$home/venv/bin/spanhawk"
  if [ ${#site[@]} -gt 0 ] && ! "$home/venv/bin/python" -c 'import picamera2' 2>"$home/why"; then
    die 69 "picamera2 does not work beside the pinned packages ($(tail -1 "$home/why")); report this with your OS version"
  fi
  cp -a "$HERE"/*.service "$HERE"/*.timer "$HERE"/*.conf "$HERE"/install.sh "$HERE"/spanhawk.toml.example "$home/systemd/"
  cp -a "$HERE/host" "$HERE/requirements" "$home/systemd/"
  cp "$WHEEL" "$home/systemd/"
  sync -f "$home"
  touch "$home/.complete"
  sync -f "$home"
}

build_packages() { # REQUIREMENTS FOLDER
  local index=()
  rm -rf "$2.part"
  mkdir -p "${2%/*}"
  if [ -z "$WHEELHOUSE" ] && [ -d "$HERE/packages/${2##*/}" ]; then
    link_tree "$HERE/packages/${2##*/}" "$2.part"
  else
    [ -z "$WHEELHOUSE" ] || index=(--no-index --find-links "$WHEELHOUSE")
    say "installing the pinned packages of $(basename "$1")"
    pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes --no-deps --no-compile \
      "${index[@]}" --target "$2.part" -r "$1" ||
      die 75 "the packages could not be installed (see above); nothing was changed"
  fi
  byte_code "$2.part"
  sync -f "$ROOT"
  mv "$2.part" "$2"
}

# FROM TO: the same files under a second name where that is possible, else a copy
link_tree() {
  mkdir -p "$2"
  cp -al "$1/." "$2" 2>/dev/null || cp -a --remove-destination "$1/." "$2"
}

# The service may not write, so byte code that is not there now is made again at each start.
byte_code() { # FOLDER
  [ -z "$(find "$1" -name '*.pyc' -print -quit)" ] || return 0
  say "compiling ${1##*/}"
  # A file that does not compile is not Python of this version (templates are among them).
  python3 -W ignore -m compileall -qq "$1" || true
}

host_files() { # NAME
  local from=$ROOT/versions/$1/systemd/host
  install_file "$from/sysusers-spanhawk.conf" /etc/sysusers.d/spanhawk.conf
  systemd-sysusers /etc/sysusers.d/spanhawk.conf
  install_file "$from/60-spanhawk.rules" /etc/udev/rules.d/60-spanhawk.rules
  install_file "$from/journald-spanhawk.conf" /etc/systemd/journald.conf.d/spanhawk.conf
  if command -v udevadm >/dev/null && udevadm control --reload 2>/dev/null; then
    udevadm trigger --subsystem-match=usb --subsystem-match=apex --subsystem-match=dma_heap || true
  fi
  install -d -o root -g spanhawk -m 0750 "$ETC"
  install -d -o root -g root -m 0700 "$ETC/credentials"
  install -d -o spanhawk -g spanhawk -m 0750 /var/lib/spanhawk
  install -o root -g spanhawk -m 0640 "$ROOT/versions/$1/systemd/spanhawk.toml.example" "$ETC/"
}

install_file() { install -D -m 0644 "$1" "$2"; }

first_configuration() {
  [ -e "$ETC/spanhawk.toml" ] && return
  local from=${CONFIG:-$ETC/spanhawk.toml.example}
  install -o root -g spanhawk -m 0640 "$from" "$ETC/.spanhawk.toml.new"
  mv "$ETC/.spanhawk.toml.new" "$ETC/spanhawk.toml"
  say "$ETC/spanhawk.toml is new, from ${from##*/}: put in your vehicle, camera, autopilot and broker"
}

upgrade_to() { # NAME
  local name=$1 before older was_running=no
  before=$(proven) older=$(previous)
  # A fallback at work is about to start one; the daemon that failed is started in its place, and its end starts another.
  { tries || tries spanhawk-fallback; } && was_running=yes
  systemctl stop spanhawk 2>/dev/null || true # the outbox has one owner, and doctor wants to look into it
  # What failed before now is ours to decide: a fallback that waits for our lock would leave $name for it. Only after the
  # daemon, whose end can start one.
  systemctl stop spanhawk-fallback 2>/dev/null || true
  if ! "$ROOT/versions/$name/venv/bin/spanhawk" doctor --software --config "$ETC/spanhawk.toml"; then
    if [ "$(current)" = "$name" ]; then # put on before, and never came up
      leave "$name" "$before" ''
    else
      rm -rf "${ROOT:?}/versions/$name"
    fi
    [ "$was_running" = no ] || systemctl start spanhawk || true
    die 78 "$name fails its own check with this configuration (see above); $(current) stays in use; to try $name again, edit $ETC/spanhawk.toml, then install it again"
  fi
  switch_to "$name"
  if [ "$START" = no ]; then
    say "$name is in use from the next start on; if it does not come up then, $before comes back"
    return
  fi
  if comes_up; then
    confirm
    say "$name is in use; $before is kept for: spanhawk-install rollback"
    return
  fi
  journalctl -u spanhawk -n 15 --no-pager -o cat >&2 || true
  say "$name does not come up; going back to $before"
  leave "$name" "$before" "$older"
  comes_up || die 75 "$before does not come up either: something else is wrong, see journalctl -u spanhawk"
  die 75 "$before is in use again; $name was left"
}

# -- switching

current() { basename "$(readlink "$ROOT/current" 2>/dev/null)" 2>/dev/null || true; }
previous() { basename "$(readlink "$ROOT/previous" 2>/dev/null)" 2>/dev/null || true; }

# The last version that came up: the one in use, or the one before it while that has not come up yet.
proven() {
  local name
  name=$(cat "$ROOT/unconfirmed" 2>/dev/null || true)
  [ -e "$ROOT/versions/${name:-none}/.complete" ] || name=$(current)
  echo "$name"
}

point() { # LINK NAME: one rename, so that the link is always the old or the new
  ln -sfn "versions/$2" "$ROOT/.$1.new"
  mv -T "$ROOT/.$1.new" "$ROOT/$1"
}

switch_to() { # NAME
  local before
  before=$(proven)
  if [ -n "$before" ] && [ "$before" != "$1" ]; then
    echo "$before" >"$ROOT/unconfirmed" # read by spanhawk-fallback.service, also after a power cut from here on
    point previous "$before"
  fi
  point current "$1"
  sync -f "$ROOT"
  link_units
}

# LEFT BACK_TO OLDER: a version that failed goes, and is nothing to roll back to; OLDER, where known, is.
leave() {
  switch_to "$2"
  confirm
  rm -rf "$ROOT/previous" "${ROOT:?}/versions/$1"
  [ "${3:-$2}" = "$2" ] || [ ! -e "$ROOT/versions/$3/.complete" ] || point previous "$3"
}

confirm() { rm -f "$ROOT/unconfirmed"; }

# Units are links into the version in use: they change with it.
link_units() {
  local unit doctor=$UNITS/spanhawk-doctor.service.d
  mkdir -p "$doctor" "$LOCAL"/{bin,sbin,lib/systemd/system}
  for unit in spanhawk.service spanhawk-doctor.service spanhawk-fallback.service spanhawk-prune.service \
    spanhawk-prune.timer; do
    ln -sfn "$ROOT/current/systemd/$unit" "$UNITS/$unit"
  done
  # A drop-in is read like a unit, in the order of the names, whatever folder they are in: the daemon's walls, what
  # its owner changed in them (systemctl edit spanhawk), then what differs. The folder itself is linked, so that a later
  # change is followed too.
  ln -sfn "$ROOT/current/systemd/spanhawk.service" "$doctor/0-as-the-daemon.conf"
  ln -sfn "$UNITS/spanhawk.service.d" "$LOCAL/lib/systemd/system/spanhawk-doctor.service.d"
  ln -sfn "$ROOT/current/systemd/spanhawk-doctor.conf" "$doctor/zzz-doctor.conf"
  ln -sfn "$ROOT/current/venv/bin/spanhawk" "$LOCAL/bin/spanhawk"
  ln -sfn "$ROOT/current/systemd/install.sh" "$LOCAL/sbin/spanhawk-install"
  older_systemd
  systemctl enable --quiet --no-reload spanhawk.service spanhawk-prune.timer
  live || return 0
  systemctl daemon-reload
  systemctl start spanhawk-prune.timer
}

# Before 250 systemd takes credentials one by one only, not a folder.
older_systemd() {
  local unit file
  [ "$(systemctl --version | awk 'NR == 1 {print int($2)}')" -lt 250 ] || return 0
  for unit in $WITH_CREDENTIALS; do
    mkdir -p "$UNITS/$unit.service.d"
    {
      echo "# Written by spanhawk-install: this systemd takes credentials one by one. Run it again after adding one."
      printf '[Service]\nLoadCredential=\n'
      for file in "$ETC"/credentials/*; do
        [ ! -e "$file" ] || echo "LoadCredential=${file##*/}:$file"
      done
    } >"$UNITS/$unit.service.d/10-credentials.conf"
  done
}

# Type=notify: it returns when the daemon says READY, ends, or has taken the unit's TimeoutStartSec.
comes_up() {
  systemctl reset-failed spanhawk 2>/dev/null || true
  systemctl restart spanhawk || return 1
  local restarts
  restarts=$(systemctl show -p NRestarts --value spanhawk)
  sleep "$HOLD_S"
  systemctl is-active --quiet spanhawk && [ "$(systemctl show -p NRestarts --value spanhawk)" = "$restarts" ]
}

start_or_say() {
  if comes_up; then
    say "$(current) runs"
  else
    journalctl -u spanhawk -n 5 --no-pager -o cat >&2 || true
    say "the daemon does not come up yet (see above); edit $ETC/spanhawk.toml, then: sudo systemctl restart spanhawk"
  fi
}

# Whether the daemon (or UNIT) is up, or ends and is started again and again (a device that is not there yet).
tries() { # [UNIT]
  case $(systemctl show -p ActiveState --value "${1:-spanhawk}" 2>/dev/null) in active | activating | reloading) ;; *) false ;; esac
}

# Devices belong to the daemon while it runs: it is stopped for the moment in which doctor looks.
final_doctor() {
  local was_running=no cursor
  tries && was_running=yes
  systemctl stop spanhawk 2>/dev/null || true
  cursor=$(journalctl -n 0 --show-cursor -q | sed -n 's/^-- cursor: //p')
  say "spanhawk doctor, within the walls of the daemon:"
  systemctl start spanhawk-doctor 2>/dev/null || true
  journalctl --sync 2>/dev/null || true
  journalctl -u spanhawk-doctor _COMM=spanhawk -o cat --no-pager ${cursor:+--after-cursor="$cursor"} || true
  # What does not come up by itself yet is told, and no reason to call the install failed.
  [ "$was_running" = no ] || systemctl start spanhawk || say "the daemon does not come up yet: see journalctl -u spanhawk"
}

forget_old_versions() {
  local path name
  for path in "$ROOT"/versions/*; do
    name=${path##*/}
    [ "$name" = "$(current)" ] || [ "$name" = "$(previous)" ] || rm -rf "$path"
  done
  for path in "$ROOT"/packages/*; do
    grep -qx "${path##*/}" "$ROOT"/versions/*/packages || rm -rf "$path"
  done
}

# -- the other verbs

rollback() {
  local name before
  before=$(current) name=$(previous)
  [ -e "$ROOT/versions/${name:-none}/.complete" ] || die 2 "there is no version before $before to go back to"
  systemctl stop spanhawk 2>/dev/null || true
  confirm # back to what is known: no further fallback
  switch_to "$name"
  confirm
  comes_up || die 75 "$name does not come up: see journalctl -u spanhawk; forward again with: spanhawk-install rollback"
  say "$name is in use again; $before is kept"
}

# For spanhawk-fallback.service: a version that is not confirmed did not come up (the upgrade was cut off, or --no-start).
fallback() {
  local name failed
  failed=$(current) name=$(proven)
  if [ "$name" = "$failed" ]; then # confirmed, alone, or an installer that was at work has gone back itself
    confirm
    say "there is nothing to fall back to from $failed"
    return
  fi
  leave "$failed" "$name" ''
  comes_up || die 75 "$failed did not come up; $name does not either: something else is wrong, see journalctl -u spanhawk"
  say "$failed did not come up; $name is in use again"
}

status() {
  local path name
  [ -e "$ROOT/current" ] || say "not installed"
  for path in "$ROOT"/versions/*/; do
    [ -d "$path" ] || continue
    name=$(basename "$path")
    if [ "$name" = "$(current)" ]; then echo "$name  in use"; elif [ "$name" = "$(previous)" ]; then echo "$name  before"; else echo "$name"; fi
  done
  [ ! -e "$ROOT/unconfirmed" ] || echo "not confirmed yet; before it: $(cat "$ROOT/unconfirmed")"
  # What a card's first boot told last; see card/first-boot.sh.
  [ ! -s /var/lib/spanhawk-card/log ] || echo "first boot: $(tail -n 1 /var/lib/spanhawk-card/log)"
  systemctl --no-pager --lines=0 status spanhawk || true
}

uninstall() {
  # Stopped before disabled: disabling a linked unit takes its file away.
  systemctl stop spanhawk-prune.timer spanhawk.service 2>/dev/null || true
  systemctl disable --quiet spanhawk-prune.timer spanhawk.service 2>/dev/null || true
  rm -f "$UNITS"/spanhawk.service "$UNITS"/spanhawk-{doctor,fallback,prune}.service "$UNITS"/spanhawk-prune.timer
  rm -rf "$UNITS/spanhawk-doctor.service.d" "$LOCAL/lib/systemd/system/spanhawk-doctor.service.d"
  rm -f "$LOCAL/bin/spanhawk" "$LOCAL/sbin/spanhawk-install"
  rm -f /etc/sysusers.d/spanhawk.conf /etc/udev/rules.d/60-spanhawk.rules /etc/systemd/journald.conf.d/spanhawk.conf
  local unit
  for unit in $WITH_CREDENTIALS; do # what its owner added there stays
    rm -f "$UNITS/$unit.service.d/10-credentials.conf"
    [ ! -d "$UNITS/$unit.service.d" ] || rmdir --ignore-fail-on-non-empty "$UNITS/$unit.service.d"
  done
  ! live || systemctl daemon-reload
  rm -rf "$ROOT"
  say "taken off; $ETC (configuration) and /var/lib/spanhawk (flights) stay, delete them yourself if you mean it"
}

main "$@"
