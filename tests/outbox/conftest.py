"""A place for an outbox."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "outbox.db"
