"""All rows of the table, in order."""

from tests.faults import backlog, broker, commands, devices, disks, fuzz, hours, kills, link, lossy, power, steps

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
    hours.ROW,
    *fuzz.ROWS,
)
