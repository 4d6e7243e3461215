"""The world that the synthetic camera films: a concrete bridge with known cracks. Pure numpy and OpenCV, no device."""
