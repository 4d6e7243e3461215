"""All rows of the table, in order."""

from tests.faults import backlog, commands, fuzz, power

ROWS = (power.ROW, backlog.ROW, commands.ROW, *fuzz.ROWS)
