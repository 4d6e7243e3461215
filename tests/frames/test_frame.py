"""What a Frame promises of its arrays."""

import numpy as np
import pytest

from edge.frames import Frame


def test_its_pictures_are_read_only_and_the_makers_array_is_not_touched():
    """Freezing an array that somebody else works on broke that one, far from here."""
    rgb, lores = np.zeros((4, 6, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    frame = Frame(0, 0, None, rgb, lores)
    for picture, made in ((frame.rgb, rgb), (frame.lores, lores)):
        with pytest.raises(ValueError, match="read-only"):
            picture[0, 0] = 1
        assert made.flags.writeable
        assert np.shares_memory(picture, made), "nothing is copied"
