"""Stores for tests: an SQLite file, and a database of a real PostgreSQL server that all tests share."""

import itertools

import pytest

from tests.ground.browser import browser
from tests.ground.postgres import server

__all__ = ["browser"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres():
    with server() as one:
        yield one


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """The address of a new store."""
    if request.param == "sqlite":
        return str(tmp_path / "ground.db")
    return request.getfixturevalue("postgres").database(f"ground{next(_numbers)}")
