"""Run on the board: puts the kernel's virtual V4L2 camera into a configuration. with_vivid.py CONFIG"""

import re
import sys
from pathlib import Path

CAMERA = """[camera]
backend = "v4l2"
device = "/dev/video0"
fourcc = "YUYV"
width_px = 640
height_px = 360
"""
path = Path(sys.argv[1])
text, count = re.subn(r"\[camera\]\n(?:[^\[].*\n|\n)*", CAMERA, path.read_text(encoding="utf-8"))
assert count == 1, text
path.write_text(text, encoding="utf-8")
