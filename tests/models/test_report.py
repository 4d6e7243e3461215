"""The evaluation page: whole, self-contained, and with the numbers that the command prints."""

from __future__ import annotations

import html.parser
import json

import cv2
import numpy as np
import pytest

from models import cli
from models.cli import main
from models.data import find_examples
from models.evaluate import evaluate, look, precision_recall, reporting_filter, summary
from models.report import Scored, write_report
from tests.models.sets import Darkness


@pytest.fixture
def folder(tmp_path):
    """Six pictures 40 x 60: dark bars of grey 0, 50, 100 that are cracks, two sound ones, one bar that is none."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i, (grey, crack) in enumerate([(0, 1), (50, 1), (100, 1), (220, 0), (220, 0), (30, 0)]):
        image, mask = np.full((40, 60, 3), 220, np.uint8), np.zeros((40, 60), np.uint8)
        image[20:24] = grey
        mask[20:24] = 255 * crack
        cv2.imwrite(str(tmp_path / f"images/{i}.png"), image)
        cv2.imwrite(str(tmp_path / f"masks/{i}.png"), mask)
    return tmp_path


@pytest.fixture
def looks(folder):
    return look(Darkness("darkness <1>"), find_examples(folder / "images", folder / "masks"))


def test_precision_and_recall_at_every_threshold_against_a_loop(folder, looks):
    """Bars score 255, 205, 155 and, the one that is no crack, 225; the rest 35."""
    bar = 4 * 60
    found = {round(p["threshold"] * 255): (p["precision"], p["recall"]) for p in precision_recall(looks)}
    assert found[255] == (1.0, pytest.approx(1 / 3))
    assert found[225] == (0.5, pytest.approx(1 / 3))
    assert found[205] == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert found[155] == (0.75, 1.0)
    assert found[35] == (pytest.approx(3 * bar / (6 * 40 * 60)), 1.0)
    assert len(found) == 5


def test_found_and_firing_pictures_before_and_after_a_reporting_filter(folder):
    def only_the_darkest(score, rgb):
        assert rgb.shape == (*score.shape, 3)
        return score == 255

    examples = find_examples(folder / "images", folder / "masks")
    found = evaluate(Darkness("darkness <1>"), examples, reported=only_the_darkest)
    assert (found["found"]["images"], found["found"]["found"]) == (3, 3)
    assert found["found"]["reported"]["found"] == 1
    assert (found["crack_free"]["images"], found["crack_free"]["fires"]) == (3, 1)
    assert found["crack_free"]["reported"]["fires"] == 0
    assert found["reported"]["pooled"]["recall"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["reported"]["pooled"]["precision"]["value"] == 1
    raw = evaluate(Darkness("darkness <1>"), examples)
    assert raw["reported"] is None
    assert raw["crack_free"]["reported"] is raw["found"]["reported"] is None


def test_the_filter_is_the_drones(folder):
    """Bars of 60 px need a mean score of 0.95: the true ones have 1.0, 0.80 and 0.61, the one that is none 0.88."""
    examples = find_examples(folder / "images", folder / "masks")
    scorer = Darkness("darkness <1>")
    found = evaluate(scorer, examples, reported=reporting_filter(scorer))
    assert (found["found"]["found"], found["found"]["reported"]["found"]) == (3, 1)
    assert (found["crack_free"]["reported"]["fires"], found["crack_free"]["fires"]) == (0, 1)
    scorer.threshold = 0.9
    found = evaluate(scorer, examples, reported=reporting_filter(scorer))
    assert (found["found"]["reported"]["found"], found["crack_free"]["reported"]["fires"]) == (1, 0)


class Reader(html.parser.HTMLParser):
    """Collects tags that never close, and addresses of anything outside the page."""

    def __init__(self):
        super().__init__()
        self.open, self.outside, self.images = [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "rect", "circle", "path", "polyline", "br"):
            self.open.append(tag)
        self.images += tag == "img"
        self.outside += [value for key, value in attrs if key in ("src", "href") and not value.startswith("data:")]

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in ("rect", "circle", "path", "polyline"):
            self.open.append(f"/{tag}")


def test_page_needs_nothing_else_and_shows_every_set(folder, looks, tmp_path):
    sets = [
        Scored(name="cracks & bars", looks=looks, negatives=[]),
        Scored(name="free", looks=[], negatives=look(Darkness("darkness <1>"), find_examples(folder / "images", None))),
    ]
    write_report(tmp_path / "page", Darkness("darkness <1>"), sets)
    text = (tmp_path / "page/index.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.outside == []
    assert reader.images == 3 + 1 + 4, "three cracked ones, one that fires, and the four bars of the second set"
    assert "darkness &lt;1&gt;" in text
    assert "cracks &amp; bars" in text
    found = json.loads((tmp_path / "page/report.json").read_text())["sets"]
    assert found["cracks & bars"]["pooled"] == summary(looks, [])["pooled"]
    assert len(found["cracks & bars"]["pictures"]) == 6
    assert found["free"]["precision_recall"] is None
    assert found["free"]["crack_free"]["fires"] == 4


BUNDLE = "models/bundles/fast-unet"


def test_command_scores_several_sets_and_writes_the_page(folder, tmp_path, capsys, pytestconfig):
    bundle = str(pytestconfig.rootpath / BUNDLE)
    sets = ["--set", f"bars={folder}/images,{folder}/masks", "--set", f"free={folder}/images"]
    assert main(["evaluate", bundle, *sets, "--report", str(tmp_path / "page")]) == 0
    printed = json.loads(capsys.readouterr().out)
    written = json.loads((tmp_path / "page/report.json").read_text())
    assert set(printed["sets"]) == {"bars", "free"}
    for name, numbers in printed["sets"].items():
        assert numbers == {key: written["sets"][name][key] for key in numbers}
        assert numbers["crack_free"]["reported"] is None or numbers["crack_free"]["reported"]["images"] > 0
    assert printed["sets"]["bars"]["found"]["reported"]["images"] == 3
    assert printed["sets"]["free"]["crack_free"]["reported"]["images"] == 6
    alone = ["--images", f"{folder}/images", "--masks", f"{folder}/masks", "--json"]
    assert main(["evaluate", bundle, *alone]) == 0
    single = json.loads(capsys.readouterr().out)
    assert {key: single[key] for key in printed["sets"]["bars"]} == printed["sets"]["bars"]


def test_only_what_the_training_held_out_is_scored_under_its_name(folder, tmp_path, capsys, pytestconfig):
    record = tmp_path / "run.json"
    record.write_text(json.dumps({"held": {"bars/held": {"names": ["1.png", "4.png"]}}}))
    both = [f"--set={name}={folder}/images,{folder}/masks" for name in ("bars/held", "others")]
    assert main(["evaluate", str(pytestconfig.rootpath / BUNDLE), *both, "--held", str(record)]) == 0
    found = json.loads(capsys.readouterr().out)["sets"]
    assert {name: one["images"] for name, one in found.items()} == {"bars/held": 2, "others": 6}
    (folder / "images/4.png").rename(folder / "images/9.png")
    (folder / "masks/4.png").rename(folder / "masks/9.png")
    assert main(["evaluate", str(pytestconfig.rootpath / BUNDLE), *both, "--held", str(record)]) == 2
    assert "holds 1 of the 2 pictures of bars/held" in capsys.readouterr().err
    whole = ["--set", f"bars={folder}/images,{folder}/masks"]
    assert main(["evaluate", str(pytestconfig.rootpath / BUNDLE), *whole, "--held", str(record)]) == 2
    assert capsys.readouterr().err == (
        "error: bars was learned from in part: write bars/held to score what the training held out.\n"
    )


def test_the_record_of_a_gpu_run_names_what_was_held_out_by_its_source_alone(folder, tmp_path, capsys):
    record = tmp_path / "fast-unet-seen.json"
    record.write_text(json.dumps({"train": {"bars": {}}, "held": {"bars": {"images": 2, "names": ["1.png", "4.png"]}}}))

    def names(name):
        words = ["evaluate", "model", f"--set={name}={folder}/images,{folder}/masks", f"--held={record}"]
        ((_, labelled, _),) = cli._sets(cli._parser().parse_args(words))
        return [example.image.name for example in labelled]

    assert names("bars/held") == names("bars") == ["1.png", "4.png"]
    assert len(names("others")) == 6
    assert main(["evaluate", "model", f"--set=others/held={folder}/images", f"--held={record}"]) == 2
    assert capsys.readouterr().err.startswith("error: No training record says what was held out of others (it names")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "a=tests", "--held", "gone.json"], "--held names gone.json, which does not exist"),
        (["--set", "a=tests", "--held", "pyproject.toml"], "pyproject.toml is no record of a training"),
        (["--set", "a"], "--set a is not NAME=IMAGES,MASKS"),
        (["--set", "a=x", "--images", "y"], "--set names sets by itself"),
        (["--set", "a=nowhere"], "folder nowhere does not exist"),
        (["--set", "a=tests", "--windows", "--report", "page"], "--report shows pictures, and --windows scores none"),
    ],
)
def test_wrong_sets_are_answered_with_one_sentence(arguments, message, capsys, pytestconfig):
    assert main(["evaluate", str(pytestconfig.rootpath / BUNDLE), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
