import numpy as np

from edge.surface.identity import CrackMap
from tests.surface.wall import HEIGHT, WIDTH, crack, placed, seen_in, zigzag

SHAPE = (HEIGHT, WIDTH)


def _fly(map_: CrackMap, lines: list[np.ndarray], windows: list[tuple[float, float]]) -> list[dict[int, int]]:
    """Number of each line in each window that shows it; follows numbers that were given up."""
    into: dict[int, int] = {}
    seen = []
    for left, top in windows:
        shown = [(index, part) for index, line in enumerate(lines) if (part := seen_in(line, left, top)) is not None]
        found = map_.add([crack(part) for _, part in shown], placed(left, top), SHAPE)
        into |= dict(found.given_up)
        seen.append({index: number for (index, _), number in zip(shown, found.numbers, strict=True) if number})

    def last(number: int) -> int:
        while number in into:
            number = into[number]
        return number

    return [{index: last(number) for index, number in one.items()} for one in seen]


def test_a_crack_that_no_frame_shows_whole_has_one_name() -> None:
    line = zigzag((50, 200), (1, 0.05), 400)
    names = _fly(CrackMap(), [line], [(step * 180.0, 40.0) for step in range(6)])
    assert {name for one in names for name in one.values()} == {1}


def test_two_cracks_side_by_side_stay_two() -> None:
    lines = [zigzag((50, 180), (1, 0), 300, seed=1), zigzag((50, 215), (1, 0), 300, seed=2)]
    names = _fly(CrackMap(), lines, [(step * 150.0, 20.0) for step in range(6)])
    assert len({one[0] for one in names if 0 in one}) == 1
    assert len({one[1] for one in names if 1 in one}) == 1
    assert names[-1][0] != names[-1][1]


def test_cracks_that_cross_stay_two() -> None:
    lines = [zigzag((60, 180), (1, 0.1), 220, seed=3), zigzag((400, 20), (0.1, 1), 90, seed=4)]
    names = _fly(CrackMap(), lines, [(step * 60.0, 0.0) for step in range(6)])
    assert len({one[0] for one in names}) == 1
    assert len({one[1] for one in names}) == 1
    assert names[0][0] != names[0][1]


def test_fragments_of_one_crack_are_joined_and_the_younger_name_is_given_up() -> None:
    line = zigzag((40, 180), (1, 0), 140, seed=5)
    map_ = CrackMap()
    for _ in range(3):
        map_.add([crack(line[:68]), crack(line[73:])], placed(0, 0), SHAPE)
    assert list(map_.lines) == [1]
    assert abs(map_.lines[1].length - 4 * 139) < 40


def test_a_gap_that_is_too_wide_is_not_bridged() -> None:
    line = zigzag((40, 180), (1, 0), 140, seed=5)
    map_ = CrackMap()
    for _ in range(4):
        map_.add([crack(line[:60]), crack(line[80:])], placed(0, 0), SHAPE)
    assert len(map_.lines) == 2


def test_one_wrong_turn_at_a_crossing_is_taken_back() -> None:
    level, upright = zigzag((60, 180), (1, 0), 130, seed=6), zigzag((320, 20), (0, 1), 80, seed=7)
    wrong = np.concatenate([level[:65], upright[40:]])
    map_ = CrackMap()
    map_.add([crack(wrong), crack(level[66:]), crack(upright[:39])], placed(0, 0), SHAPE)
    for _ in range(8):
        found = map_.add([crack(level), crack(upright)], placed(0, 0), SHAPE)
    assert found.numbers[0] != found.numbers[1]


def test_an_hour_before_one_crack_takes_no_more_memory() -> None:
    line = zigzag((40, 180), (1, 0), 120, seed=8)
    map_ = CrackMap()
    rng = np.random.default_rng(0)
    for _ in range(300):
        map_.add([crack(line + rng.normal(0, 0.5, line.shape))], placed(0, 0, moved=0.0), SHAPE)
    (only,) = map_.lines.values()
    assert len(only.xy) < 160


def test_anything_may_come_in() -> None:
    rng = np.random.default_rng(9)
    map_ = CrackMap()
    for _ in range(12):
        paths = [rng.uniform(-20, 700, (int(rng.integers(2, 12)), 2)) for _ in range(int(rng.integers(0, 6)))]
        spot = [np.full((3, 2), 7.0)]
        found = map_.add([crack(path) for path in (*paths, *spot)], placed(*rng.uniform(-300, 300, 2)), SHAPE)
        assert len(found.numbers) == len(paths) + 1
    for line in map_.lines.values():
        assert np.isfinite(line.xy).all()
        assert len(line.xy) == len(line.hits) == len(line.looks) == len(line.passes)


def test_fragments_that_face_each_other_are_one_crack_after_all_views_and_those_that_do_not_are_two() -> None:
    line, other = zigzag((40, 100), (1, 0), 140, seed=5), zigzag((40, 180), (1, 0), 140, seed=6)
    beside = zigzag((300, 230), (0.7, 1), 25, seed=7)
    map_ = CrackMap()
    for _ in range(3):
        map_.add([crack(line[:60]), crack(line[75:]), crack(other[:60]), crack(beside)], placed(0, 0), SHAPE)
    assert len(map_.lines) == 4
    assert map_.finish() == [(2, 1)]
    assert sorted(map_.lines) == [1, 3, 4]
    assert abs(map_.lines[1].length - 4 * 139) < 40


def test_what_is_no_crack_is_joined_to_none() -> None:
    line = zigzag((40, 100), (1, 0), 140, seed=5)
    map_ = CrackMap()
    for _ in range(3):
        map_.add([crack(line[:60]), crack(line[75:])], placed(0, 0), SHAPE)
    assert map_.finish(apart={2}) == []
    assert len(map_.lines) == 2


def test_what_is_no_crack_is_not_joined_to_one_that_it_faces_in_one_view() -> None:
    line = zigzag((40, 100), (1, 0), 140, seed=5)
    for apart, joined in ((set[int](), [(2, 1)]), ({2}, [])):
        map_ = CrackMap()
        map_.add([crack(line[:60]), crack(line[63:])], placed(0, 0), SHAPE)
        assert map_.finish(apart) == joined


def test_a_mark_at_the_end_of_a_crack_does_not_keep_it_from_its_other_half() -> None:
    line = zigzag((40, 100), (1, 0), 140, seed=5)
    mark = zigzag((283, 100), (0.8, 0.62), 16, seed=6)  # nearer than the other half; it leads aside

    def lines(unsure: set[int]) -> list[float]:
        map_ = CrackMap()
        map_.add([crack(line[:60]), crack(line[75:]), crack(mark)], placed(0, 0), SHAPE)
        map_.finish(unsure=unsure)
        return sorted(float(np.ptp(one.xy[:, 0])) for one in map_.lines.values())

    assert lines({3})[-1] > 530, "both halves and what lies between them"
    assert lines(set())[-1] < 350, "surely a crack: it may be what goes on"


def test_at_a_fork_the_straight_arms_are_one_crack_whichever_came_first() -> None:
    trunk = zigzag((60, 180), (1, 0), 130, seed=8)
    arm = zigzag((320, 184), (1, 0.9), 45, seed=9)
    wrong, rest = np.concatenate([trunk[:66], arm]), trunk[67:]
    map_ = CrackMap()
    map_.add([crack(wrong), crack(rest)], placed(0, 0), SHAPE)
    map_.finish()
    longest = max(map_.lines.values(), key=lambda one: one.length)
    assert len(map_.lines) == 2
    assert float(np.ptp(longest.xy[:, 1])) < 30
    assert float(np.ptp(longest.xy[:, 0])) > 480
