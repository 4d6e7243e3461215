"""`python -m convert COMMAND`: from a trained model to a bundle; `--help` lists the commands."""

from __future__ import annotations

import sys

from convert.cli import main

sys.exit(main())
