"""Cards of earlier versions brought to today's form, so that a bundle made once flies on."""

from __future__ import annotations

import copy
from typing import Any

_FIRST, _SECOND = "spanhawk/card/1", "spanhawk/card/2"

# In the first form an artefact was known by its file's name: artefact, file, golden file, field with its facts.
_ARTIFACTS_OF_THE_FIRST = (
    ("tflite", "model.tflite", "golden.npz", None),
    ("edgetpu", "model_edgetpu.tflite", "golden.npz", "edgetpu"),
    ("onnx", "model.onnx", "golden_onnx.npz", "onnx"),
)


def upgraded(card: dict[str, Any]) -> dict[str, Any]:
    """The content of a card.json in today's form; the card itself where it is of today's, or of an unknown, form.

    Nothing is judged here: what is wrong in an old card is still wrong afterwards, and the reader names it.
    """
    if card.get("schema") != _FIRST or not isinstance(card.get("files"), dict):
        return card
    card = copy.deepcopy(card)
    golden, files, artifacts = card.pop("golden", {}), card["files"], {}
    for name, file, answer, told in _ARTIFACTS_OF_THE_FIRST:
        facts = card.pop(told, {}) if told is not None else {}
        if file in files:
            limits = {"file": answer, **golden} if isinstance(golden, dict) else golden
            artifacts[name] = {"file": file, "sha256": files.pop(file), "golden": limits, "facts": facts}
    return {**card, "schema": _SECOND, "artifacts": artifacts}
