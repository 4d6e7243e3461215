"""`python -m models train|evaluate|summary`: workstation commands."""

from __future__ import annotations

import sys

from models.cli import main

sys.exit(main())
