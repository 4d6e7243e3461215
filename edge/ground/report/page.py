"""index.html: one file without a network, for a screen, a phone and paper."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from edge import __version__
from edge.flights import REVIEW_SCHEMA
from edge.ground.report import drawings, saying
from edge.ground.report.bands import NO_BAND, NO_BAND_MEANING, WORDS, Bands
from edge.ground.report.cameras import Camera
from edge.ground.report.coverage import outlines, patches, unseen
from edge.ground.report.excerpts import Shown
from edge.ground.report.findings import Finding
from edge.ground.report.flight import Flight, value
from edge.ground.report.review import VERDICTS
from edge.ground.report.tables import COLOURS, UNKNOWN_COLOUR
from edge.ground.report.walls import Wall
from edge.ground.report.words import clean, count

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


@dataclass(frozen=True, slots=True)
class AreaRow:
    """One kind of damaged area in the summary."""

    kind: str
    count: int
    total_cm2: float | None
    """Of those whose area is known; None where none is."""
    largest_cm2: float | None


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
    environment.filters.update(
        mm=saying.mm, interval=saying.interval, day=saying.day, moment=saying.moment, numbers=Markup
    )
    style, script = _asset("style.css") + _band_classes(), _asset("page.js")
    track = [[one.lon_deg, one.lat_deg] for one in cameras]
    wanted_mm, seen = table.headline_mm, outlines(flight.coverage)
    overview = drawings.overview(shown, flight.coverage, track, wanted_mm)
    drawn = [drawings.elevation(wall, number, shown, seen, wanted_mm) for number, wall in enumerate(walls)]
    elevations, charts = [one for one in drawn if one is not None], list(drawings.charts(shown))
    sheets = [*elevations, *charts] if overview is None else [overview, *elevations, *charts]
    return environment.get_template("index.html.j2").render(
        flight=flight,
        version=__version__,
        table=table,
        words=WORDS,
        findings=shown,
        withdrawn=withdrawn,
        pictures=pictures,
        unseen=unseen(flight, wanted_mm),
        patches=patches(flight),
        band_rows=_band_rows(shown, table),
        facts=_facts(flight, shown, withdrawn, cameras),
        overview=overview,
        elevations=elevations,
        charts=charts,
        nowhere=drawings.nowhere(shown, flight.coverage, seen, walls, sheets),
        colours=len(COLOURS),
        verdicts=VERDICTS,
        review_schema=REVIEW_SCHEMA,
        style=Markup(style),  # our own file, not escaped: style and script are checked against their hashes
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        change=saying.change,
        count=count,
        period=saying.period,
        known=_known(shown),
        unset=all(one.view.clock_set is False for one in shown if one.view is not None),
        size=saying.size,
        length=saying.length,
        width_key=_sort_key(shown, lambda one: value(one.width), lambda one: value(one.width_px)),
        length_key=_sort_key(shown, lambda one: value(one.length), lambda one: one.length_px),
        wanted_mm=f"{wanted_mm:g} mm",
        area_rows=_area_rows(shown),
        flown=_flown(flight, shown),
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
    lengths = [length for one in shown if (length := value(one.length)) is not None]
    sure = [one for one in shown if one.state == "confirmed"]
    widths = [width for one in sure if (width := value(one.width)) is not None]
    once = sum(one.views == 1 for one in sure)
    words = {"confirmed": f"confirmed, {once} by one view"} if once else {}
    facts = [Fact(str(len(shown)), "finding" if len(shown) == 1 else "findings")]
    counted = sorted(states.items(), key=lambda item: (item[0] != "confirmed", -item[1]))
    facts += [Fact(str(number), words.get(state, state)) for state, number in counted]
    if shown:
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
        inside = [one for one in shown if one.band == band and not one.is_area]
        lengths = [length for one in inside if (length := value(one.length)) is not None]
        rows.append(
            BandRow(
                band,
                NO_BAND if band is None else table.names[band],
                NO_BAND_MEANING if band is None else table.meanings[band],
                len(inside),
                sum(lengths) / 1000 if lengths else None,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of at least one finding; what is known of none gets no column and no table."""

    band: bool
    length: bool
    wall: bool


def _known(shown: Sequence[Finding]) -> Known:
    return Known(
        band=any(one.band is not None for one in shown),
        length=any(one.length is not None or one.length_px is not None for one in shown),
        wall=any(one.face is not None or one.middle_m[2] is not None for one in shown),
    )


def _sort_key(
    shown: Sequence[Finding], mm: Callable[[Finding], float | None], px: Callable[[Finding], float | None]
) -> Callable[[Finding], float | None]:
    """What a column is ordered by: millimetres, or pixels in a flight that has none; never one beside the other."""
    return mm if any(mm(one) is not None for one in shown) else px


def _area_rows(shown: Sequence[Finding]) -> list[AreaRow]:
    kinds: dict[str, list[Finding]] = {}
    for one in shown:
        if one.is_area:
            kinds.setdefault(one.kind, []).append(one)
    rows = []
    for kind, found in kinds.items():
        known = [cm2 for one in found if (cm2 := value(one.area_cm2)) is not None]
        rows.append(AreaRow(kind, len(found), sum(known) if known else None, max(known, default=None)))
    return rows


def _flown(flight: Flight, shown: Sequence[Finding]) -> str:
    """The day of the flight, and whether its clock can be believed."""
    summary = flight.summary
    frames = [at for one in flight.frames if isinstance(at := one.get("exposed_utc"), str)]
    begun = min((one.first_seen for one in shown if one.first_seen), default=None)
    begun = begun or summary.get("began_at") or min(frames, default=None)
    unset = summary.get("clock_synced") is False
    unset = unset or any(one.view is not None and one.view.clock_set is False for one in shown)
    return saying.day(begun) + (" by a clock that nothing has confirmed" if unset and begun else "")


def _shortened(text: str) -> str:
    if len(text) <= _LONG_TEXT:
        return text
    return f"{text[:_LONG_TEXT]}… (shortened from {len(text)} characters; whole in cracks.csv)"


def _band_classes() -> str:
    """The bands' colours as styles, so that report, live page and GIS files show one band alike."""
    classes = [f".b{number}{{--c:{one}}}" for number, one in enumerate(COLOURS)]
    return "".join(classes) + f".bn{{--c:{UNKNOWN_COLOUR}}}\n"


def _asset(name: str) -> str:
    return resources.files("edge.ground.report").joinpath("templates", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a Content-Security-Policy names what may run: of the element's exact text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
