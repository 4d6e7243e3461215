"""What is installed, and whether it fits together."""

from __future__ import annotations

import platform
from importlib import metadata

from edge import __version__
from edge.support.errors import EXIT_CONFIG
from edge.tools.doctor import Bench, Result, fail, not_applicable, ok
from edge.tools.files import check_secrets

# Distributions everything that flies rests on; one of the interpreters is enough.
_NEEDED = ("numpy", "opencv-python-headless", "simplejpeg", "paho-mqtt", "pymavlink")
_INTERPRETERS = ("ai-edge-litert", "tflite-runtime")
_REINSTALL = "install spanhawk again: sudo ./systemd/install.sh"


def versions(bench: Bench) -> Result:
    """Every library is there, and numpy is one that the interpreter was built for."""
    found = {name: _version(name) for name in (*_NEEDED, *_INTERPRETERS)}
    words = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    told = f"spanhawk {__version__}, Python {platform.python_version()} on {platform.machine()}, {words}"
    missing = [name for name in _NEEDED if found[name] is None]
    if missing:
        return fail(f"{told}; missing: {', '.join(missing)}", _REINSTALL, EXIT_CONFIG)
    if not any(found[name] for name in _INTERPRETERS):
        return fail(f"{told}; no TensorFlow Lite interpreter", _REINSTALL, EXIT_CONFIG)
    # tflite-runtime 2.14 was built for numpy 1: it imports beside numpy 2, and dies when a model is opened.
    if found["ai-edge-litert"] is None and not str(found["numpy"]).startswith("1."):
        return fail(f"{told}; tflite-runtime needs numpy 1", "pip install ai-edge-litert, or 'numpy<2'", EXIT_CONFIG)
    return ok(told)


def secrets(bench: Bench) -> Result:
    """Keys, tokens, passwords and certificates can be read and are what they are meant to be, as at a start."""
    opened = check_secrets(bench.settings)  # raises ConfigError in the words with which the daemon would end
    if not opened:
        return not_applicable("the configuration names no key, token, password or certificate")
    return ok(f"can be used: {', '.join(opened)}")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
