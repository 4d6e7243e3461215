"""The demo: a rendered bridge through the real pipeline, its own broker, and a picture of what was found."""
