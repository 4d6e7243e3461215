"""What boards say of themselves: made trees of /sys and /proc, and recorded outputs of the vendors' commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.tools.benchmark import board, power

# Recorded on a Raspberry Pi 5; rails are paired by name, EXT5V and BATT have no current.
PMIC = """\
 3V7_WL_SW_A current(0)=0.00000000A
   3V3_SYS_A current(1)=0.06245952A
  VDD_CORE_A current(7)=2.50000000A
 3V7_WL_SW_V volt(8)=3.79999600V
   3V3_SYS_V volt(9)=3.30632200V
  VDD_CORE_V volt(15)=0.80000000V
     EXT5V_V volt(24)=5.06788000V
      BATT_V volt(25)=3.01110800V
"""
ORIN = (
    "RAM 2840/7620MB (lfb 512x4MB) SWAP 0/4096MB CPU [25%@1420,off,off,20%@1420] GR3D_FREQ 76% "
    "CPU@42.5C thermal@41.7C VDD_IN 5765mW/5600mW VDD_CPU_GPU_CV 1548mW/1500mW VDD_SOC 1497mW/1400mW"
)
NANO = "RAM 613/3964MB CPU [2%@102] PLL@39C CPU@40.5C PMIC@100C POM_5V_IN 900/943 POM_5V_GPU 0/0 POM_5V_CPU 123/123"


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def pi5(root: Path) -> tuple[Path, Path]:
    sys = put(
        root / "sys",
        {
            "devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "2400000\n",
            "class/thermal/thermal_zone0/temp": "61950\n",
            "devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        },
    )
    proc = put(
        root / "proc",
        {
            "device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "cpuinfo": "processor\t: 0\nCPU part\t: 0xd0b\n",
            "meminfo": "MemTotal:        8256000 kB\n",
        },
    )
    return sys, proc


def test_a_raspberry_pi_5(tmp_path: Path) -> None:
    sys, proc = pi5(tmp_path)
    found = board.board(sys, proc)
    assert (found.name, found.slug) == ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5-model-b")
    assert (found.processor, found.memory_mb) == ("Arm part 0xd0b", 8454)
    assert {"spanhawk", "numpy"} <= found.versions.keys()
    state = board.state(sys)
    assert (state.governor, state.clock_mhz, state.temperature_deg_c) == ("ondemand", 2400.0, 61.95)
    assert state.throttled == ("under-voltage", "throttled")
    assert state.throttled_before == ("under-voltage", "throttled")


def test_a_board_that_says_nothing_is_unknown_not_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = board.board(tmp_path / "sys", tmp_path / "proc")
    assert found.memory_mb is None
    assert found.name
    state = board.state(tmp_path / "sys")
    unknown = (state.governor, state.clock_mhz, state.temperature_deg_c, state.throttled, state.power_w)
    assert unknown == (None,) * 5
    assert board.peak_mb(tmp_path / "status") is None


def test_throttled_with_nothing_held_back_is_empty_not_unknown(tmp_path: Path) -> None:
    sys, _ = pi5(tmp_path)
    put(sys, {"devices/platform/soc/soc:firmware/get_throttled": "20000\n"})
    state = board.state(sys)
    assert (state.throttled, state.throttled_before) == ((), ("clock capped",))
    put(sys, {"devices/platform/soc/soc:firmware/get_throttled": "what?\n"})
    assert board.state(sys).throttled is None


def test_this_machine_has_a_name_a_peak_and_a_slug() -> None:
    found = board.board()
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.slug == board.slug(found.name)
    peak = board.peak_mb()
    assert peak is not None
    assert peak > 10


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4-model-b"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "nvidia-jetson-orin-nano-developer-kit"),
        ("x86_64, AMD EPYC family 25 model 17, 2 cores", "x86-64-amd-epyc-family-25-model-17-2-cores"),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    assert board.slug(name) == slug


def test_the_pi_s_rails_are_paired_by_name_and_added() -> None:
    assert power.pmic_w(PMIC) == pytest.approx(0.06245952 * 3.306322 + 2.5 * 0.8)
    assert power.pmic_w("     EXT5V_V volt(24)=5.06788000V\n") is None
    assert power.pmic_w("VCHI initialization failed\n") is None


@pytest.mark.parametrize(("line", "watts"), [(ORIN, 5.765), (NANO, 0.9), ("RAM 1/2MB", None)])
def test_tegrastats_gives_the_input_rail(line: str, watts: float | None) -> None:
    assert power.tegrastats_w(line) == watts


def jetson(root: Path) -> Path:
    return put(
        root,
        {
            "hwmon0/name": "tmp451\n",
            "hwmon2/name": "ina3221\n",
            "hwmon2/in1_label": "VDD_IN\n",
            "hwmon2/in1_input": "5032\n",
            "hwmon2/curr1_input": "1144\n",
            "hwmon2/in2_label": "VDD_CPU_GPU_CV\n",
            "hwmon2/in2_input": "5024\n",
            "hwmon2/curr2_input": "320\n",
        },
    )


def test_a_jetson_s_sensor_gives_the_input_rail_alone(tmp_path: Path) -> None:
    assert power.power_w(jetson(tmp_path)) == pytest.approx(5.032 * 1.144)
    (tmp_path / "hwmon2/curr1_input").unlink()
    assert power.jetson_w(tmp_path) is None


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_vendors_commands_are_asked_where_the_kernel_has_no_sensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    nothing = tmp_path / "hwmon"
    # For ever, as the real one.
    program(tmp_path, "tegrastats", f"while echo '{ORIN}'; do :; done")
    assert power.power_w(nothing) == 5.765
    program(tmp_path, "vcgencmd", f"[ \"$1\" = pmic_read_adc ] && cat <<'END'\n{PMIC}END")
    assert power.power_w(nothing) == pytest.approx(2.2065, abs=1e-3)
    program(tmp_path, "vcgencmd", "exit 255")
    program(tmp_path, "tegrastats", "exit 1")
    assert power.power_w(nothing) is None
