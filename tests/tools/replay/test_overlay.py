"""What is written at each crack of a frame."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from edge.tools.replay import overlay

SIZE = {"width_mm": None, "width_sigma_mm": None, "width_at_most_mm": 0.4}


@pytest.mark.parametrize(
    ("size", "mean_px", "at_most_px", "words"),
    [
        (None, 4.65, None, "4.7 px"),
        (None, 4.65, 6.35, "< 6.35 px"),  # what the picture does not resolve is a bound, in pixels too
        (SIZE, 4.65, 6.35, "< 0.40 mm"),
        (SIZE | {"width_mm": 0.31, "width_sigma_mm": 0.05, "width_at_most_mm": None}, 4.65, None, "0.31 +- 0.05 mm"),
    ],
)
def test_a_crack_s_width_is_written_so_that_its_point_is_seen(
    monkeypatch: pytest.MonkeyPatch, size: Any, mean_px: float, at_most_px: float | None, words: str
) -> None:
    written: list[tuple[str, int]] = []

    def put(picture: Any, text: str, at: Any, font: int, scale: float, colour: Any, thick: int, kind: int) -> None:
        written.append((text, cv2.getTextSize(text, font, scale, thick)[0][1]))

    monkeypatch.setattr(cv2, "putText", put)
    found = {"properties": {"size": size, "crack": {"width_px": {"mean": mean_px, "at_most": at_most_px}}}}
    outcome: Any = SimpleNamespace(
        frame=SimpleNamespace(rgb=np.zeros((480, 640, 3), np.uint8), width_px=640),
        damage=[SimpleNamespace(path_px=np.array([[100.0, 50.0], [100.0, 400.0]], np.float32))],
        described=[found],
        reported=lambda: np.zeros((480, 640), np.bool_),
    )
    overlay.draw(outcome)
    assert {text for text, _ in written} == {words}
    assert min(high for _, high in written) >= 9, "pixels: capitals of small print on a screen"
