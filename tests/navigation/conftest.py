"""What several tests of navigation need."""

from __future__ import annotations

import socket

import pytest


@pytest.fixture
def port() -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
