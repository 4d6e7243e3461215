"""``make card``: an image for one drone. ``python -m card IMAGE OUT --config card.toml --deb spanhawk.deb``.

Writes OUT and, beside it, OUT's manifest for Raspberry Pi Imager. A making that fails leaves neither.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from card import cloud, image, manifest, package, settings
from card.making import made_whole
from edge.support import config
from edge.support.clock import SystemClock
from edge.support.errors import EXIT_DONE, ConfigError, SpanhawkError, UsageError

_FOLDER = "spanhawk"
# The pins of the header as a second way in, for an autopilot: Pi 3 and 4 have Bluetooth on the good port, Pi 5 has not.
_UART = (
    "[all]\nenable_uart=1\n[pi3]\ndtoverlay=disable-bt\n[pi4]\ndtoverlay=disable-bt\n[pi5]\ndtparam=uart0=on\n[all]\n"
)
_MARK = "# by spanhawk's make card: the serial port on the pins is the autopilot's"


def main(argv: Sequence[str] | None = None) -> int:
    """Make a card; returns the exit code: 0 done, 2 usage, 69 a program is missing, 75 try again, 78 configuration."""
    parser = argparse.ArgumentParser(prog="card", description="Make an image that installs spanhawk at the first boot.")
    parser.add_argument("image", type=Path, help="Raspberry Pi OS Lite (64-bit), .img or .img.xz")
    parser.add_argument("out", type=Path, help="the image to write on a card")
    parser.add_argument("--config", type=Path, required=True, help="card.toml, see card/card.toml.example")
    parser.add_argument("--deb", type=Path, required=True, help="spanhawk's package for that image's Python")
    arguments = parser.parse_args(argv)
    try:
        make(arguments.image, arguments.out, arguments.config, arguments.deb)
    except SpanhawkError as error:
        print(f"card: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_DONE


def make(source: Path, out: Path, config_file: Path, deb: Path) -> None:
    """Write ``out`` and its manifest; raises SpanhawkError and then leaves neither."""
    card = settings.read(config_file)
    if out.exists() and out.samefile(source):
        raise UsageError(f"{out}: is the image itself; give OUT= another name")
    listing = out.with_name(out.name + manifest.SUFFIX)
    with made_whole(out) as part:
        image.unpack(source, part)
        opened = image.open_image(part)
        if card.options.user in opened.system.taken:
            raise ConfigError(
                f"{config_file}: card.user: {opened.system.name} has a user or group {card.options.user} of its own; "
                "take another name"
            )
        camera = config.loads(card.configuration, str(config_file)).get("camera", {}).get("backend", "")
        package.check(deb, card.options.packages, opened.system, camera)
        with tempfile.TemporaryDirectory() as folder:
            opened.write(_files(Path(folder), card, opened, deb))
        text = manifest.text(part, card.vehicle, opened.system.name, SystemClock().utc().date())
        text = text.replace(part.resolve().as_uri(), out.resolve().as_uri())
        listing.write_text(text, encoding="utf-8")
    print(f"card: {out} is for {card.vehicle} on {opened.system.name}; it holds secrets, keep it as such")
    print(f"card: write it with Raspberry Pi Imager ({listing.name}), or: rpi-imager --cli {out} /dev/sdX")


def _files(folder: Path, card: settings.CardFile, opened: image.Image, deb: Path) -> Mapping[str, Path]:
    """Everything that is written, by its name in the boot partition."""
    here = Path(__file__).parent
    payload = {"first-boot.sh": here / "first-boot.sh", "spanhawk.deb": deb}
    payload["sysusers-spanhawk.conf"] = here.parent / "systemd/host/sysusers-spanhawk.conf"
    payload |= {f"packages/{path.name}": path for path in card.options.packages}
    payload["spanhawk.toml"] = _put(folder / "spanhawk.toml", card.configuration.encode())
    for name, secret in card.secrets.items():
        payload[f"credentials/{name}"] = _put(folder / f"credential-{name}", secret)
    sums = "".join(f"{_sha256(path)}  {name}\n" for name, path in payload.items()).encode()
    payload["SHA256SUMS"] = _put(folder / "SHA256SUMS", sums)
    files = {f"{_FOLDER}/{name}": path for name, path in payload.items()}
    texts = dict(cloud.files(card, hashlib.sha256(sums).hexdigest()))
    if card.options.uart:
        texts |= _uart(opened)
    return files | {name: _put(folder / f"boot-{name}", text.encode()) for name, text in texts.items()}


def _uart(opened: image.Image) -> dict[str, str]:
    """config.txt and cmdline.txt with the serial port given to the autopilot."""
    boot, line = opened.read("config.txt") or "", opened.read("cmdline.txt") or ""
    words = [word for word in line.split() if not word.startswith(("console=serial", "console=ttyAMA", "console=ttyS"))]
    texts = {"cmdline.txt": " ".join(words) + "\n"}
    if _MARK not in boot:
        texts["config.txt"] = f"{boot.rstrip()}\n\n{_MARK}\n{_UART}"
    return texts


def _put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
