from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.masks import preprocess

INT8 = np.arange(-128, 128).astype(np.int8)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_every_pixel_value_becomes_itself_less_128():
    rgb = np.arange(256, dtype=np.uint8).reshape(8, 32)[..., None].repeat(3, axis=2)
    out = np.zeros((8, 32, 3), np.int8)
    preprocess.to_input(rgb, out)
    np.testing.assert_array_equal(out.astype(int), rgb.astype(int) - 128)


def test_input_is_written_into_a_view_and_nowhere_else():
    tensor = np.full((1, 6, 7, 3), 99, np.int8)
    rgb = np.full((4, 5, 3), 128, np.uint8)
    rgb.setflags(write=False)
    preprocess.to_input(rgb, tensor[0, 1:5, :5])
    assert (tensor[0, 1:5, :5] == 0).all()
    assert np.count_nonzero(tensor == 99) == 3 * (42 - 20)


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 127.5, -1), (1 / 255, 0), (1.0, -128), (float("nan"), -128)])
def test_any_other_input_quantisation_is_refused(scale, zero_point):
    with pytest.raises(ValueError, match="1/255"):
        preprocess.check_input(scale, zero_point)


def test_the_float32_scale_a_converter_writes_is_accepted():
    preprocess.check_input(float(np.float32(1 / 255)), -128)
    preprocess.check_input(0.003921567462384701, -128)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_shuffle_puts_channel_dy_r_dx_at_row_dy_column_dx(height, width, factor, seed):
    raw = np.random.default_rng(seed).integers(-128, 128, (height, width, factor**2)).astype(np.int8)
    expected = np.empty((height * factor, width * factor), np.int8)
    for y in range(height * factor):
        for x in range(width * factor):
            expected[y, x] = raw[y // factor, x // factor, (y % factor) * factor + x % factor]
    np.testing.assert_array_equal(preprocess.pixel_shuffle(raw, factor), expected)
    np.testing.assert_array_equal(preprocess.to_codes(raw, factor).astype(int), expected.astype(int) + 128)


def test_codes_are_written_where_told_also_from_a_strided_output():
    raw = np.random.default_rng(1).integers(-128, 128, (3, 8, 4)).astype(np.int8)
    out = np.empty((6, 8), np.uint8)
    assert preprocess.to_codes(raw[:, ::2], 2, out) is out
    np.testing.assert_array_equal(out, preprocess.to_codes(np.ascontiguousarray(raw[:, ::2]), 2))


@pytest.mark.parametrize("function", [preprocess.pixel_shuffle, preprocess.to_codes])
def test_channels_that_are_no_square_of_the_factor_are_refused(function):
    with pytest.raises(ValueError, match="16 channels"):
        function(np.zeros((2, 2, 4), np.int8), 4)


@pytest.mark.parametrize("stride", [2, 4])
def test_enlarging_is_bilinear_and_half_pixel_centred(stride):
    codes = np.random.default_rng(2).integers(0, 256, (5, 7), dtype=np.uint8)
    out = np.empty((5 * stride, 7 * stride), np.uint8)
    assert preprocess.upsample(codes, *out.shape, out=out) is out
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            assert abs(int(out[y, x]) - bilinear(codes, (y + 0.5) / stride - 0.5, (x + 0.5) / stride - 0.5)) <= 1


def bilinear(codes, y, x):
    """Slow and plain: the four cells around (y, x), clamped at the border."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            inside = codes[min(max(row, 0), codes.shape[0] - 1), min(max(column, 0), codes.shape[1] - 1)]
            total += (1 - abs(y - row)) * (1 - abs(x - column)) * float(inside)
    return total


def test_a_map_of_the_right_size_is_not_touched():
    codes = np.zeros((4, 6), np.uint8)
    assert preprocess.upsample(codes, 4, 6) is codes


@pytest.mark.parametrize(("scale", "zero_point"), [(0.03, 0), (0.0258931, 127), (1.0, -128), (1e-6, 5), (50.0, 3)])
def test_the_score_table_is_the_sigmoid_of_each_code(scale, zero_point):
    table = preprocess.score_table(scale, zero_point)
    assert table.dtype == np.uint8
    for raw in range(-128, 128):
        expected = 255 * sigmoid(max(-600.0, min(600.0, (raw - zero_point) * scale)))
        assert abs(int(table[raw + 128]) - expected) <= 0.5 + 1e-9
    assert (np.diff(table.astype(int)) >= 0).all()


def test_dequantise_is_the_affine_map():
    logits = preprocess.dequantise(INT8, 0.05, -3)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, [(int(v) + 3) * 0.05 for v in INT8], rtol=1e-6)


def test_a_threshold_written_as_a_whole_score_counts_that_score():
    for score in range(1, 256):
        assert preprocess.threshold_code(score / 255) == score


@given(st.floats(1e-3, 1.0))
def test_the_threshold_code_is_the_first_score_that_reaches_it(threshold):
    code = preprocess.threshold_code(threshold)
    assert code / 255 >= threshold > (code - 1) / 255


def test_training_gets_this_module_without_opencv_or_an_interpreter():
    check = (
        "import sys; import edge.masks.preprocess, edge.masks.bundle, edge.masks.tiles; "
        "assert not {'cv2', 'ai_edge_litert', 'tflite_runtime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
