"""All rows of the table, in order."""

from tests.faults import (
    backlog,
    broker,
    commands,
    devices,
    disks,
    fuzz,
    hours,
    kills,
    link,
    lossy,
    noise,
    power,
    steps,
    turns,
)

ROWS = (
    kills.ROW,
    *broker.ROWS,
    *link.ROWS,
    lossy.ROW,
    power.ROW,
    *disks.ROWS,
    steps.ROW,
    backlog.ROW,
    commands.ROW,
    *devices.ROWS,
    noise.ROW,
    turns.ROW,
    hours.ROW,
    *fuzz.ROWS,
)
