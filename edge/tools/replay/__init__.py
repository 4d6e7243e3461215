"""Recorded pictures through the pipeline that flies: the same rooms, a clock that moves by frame times."""
