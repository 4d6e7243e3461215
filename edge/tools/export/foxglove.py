"""JSON Schemas of the messages in an MCAP: Foxglove's own, and one for plots. https://docs.foxglove.dev/docs/sdk/schemas"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


def _object(required: Json, optional: Json | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_WHOLE: Json = {"type": "integer"}
_STAMP: Json = {"title": "time", **_object({"sec": _WHOLE, "nsec": _WHOLE})}
_POINT = _object({"x": _NUMBER, "y": _NUMBER})
_COLOUR = _object(dict.fromkeys("rgba", _NUMBER))
_POINTS = _object(
    {"timestamp": _STAMP, "type": _WHOLE, "points": _list(_POINT), "outline_color": _COLOUR,
     "outline_colors": _list(_COLOUR), "fill_color": _COLOUR, "thickness": _NUMBER}
)  # fmt: skip
_TEXTS = _object(
    {"timestamp": _STAMP, "position": _POINT, "text": _TEXT, "font_size": _NUMBER, "text_color": _COLOUR,
     "background_color": _COLOUR}
)  # fmt: skip
_POSE = _object(
    {"position": _object(dict.fromkeys("xyz", _NUMBER)), "orientation": _object(dict.fromkeys("xyzw", _NUMBER))}
)
SCHEMAS: Mapping[str, dict[str, Any]] = {
    "foxglove.CompressedImage": _object(
        {"timestamp": _STAMP, "frame_id": _TEXT, "data": {**_TEXT, "contentEncoding": "base64"}, "format": _TEXT}
    ),
    "foxglove.ImageAnnotations": _object(
        {"timestamp": _STAMP, "circles": _list({"type": "object"}), "points": _list(_POINTS), "texts": _list(_TEXTS)}
    ),
    "foxglove.LocationFix": _object(
        {"timestamp": _STAMP, "frame_id": _TEXT, "latitude": _NUMBER, "longitude": _NUMBER,
         "position_covariance": _list(_NUMBER), "position_covariance_type": _WHOLE},
        {"altitude": _NUMBER},
    ),
    "foxglove.PoseInFrame": _object({"timestamp": _STAMP, "frame_id": _TEXT, "pose": _POSE}),
    "foxglove.GeoJSON": _object({"geojson": _TEXT}),
    "foxglove.Log": _object(
        {"timestamp": _STAMP, "level": _WHOLE, "message": _TEXT, "name": _TEXT, "file": _TEXT, "line": _WHOLE}
    ),
    "spanhawk.Attitude": _object(
        {"timestamp": _STAMP, "roll_deg": _NUMBER, "pitch_deg": _NUMBER, "yaw_deg": _NUMBER}, {"range_m": _NUMBER}
    ),
}  # fmt: skip
