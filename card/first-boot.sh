#!/bin/sh
# The first boot of a card made by `make card`; lies in the folder spanhawk of the boot partition.
#   first-boot.sh prepare   by cloud-init, on every boot: set up spanhawk-card.service, unless all is done
#   first-boot.sh install   by that service: install spanhawk from this folder, without a network
#
# Everything here can be cut off at any moment and run again. What happened is told on the console, in the journal, by
# `sudo spanhawk-install status`, and in spanhawk-first-boot.txt on the boot partition, which a laptop shows.
# Exit codes: 0 done, 2 usage, 75 failed and tried again, 78 the card has to be made again.
set -u
HERE=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
BOOT=${HERE%/*}
ETC=/etc/spanhawk
STATE=${SPANHAWK_CARD_STATE:-/var/lib/spanhawk-card}
UNIT=/etc/systemd/system/spanhawk-card.service
REPORT=$BOOT/spanhawk-first-boot.txt

# STATE SENTENCE: GOING ON, DONE or FAILED heads the report
tell() {
  echo "spanhawk first boot: $2"
  echo "$(date -u '+%F %T') UTC  $2" >>"$STATE/log"
  {
    echo "spanhawk first boot: $1"
    echo "The time may be wrong: a board without a network does not know it."
    echo
    cat "$STATE/log"
    if [ "$1" != "GOING ON" ] && [ -s "$STATE/installer" ]; then
      echo
      echo "What the installer said:"
      cat "$STATE/installer"
    fi
  } >"$REPORT.new" && mv "$REPORT.new" "$REPORT" && sync -f "$BOOT" ||
    echo "spanhawk first boot: $REPORT cannot be written; the report is in $STATE/log"
}

fail() { # CODE SENTENCE
  tell FAILED "$2"
  exit "$1"
}

# This card's contents by name: a card made anew is installed anew.
payload() { sha256sum "$HERE/SHA256SUMS" | cut -c1-64; }

is_done() { [ -s "$STATE/done" ] && { [ ! -e "$HERE/SHA256SUMS" ] || [ "$(cat "$STATE/done")" = "$(payload)" ]; }; }

prepare() {
  is_done && return
  cat >"$UNIT.new" <<END
# Written by $HERE/first-boot.sh; goes on after a power cut, and is over when $STATE/done is written.
[Unit]
Description=spanhawk's install at the first boot
After=cloud-init.service cloud-init-network.service rpi-resize.service
RequiresMountsFor=$BOOT
StartLimitIntervalSec=3600
StartLimitBurst=3

[Service]
Type=oneshot
ExecStart=/bin/sh $HERE/first-boot.sh install
StandardOutput=journal+console
StandardError=journal+console
TimeoutStartSec=1200
Restart=on-failure
RestartSec=15
RestartPreventExitStatus=2 69 78

[Install]
WantedBy=multi-user.target
END
  mv "$UNIT.new" "$UNIT"
  systemctl enable --quiet --no-reload spanhawk-card.service
  systemctl daemon-reload
  systemctl start --no-block spanhawk-card.service
}

install_all() {
  exec 9>"$STATE/lock"
  flock -n 9 || { echo "spanhawk first boot: another run is at work"; exit 0; }
  is_done && return
  : >"$STATE/installer"
  tell "GOING ON" "checking the files on the card"
  [ -s "$HERE/SHA256SUMS" ] || fail 78 "SHA256SUMS on the boot partition is damaged or missing; write the card again"
  damaged=$(cd "$HERE" && sha256sum --check --quiet SHA256SUMS 2>/dev/null | head -n 1)
  [ -z "$damaged" ] || fail 78 "${damaged%%:*} on the boot partition is damaged or missing; write the card again"

  tell "GOING ON" "putting the configuration in place"
  # The service reads its configuration as a member of its group, which the package would make later.
  systemd-sysusers "$HERE/sysusers-spanhawk.conf" ||
    fail 75 "the user spanhawk cannot be made; see journalctl -u spanhawk-card"
  install -d -o root -g spanhawk -m 0750 "$ETC"
  install -d -o root -g root -m 0700 "$ETC/credentials"
  put "$HERE/spanhawk.toml" "$ETC/spanhawk.toml" spanhawk 0640
  for secret in "$HERE"/credentials/*; do
    [ ! -e "$secret" ] || put "$secret" "$ETC/credentials/${secret##*/}" root 0600
  done

  tell "GOING ON" "installing spanhawk; this takes some minutes"
  set -- "$HERE/spanhawk.deb"
  for further in "$HERE"/packages/*.deb; do
    [ ! -e "$further" ] || set -- "$further" "$@"
  done
  # Not each file by itself goes to the card at once: all do when the installer ends a version, and a cut before that
  # begins anew.
  DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io --install "$@" >"$STATE/installer" 2>&1 ||
    fail 75 "the package cannot be installed: $(grep -aE -A 1 '^(spanhawk|dpkg):' "$STATE/installer" | head -n 2 | tr -s '\n ' ' ')"

  sync
  payload >"$STATE/done.new" && sync -f "$STATE" && mv "$STATE/done.new" "$STATE/done" && sync -f "$STATE"
  if systemctl is-active --quiet spanhawk; then
    tell DONE "spanhawk runs"
  else
    tell DONE "spanhawk is installed, but it does not run: $(journalctl -u spanhawk _COMM=spanhawk -n 1 -o cat --no-pager); see below"
  fi
}

# FROM TO GROUP MODE: whole or not at all; what is there already stays, a person may have edited it
put() {
  [ ! -e "$2" ] || return 0
  install -o root -g "$3" -m "$4" "$1" "$2.new" && sync -f "$2.new" && mv "$2.new" "$2" ||
    fail 75 "$2 cannot be written; is the card full?"
}

# Secrets do not stay where each laptop reads them, and the boot partition needs its room for kernels.
tidy() {
  is_done || return 0
  for file in credentials packages spanhawk.deb spanhawk.toml sysusers-spanhawk.conf; do
    rm -rf "${HERE:?}/$file"
  done
  systemctl disable --quiet spanhawk-card.service 2>/dev/null || true
}

mkdir -p "$STATE" || exit 75
case ${1:-} in
  prepare) prepare && tidy ;;
  install) install_all && tidy ;;
  *) echo "usage: first-boot.sh prepare|install" >&2 && exit 2 ;;
esac
