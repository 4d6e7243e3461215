"""What every navigator promises; run over every backend of the room, so a new file is tested at once."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edge.navigation
from edge.navigation import Navigator, NavState, nowhere
from edge.support.clock import Clock, SystemClock


def _backends() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(edge.navigation.__path__):
        module = importlib.import_module(f"edge.navigation.{info.name}")
        if hasattr(module, "open_navigator"):
            yield module


BACKENDS = {module.__name__.rpartition(".")[2]: module for module in _backends()}


def _recorded(folder: Path) -> dict[str, Any]:
    path = folder / "nav.csv"
    path.write_text("t_s,lat_deg,lon_deg\n0,48,11\n1,48,11\n")
    return {"path": path}


def _mavlink(folder: Path) -> dict[str, Any]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return {"device": f"udp:127.0.0.1:{probe.getsockname()[1]}"}


def _gpsd(folder: Path) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"port": probe.getsockname()[1]}


# What a backend needs that has no default; one that needs nothing is opened with its defaults.
NEEDS: dict[str, Callable[[Path], dict[str, Any]]] = {"recorded": _recorded, "mavlink": _mavlink, "gpsd": _gpsd}


@pytest.fixture(params=sorted(BACKENDS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def nav(name: str, tmp_path: Path) -> Iterator[Navigator]:
    options = NEEDS.get(name, lambda folder: {})(tmp_path)
    with BACKENDS[name].open_navigator(BACKENDS[name].Options(**options), SystemClock()) as opened:
        yield opened


def test_the_four_backends_are_there() -> None:
    assert {"fixed", "recorded", "gpsd", "mavlink"} <= set(BACKENDS)


def test_options_are_frozen_and_described(name: str) -> None:
    options = BACKENDS[name].Options
    assert dataclasses.is_dataclass(options)
    assert options.__dataclass_params__.frozen
    assert "__slots__" in vars(options)
    assert all(field.kw_only for field in dataclasses.fields(options))
    source = Path(str(BACKENDS[name].__file__)).read_text(encoding="utf-8")
    for field in dataclasses.fields(options):
        after = source.split(f"    {field.name}: ", 1)[1].split("\n")[1]
        assert after.strip().startswith('"""'), f"{name}.Options.{field.name} has no docstring"


def test_the_opener_has_the_protocols_shape(name: str) -> None:
    hints = get_type_hints(BACKENDS[name].open_navigator)
    assert hints == {"options": BACKENDS[name].Options, "clock": Clock, "return": Navigator}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.integers(), st.integers(-(10**12), 10**12), st.sampled_from([0, -1, 2**63, -(2**63), 10**30])))
def test_any_moment_is_answered(nav: Navigator, at_ns: int) -> None:
    state = nav.at(at_ns)
    assert isinstance(state, NavState)
    assert state.at_ns == at_ns
    if state.fix is not None:
        assert state.fix.age_ms >= 0
        assert (state.fix.lat_deg, state.fix.lon_deg) != (0.0, 0.0)
    utc = nav.utc_at(at_ns)
    assert utc is None or (isinstance(utc, datetime) and utc.utcoffset() is not None)


def test_before_anything_is_heard_nothing_is_known(nav: Navigator) -> None:
    assert nav.at(-(10**18)) == nowhere(-(10**18))
    assert nav.utc_at(-(10**18)) is None


def test_what_is_answered_is_frozen(nav: Navigator) -> None:
    state = nav.at(0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.range_m = 3.0  # type: ignore[misc]


def test_health_is_one_sentence_or_none(nav: Navigator) -> None:
    health = nav.health()
    assert health is None or (len(health) > 10 and "\n" not in health)


def test_closing_ends_its_threads_and_may_be_repeated(name: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    options = NEEDS.get(name, lambda folder: {})(tmp_path)
    opened = BACKENDS[name].open_navigator(BACKENDS[name].Options(**options), SystemClock())
    with opened:
        opened.at(0)
    assert set(threading.enumerate()) <= before
    opened.__exit__(None, None, None)
    assert opened.at(5).at_ns == 5


def test_opening_and_closing_at_once_leaves_nothing(name: str, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    options = NEEDS.get(name, lambda folder: {})(tmp_path)
    for _ in range(5):
        with BACKENDS[name].open_navigator(BACKENDS[name].Options(**options), SystemClock()):
            pass
    assert set(threading.enumerate()) <= before


def test_an_error_inside_with_is_not_swallowed(name: str, tmp_path: Path) -> None:
    options = NEEDS.get(name, lambda folder: {})(tmp_path)

    def inside() -> None:
        with BACKENDS[name].open_navigator(BACKENDS[name].Options(**options), SystemClock()):
            raise KeyError("of the caller")

    with pytest.raises(KeyError):
        inside()
