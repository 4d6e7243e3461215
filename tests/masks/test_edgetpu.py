from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.frames import Frame
from edge.masks.edgetpu import Options, open_segmenter
from edge.support.errors import EXIT_UNAVAILABLE, BundleError, DeviceError

ABSENT = "libedgetpu-that-is-not-installed.so.1"

# A delegate as its plug-in interface defines it (delegates/external/external_delegate_interface.h). With
# ABSENT_DEVICE it answers as libedgetpu does without one, naming its options; otherwise it takes no operator.
DELEGATE_C = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Delegate {
  void *data;
  int (*prepare)(void *context, struct Delegate *self);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *builder;
} Delegate;

static int prepare(void *context, Delegate *self) { return 0; }

void *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
#ifdef ABSENT_DEVICE
  char text[256];
  for (size_t i = 0; i < count; i++) {
    snprintf(text, sizeof text, "no %s=%s", keys[i], values[i]);
    report(text);
  }
  return NULL;
#else
  Delegate *self = calloc(1, sizeof *self);
  self->prepare = prepare;
  return self;
#endif
}

void tflite_plugin_destroy_delegate(void *self) { free(self); }
"""


def build(folder: Path, source: str, *flags: str) -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build a stand-in for libedgetpu")
    (folder / "delegate.c").write_text(source)
    library = folder / "libdelegate.so"
    subprocess.run([compiler, "-shared", "-fPIC", *flags, "-o", library, folder / "delegate.c"], check=True)
    return str(library)


@pytest.fixture
def compiled(pixel):
    """A bundle with a compiled model, as far as anyone can tell without the device."""
    pixel.add("edgetpu", "model_edgetpu.tflite", (pixel.folder / "model.tflite").read_bytes() + b"edgetpu-custom-op")
    return pixel.folder


def frame() -> Frame:
    return Frame(seq=0, exposed_ns=0, exposure_us=None, rgb=np.full((5, 6, 3), 9, np.uint8))


def test_without_the_library_it_refuses_and_says_what_to_install(compiled, clock):
    with pytest.raises(DeviceError, match=rf"{ABSENT}.*install libedgetpu1-std") as refusal:
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=ABSENT), clock)
    assert refusal.value.exit_code == EXIT_UNAVAILABLE


def test_a_library_that_is_no_delegate_is_refused(compiled, clock, tmp_path):
    library = build(tmp_path, "int nothing;")
    with pytest.raises(DeviceError, match="not a TensorFlow Lite delegate"):
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=library), clock)


def test_without_the_device_it_refuses_and_says_where_to_look(compiled, clock, tmp_path):
    library = build(tmp_path, DELEGATE_C, "-DABSENT_DEVICE")
    with pytest.raises(DeviceError, match=r"no Edge TPU answers as the first device.*USB 3 port.*plugdev"):
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=library), clock)
    with pytest.raises(DeviceError, match=r"answers as usb:0 .*no device=usb:0"):
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=library, device="usb:0"), clock)


def test_without_a_compiled_model_it_refuses_and_says_how_to_make_one(pixel, clock):
    with pytest.raises(BundleError, match=r"no artefact edgetpu.*convert compile"):
        open_segmenter(Options(unsigned="allow", bundle=pixel.folder, library=ABSENT), clock)


def test_a_compiled_model_without_an_edge_tpu_operator_never_runs_silently_on_the_cpu(pixel, clock):
    pixel.add("edgetpu", "model_edgetpu.tflite", (pixel.folder / "model.tflite").read_bytes())
    for when_absent in ("refuse", "degrade"):
        with pytest.raises(BundleError, match="holds no Edge TPU operator"):
            open_segmenter(
                Options(unsigned="allow", bundle=pixel.folder, library=ABSENT, when_absent=when_absent), clock
            )


@pytest.mark.parametrize("lacking", ["library", "device", "compiled model"])
def test_degrading_runs_on_the_cpu_and_says_so(compiled, clock, tmp_path, caplog, lacking):
    library = ABSENT if lacking == "library" else build(tmp_path, DELEGATE_C, "-DABSENT_DEVICE")
    if lacking == "compiled model":
        shutil.copytree(Path(__file__).parent / "fixtures" / "pixel", compiled, dirs_exist_ok=True)
    with caplog.at_level(logging.INFO):
        segmenter = open_segmenter(
            Options(unsigned="allow", bundle=compiled, library=library, threads=1, when_absent="degrade"), clock
        )
    with segmenter:
        assert segmenter.segment(frame()).classes[0].damage.all()
        assert (segmenter.runtime.backend, segmenter.runtime.accelerator) == ("edgetpu", "cpu")
        assert segmenter.runtime.threads == 1
        assert segmenter.degraded is not None
        assert segmenter.degraded.startswith("running on the CPU instead of the Edge TPU: ")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    told = [record.getMessage() for record in warnings if record.name == "edge.masks.edgetpu"]
    assert told == [segmenter.degraded]


def test_an_altered_bundle_is_refused_even_when_told_to_degrade(compiled, clock):
    (compiled / "model_edgetpu.tflite").write_bytes(b"something else")
    with pytest.raises(BundleError, match="copy the bundle again"):
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=ABSENT, when_absent="degrade"), clock)


def test_with_a_device_the_compiled_model_runs_on_it(compiled, clock, tmp_path):
    library = build(tmp_path, DELEGATE_C)
    with open_segmenter(Options(unsigned="allow", bundle=compiled, library=library), clock) as segmenter:
        assert segmenter.segment(frame()).classes[0].damage.all()
        assert (segmenter.runtime.backend, segmenter.runtime.accelerator) == ("edgetpu", "edgetpu")
        assert segmenter.runtime.threads is None
        assert segmenter.degraded is None


def test_operators_that_stay_on_the_cpu_are_told(compiled, clock, tmp_path, pixel):
    library = build(tmp_path, DELEGATE_C)
    facts = {"compiler": "16.0", "operators": 41, "subgraphs": 1, "on_chip_bytes": 1, "off_chip_bytes": 0}
    for mapped, told in ((38, "3 of the 41 operators"), (41, None)):
        pixel.change("artifacts.edgetpu.facts", facts | {"operators_mapped": mapped})
        with open_segmenter(Options(unsigned="allow", bundle=compiled, library=library), clock) as segmenter:
            assert segmenter.runtime.accelerator == "edgetpu"
            assert told in segmenter.degraded if told else segmenter.degraded is None


def test_a_wrong_answer_from_the_device_is_refused_even_when_told_to_degrade(compiled, clock, tmp_path, pixel):
    library = build(tmp_path, DELEGATE_C)
    content = (compiled / "model.tflite").read_bytes().replace(b"\x81" + bytes(8), b"\xc0" + bytes(8))
    pixel.replace("model_edgetpu.tflite", content + b"edgetpu-custom-op")
    with pytest.raises(BundleError, match=r"golden answer.*on edgetpu"):
        open_segmenter(Options(unsigned="allow", bundle=compiled, library=library, when_absent="degrade"), clock)
