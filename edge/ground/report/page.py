"""index.html: one file without a network, for a screen, a phone and paper."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from edge import __version__
from edge.flights import REVIEW_SCHEMA
from edge.ground.report import drawings
from edge.ground.report.bands import WORDS, Bands
from edge.ground.report.cameras import Camera
from edge.ground.report.coverage import patches, unseen
from edge.ground.report.findings import Finding
from edge.ground.report.photos import Shown
from edge.ground.report.review import VERDICTS
from edge.ground.report.source import Flight, Json
from edge.ground.report.tables import COLOURS
from edge.ground.report.walls import Wall
from edge.ground.report.words import clean

_LONG_TEXT = 2000


@dataclass(frozen=True, slots=True)
class BandRow:
    """One line of the summary's table."""

    band: int | None
    name: str
    meaning: str
    count: int
    length_m: float | None
    """Of those whose length is known; None where none is."""


def render(
    flight: Flight,
    table: Bands,
    shown: Sequence[Finding],
    withdrawn: Sequence[Finding],
    walls: Sequence[Wall],
    pictures: Mapping[str, Shown],
    cameras: Sequence[Camera],
) -> str:
    """The page as text. Everything that comes from the flight is escaped by the template engine."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edge.ground.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: _shortened(clean(value)) if type(value) is str else "" if value is None else value,
    )
    # Coordinates are our own numbers, and long: they are neither escaped nor shortened.
    environment.filters.update(mm=_mm, interval=_interval, day=_day, moment=_moment, numbers=Markup)
    style, script = _asset("style.css"), _asset("page.js")
    track = [[one.lon_deg, one.lat_deg] for one in cameras]
    elevations = [drawings.elevation(wall, number, shown, flight.coverage) for number, wall in enumerate(walls)]
    return environment.get_template("index.html.j2").render(
        flight=flight,
        version=__version__,
        table=table,
        words=WORDS,
        findings=shown,
        withdrawn=withdrawn,
        pictures=pictures,
        unseen=unseen(flight),
        patches=patches(flight),
        band_rows=_band_rows(shown, table),
        facts=_facts(flight, shown, withdrawn, cameras),
        overview=drawings.overview(shown, flight.coverage, track),
        elevations=[one for one in elevations if one is not None],
        charts=list(drawings.charts(shown)),
        colours=len(COLOURS),
        verdicts=VERDICTS,
        review_schema=REVIEW_SCHEMA,
        style=Markup(style),  # our own file, not escaped: style and script are checked against their hashes
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        change=_change,
        uri=lambda shown: Markup(shown.uri),
    )


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the first page."""

    value: str
    what: str


def _facts(
    flight: Flight, shown: Sequence[Finding], withdrawn: Sequence[Finding], cameras: Sequence[Camera]
) -> list[Fact]:
    states = Counter(one.state for one in shown)
    lengths = [length for one in shown if (length := _value(one.length)) is not None]
    sure = [one for one in shown if one.state == "confirmed"]
    widths = [width for one in sure if (width := _value(one.width)) is not None]
    facts = [Fact(str(len(shown)), "findings")]
    facts += [Fact(str(count), state) for state, count in states.most_common()]
    facts.append(Fact("unknown" if not lengths else f"{sum(lengths) / 1000:.1f} m", "length in all"))
    facts.append(Fact("not measured" if not widths else f"{max(widths):.2f} mm", "widest confirmed"))
    reviewed = sum(one.review is not None and one.review.verdict != "unreviewed" for one in shown)
    facts.append(Fact(f"{reviewed} of {len(shown)}", "reviewed"))
    frames = flight.summary.get("frames")
    facts.append(Fact("unknown" if frames is None else str(frames), "pictures examined"))
    return facts


def _band_rows(shown: Sequence[Finding], table: Bands) -> list[BandRow]:
    rows = []
    widest_first: list[int | None] = [*reversed(range(len(table.names))), None]
    for band in widest_first:
        inside = [one for one in shown if one.band == band]
        lengths = [length for one in inside if (length := _value(one.length)) is not None]
        rows.append(
            BandRow(
                band,
                "no band: width not known, or only an upper bound" if band is None else table.names[band],
                "" if band is None else table.meanings[band],
                len(inside),
                sum(lengths) / 1000 if lengths else None,
            )
        )
    return rows


def _value(interval: Json | None) -> float | None:
    return None if interval is None else interval.get("value")


def _mm(value: float | None, digits: int = 2) -> str:
    return "unknown" if value is None else f"{value:.{digits}f} mm"


def _interval(interval: Json | None, digits: int = 2) -> str:
    """A value with the ends of its 95 % interval."""
    if interval is None or interval.get("value") is None:
        return "unknown"
    low, high = interval.get("low"), interval.get("high")
    if low is None or high is None:
        return f"{interval['value']:.{digits}f} mm, uncertainty unknown"
    # Blanks that do not break, so that a narrow column breaks before the interval.
    return f"{interval['value']:.{digits}f}\u00a0mm ({low:.{digits}f}\u00a0to\u00a0{high:.{digits}f})"


def _change(before: Json, now: Json) -> str:
    """Whether a crack is wider than it was, as far as both measurements can tell (95 %)."""
    sigmas = [float(sigma) for one in (before, now) if (sigma := one.get("sigma")) is not None]
    if len(sigmas) < 2:
        return "whether it grew cannot be told: the uncertainty is unknown"
    grown_mm = float(now["value"]) - float(before["value"])
    sure_mm = 1.96 * math.hypot(*sigmas)
    if abs(grown_mm) <= sure_mm:
        return f"no change that can be measured (less than {sure_mm:.2f} mm)"
    return f"{abs(grown_mm):.2f} mm {'wider' if grown_mm > 0 else 'narrower'} now (± {sure_mm:.2f} mm)"


def _day(moment: Any) -> str:
    return str(moment)[:10] if moment else "date unknown"


def _moment(moment: Any) -> str:
    return str(moment).replace("T", " ")[:19] + (" UTC" if str(moment).endswith("Z") else "") if moment else "unknown"


def _shortened(text: str) -> str:
    if len(text) <= _LONG_TEXT:
        return text
    return f"{text[:_LONG_TEXT]}… (shortened from {len(text)} characters; whole in cracks.csv)"


def _asset(name: str) -> str:
    return resources.files("edge.ground.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names what may run: of the element's exact text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
