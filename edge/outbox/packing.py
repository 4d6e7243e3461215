"""Letters made smaller for the disk: deflate (RFC 1951) that knows beforehand what letters of a drone have in common.

Any bytes come out as they went in; those that do not become smaller, and very large ones, are kept as they are. A form
that was ever written is read forever: other words are a new number in ``_WORDS``, never a change of an old one.
"""

from __future__ import annotations

import zlib

PLAIN = 0
"""The bytes as they are."""
_NEWEST = 1

_RAW_DEFLATE = -15
_EFFORT = 6
# A put must stay quick: no detection is so large, and to pack more takes milliseconds.
_LARGEST_BYTES = 1 << 16

# What is nearest to the end costs least to refer to, and the detections are the most.
_WORDS = {
    1: (
        b'{"type":"Feature","id":"","geometry":{"type":"LineString","coordinates":[[]]},"properties":{"schema":'
        b'"spanhawk/crack/1","crack_id":"","number":1,"revision":1,"state":"tentative","state":"confirmed","merged_into"'
        b':null,"vehicle":"drone1","flight_id":"","kind":"crack","views":1,"missed":0,"first_seen":"2026-","last_seen":'
        b'"2026-","score":0.99,"place":{"frame":"enu@","path_m":null,"path_m":[[]]},"chart":{"number":1,"path":[[]]},'
        b'"length_mm":{"value":1,"sigma":0.1,"low":1,"high":2},"length_px":100.0,"width_mm":{"value":0.1,"sigma":null,'
        b'"low":null,"high":null},"width_at_most_mm":null,"width_px":{"value":1.0,"sigma":0.1,"low":1.0,"high":2.0},'
        b'"best":{"frame_seq":1,"frame_name":"frame_00000","evidence_sha256":"","gsd_mm_per_px":0.5},"historical":false'
        b'}}{"type":"Feature","id":"","geometry":null,"geometry":{"type":"Point","coordinates":[]},"properties":{"schema"'
        b':"spanhawk/detection/2","id":"","vehicle":"drone1","flight_id":"","seq":1,"seen_at":"2026-","clock_synced":true'
        b',"clock_synced":false,"frame_seq":1,"frame_name":null,"frame_name":"frame_00000","frame_width_px":1280,'
        b'"frame_height_px":720,"kind":"crack","crack_id":"","crack_id":null,"score":0.99,"crack":null,"crack":'
        b'{"path_px":[[]],"length_px":100.0,"width_px":{"mean":3.1,"p95":4.2,"max":4.9,"sigma":0.1,"at_most":null,'
        b'"at_most":2.5,"method":"mask","method":"profile"},"bbox_px":[0.0,0.0,1279.9,719.9],"component":0},"size":null,'
        b'"size":{"gsd_mm_per_px":0.5,"length_mm":200.1,"width_mm":null,"width_mm":1.0,"width_sigma_mm":null,'
        b'"width_sigma_mm":0.05,"width_at_most_mm":null,"width_at_most_mm":1.5,"incidence_deg":null,"incidence_deg":0.6},'
        b'"area":null,"place":{"method":"none","east_m":null,"north_m":null,"up_m":null,"sigma_m":null,"frame":null},'
        b'"place":{"method":"surface","east_m":0.1,"north_m":1.1,"up_m":0.3,"sigma_m":[0.05,0.05,null],"frame":"enu@'
        b'amsl"},"nav":{"fix":"NONE","alt_amsl_m":null,"h_accuracy_m":null,"v_accuracy_m":null,"age_ms":null,"fix":'
        b'"FIX_3D","alt_amsl_m":9.5,"h_accuracy_m":0.01,"v_accuracy_m":null,"age_ms":0,"attitude":{"roll_deg":0.4,'
        b'"pitch_deg":0.6,"yaw_deg":311.8},"range_m":null,"range_m":1.7},"model":{"name":"fast-unet-","sha256":""},'
        b'"evidence":null,"evidence":{"file":"0000","sha256":""},"historical":false}}'
    )
}


def pack(payload: bytes) -> tuple[int, bytes]:
    """The number of the form, and the bytes in it."""
    if len(payload) > _LARGEST_BYTES:
        return PLAIN, payload
    squeezer = zlib.compressobj(_EFFORT, zlib.DEFLATED, _RAW_DEFLATE, zdict=_WORDS[_NEWEST])
    packed = squeezer.compress(payload) + squeezer.flush()
    return (_NEWEST, packed) if len(packed) < len(payload) else (PLAIN, payload)


def unpack(form: int, packed: bytes) -> bytes:
    """What was packed. Raises ValueError for bytes that are not of that form."""
    if form == PLAIN:
        return packed
    if form not in _WORDS:
        raise ValueError(f"a letter is packed in form {form}; this spanhawk knows {PLAIN} to {_NEWEST}")
    reader = zlib.decompressobj(_RAW_DEFLATE, zdict=_WORDS[form])
    try:
        payload = reader.decompress(packed) + reader.flush()
    except zlib.error as error:
        raise ValueError(f"a letter cannot be unpacked ({error})") from error
    if not reader.eof or reader.unused_data:
        raise ValueError("a letter cannot be unpacked (it is cut, or longer than it says)")
    return payload
