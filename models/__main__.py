"""`python -m models COMMAND`: training, evaluation and data at the workstation; `--help` lists the commands."""

from __future__ import annotations

import sys

from models.cli import main

sys.exit(main())
