"""What is proved, in order; each function's first line is what is printed when it holds."""

from __future__ import annotations

from collections.abc import Callable

from tests.system.first_boot import card_first_boot, card_first_boot_killed
from tests.system.flight import Flight
from tests.system.running import (
    as_fast_within,
    frozen,
    killed,
    one_command,
    ready_and_first_detection,
    units_are_sound,
    walls,
)
from tests.system.trouble import clock_in_1970, full_disk, no_camera, no_network, wrong_bundle, wrong_configuration
from tests.system.versions import (
    altered_version,
    as_documented,
    crashing_version,
    debian_package,
    doctor_tells_only,
    not_started,
    power_cut,
    rolled_back,
    taken_off,
    upgraded,
)

PROOFS: tuple[Callable[[Flight], str], ...] = (
    one_command, units_are_sound, ready_and_first_detection, killed, frozen, walls, as_fast_within,
    wrong_configuration, wrong_bundle, no_camera, no_network, clock_in_1970, full_disk,
    upgraded, rolled_back, doctor_tells_only, altered_version, crashing_version, power_cut, not_started, taken_off,
    debian_package, card_first_boot, card_first_boot_killed, as_documented,
)  # fmt: skip
