"""Proofs on the installed board: fit, heard, exact, within its limits, gentle to the card, and back after a panic."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from tests.arm64.board.bench import PYTHON, Bench, heard, recorded
from tests.arm64.board.machine import Board
from tests.system.container import FailedError

HERE = Path(__file__).parent
DEVICES = {"temperature", "supply", "clock"}
"""Rows of ``doctor`` that look at what this board does not have."""
CONF = "/etc/spanhawk/spanhawk.toml"
DOCTORS_OWN = "/etc/systemd/system/spanhawk-doctor.service.d"
SLOWER = (
    "[Service]\\nTimeoutStartSec=1000\\nExecStart=\\n"
    f"ExecStart=/opt/spanhawk/current/venv/bin/spanhawk doctor --slower 50 --config {CONF}\\n"
)
"""A tile takes the emulator some 50 times as long as a Raspberry Pi 4; nothing else is judged more mildly."""
WRITES_S, FLIGHT_S = 120, 120
GOAL_MB_PER_H = 60


def doctor(bench: Bench) -> str:
    """``spanhawk doctor`` within the service's walls, with the kernel's virtual camera, is green but for devices."""
    board = bench.up()
    board.copy(HERE / "with_vivid.py", "/root/with_vivid.py")
    board.run(
        f"systemctl stop spanhawk; modprobe vivid; cp -p {CONF} /root/before.toml; python3 /root/with_vivid.py {CONF}; "
        f"mkdir -p {DOCTORS_OWN}; printf '{SLOWER}' >{DOCTORS_OWN}/30-emulator.conf; systemctl daemon-reload",
        timeout_s=600,
    )
    code = board.try_run("systemctl start spanhawk-doctor", timeout_s=1200).returncode
    text = board.run("journalctl --sync; journalctl -u spanhawk-doctor -b -o cat --no-pager")
    board.run(
        f"cp -p /root/before.toml {CONF}; rm -r {DOCTORS_OWN}/30-emulator.conf; systemctl daemon-reload; "
        "systemctl start spanhawk; modprobe -r vivid || true",
        timeout_s=900,
    )
    rows = re.findall(r"^\s*(ok|warn|fail|FAIL|n/a)\s+(\S.*?)(?:  |:)", text, re.MULTILINE | re.IGNORECASE)
    found = {name: level.lower() for level, name in rows}
    assert found.get("camera") == "ok", text
    assert found.get("model") == "ok", text
    bad = sorted({name for name, level in found.items() if level == "fail"} - DEVICES)
    assert not bad, text
    return f"exit {code}\n{text}"


def detection(bench: Bench) -> str:
    """A detection arrives at mosquitto."""
    board = bench.up()
    (feature,) = heard(board, "detections", 1, 180)
    assert feature["type"] == "Feature", feature
    assert feature["geometry"] is not None, feature
    return f"{feature['properties'].get('kind')} {feature['id']}"


def golden(bench: Bench) -> str:
    """The int8 answer of the bundle that flies equals x86-64's."""
    board = bench.up()
    board.copy(HERE / "golden.py", "/root/golden.py")
    found = json.loads(board.run(f"{PYTHON} /root/golden.py", timeout_s=600))
    assert found["machine"] == "aarch64", found
    assert found["differing"] <= found["allowed"], found
    return json.dumps(found)


def limits(bench: Bench) -> str:
    """Memory, tasks and devices: a process within the service's own cgroup gets no more."""
    board = bench.up()
    board.copy(HERE / "tries.py", "/root/tries.py")
    tasks = json.loads(board.run("python3 /root/tries.py tasks"))
    assert tasks["refused"] == "Resource temporarily unavailable", tasks
    assert tasks["in_the_cgroup"] <= 64, tasks
    device = json.loads(board.run("python3 /root/tries.py device"))
    assert (device["outside"], device["within"]) == ("opened", "Operation not permitted"), device
    memory = json.loads(board.run("python3 /root/tries.py memory", timeout_s=600))
    assert memory["killed"], memory
    assert memory["oom_kills"] >= 1, memory
    bench.up()
    said = board.run("journalctl -k -b -o cat --no-pager | grep -m1 'Memory cgroup out of memory'")
    return f"{json.dumps(tasks)} {json.dumps(device)} {json.dumps(memory)}; the kernel: {said.strip()}"


def writes(bench: Bench) -> str:
    """What is written to the card in an hour at 5 detections a second, without pictures."""
    board = bench.up()
    flying = _as_it_flies(board)
    board.run("systemctl stop spanhawk")
    board.copy(HERE / "five_a_second.py", "/root/five_a_second.py")
    found = json.loads(board.run(f"{PYTHON} /root/five_a_second.py {WRITES_S}", timeout_s=WRITES_S + 300))
    board.run("systemctl start spanhawk", timeout_s=300)
    assert found["put"] >= 0.98 * 5 * WRITES_S, found
    assert found["mb_per_h"] <= GOAL_MB_PER_H, found
    return f"{json.dumps(found)}; the daemon as it flies here: {flying}"


def _as_it_flies(board: Board) -> str:
    """What the whole service writes without pictures, at the pace of the emulator."""
    board.run("sed -i /evidence_dir/d /etc/spanhawk/spanhawk.toml && systemctl restart spanhawk", timeout_s=600)
    time.sleep(60)
    before = (len(recorded(board)), _written_mb(board), time.monotonic())
    time.sleep(FLIGHT_S)
    after = (len(recorded(board)), _written_mb(board), time.monotonic())
    count, written, seconds = (new - old for new, old in zip(after, before, strict=True))
    return f"{count} detections in {seconds:.0f} s, {written:.2f} MB written, {written / seconds * 3600:.0f} MB an hour"


def _written_mb(board: Board) -> float:
    return int(board.run("sync; cat /sys/block/vda/stat").split()[6]) * 512 / 1e6


# It has no MJPEG, which is what a webcam sends and what the options ask for unless they say otherwise.
VIVID = '{"fourcc": "YUYV", "width_px": 640, "height_px": 360}'


def virtual_camera(bench: Bench) -> str:
    """The camera contract on the kernel's virtual V4L2 camera."""
    board = bench.up()
    archive = bench.tests_archive()
    board.copy(archive, "/root/tests.tar")
    board.run("modprobe vivid && tar -xf /root/tests.tar -C /root")
    tests = "-k v4l2 tests/contracts/test_frames.py"
    said = board.run(
        f"cd /root/checkout && SPANHAWK_V4L2='{VIVID}' PYTHONPATH=/root/checkout/wheels PYTHONDONTWRITEBYTECODE=1 "
        f"{PYTHON} -m pytest -p no:cacheprovider -q -rA {tests} 2>&1; modprobe -r vivid || true",
        timeout_s=1200,
    )
    last = said.strip().splitlines()[-1]
    if "failed" in last or "error" in last or "skipped" in last or "passed" not in last:
        raise FailedError(said)
    return last


def panic(bench: Bench) -> str:
    """A kernel that hangs in a panic is reset by the watchdog, and the service comes up again."""
    board = bench.up()
    device = board.run("cat /sys/class/watchdog/watchdog0/identity; systemctl show -p RuntimeWatchdogUSec --value")
    board.run("sync; sysctl -q -w kernel.panic=0")  # without the watchdog it would stay there
    before, begun = board.boot_id(), time.monotonic()
    board.spoken("echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger")
    board.restarted(before)
    took = time.monotonic() - begun
    bench.up()
    assert "Kernel panic" in board.console(), board.console()[-2000:]
    return f"{' '.join(device.split())}; takes commands again {took:.0f} s after the panic"
