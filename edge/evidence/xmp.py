"""The XMP packet of an evidence picture: where the camera looked, as Pix4D and OpenDroneMap read it.

Namespace ``http://pix4d.com/camera/1.0/``: yaw from true north, roll, and a pitch that is 0 straight down and 90 at the
horizon (ours is -90 and 0); accuracies are standard uncertainties in metres.
"""

from __future__ import annotations

import struct

from edge.navigation import NavState

_HEAD = b"http://ns.adobe.com/xap/1.0/\x00"


def xmp_segment(nav: NavState) -> bytes:
    """A whole APP1 segment, marker included; empty where neither attitude nor accuracies are known."""
    values: dict[str, float] = {}
    if nav.attitude is not None:
        values |= {
            "Yaw": nav.attitude.yaw_deg % 360.0,
            "Pitch": nav.attitude.pitch_deg + 90.0,
            "Roll": nav.attitude.roll_deg,
        }
    fix = nav.fix
    if fix is not None and fix.h_accuracy_m is not None:
        values["GPSXYAccuracy"] = fix.h_accuracy_m
    if fix is not None and fix.v_accuracy_m is not None:
        values["GPSZAccuracy"] = fix.v_accuracy_m
    if not values:
        return b""
    attributes = "".join(f' Camera:{name}="{value:.4f}"' for name, value in values.items())
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:Camera="http://pix4d.com/camera/1.0/"{attributes}/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    )
    body = _HEAD + packet.encode("utf-8")
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
