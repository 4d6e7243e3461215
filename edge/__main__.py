"""Run the command as ``python -m edge``; the installed command is ``spanhawk``."""

import sys

from edge.cli import main

if __name__ == "__main__":
    sys.exit(main())
