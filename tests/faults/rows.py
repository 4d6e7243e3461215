"""All rows of the table, in order."""

from tests.faults import backlog, commands, disks, fuzz, kills, power, steps

ROWS = (kills.ROW, power.ROW, *disks.ROWS, steps.ROW, backlog.ROW, commands.ROW, *fuzz.ROWS)
