"""spanhawk's flying half: camera frames in, geotagged crack detections out."""

__version__ = "0.1.0"
