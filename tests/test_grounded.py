"""Datasets with evidence: rows as published, resized pictures, and what evaluate.py makes of where answers look."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grounded_fixtures as fixtures
import pytest
import torch
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import open_dict

from ral.config.cli import run
from ral.data.bad import BadSample
from ral.data.entries import Entries
from ral.data.grounded import multihop, nextgqa, refcoco, saliency_r1, treebench, viscot, vstar, zwz
from ral.data.grounded.boxes import cuts
from ral.data.media import MediaReader, MediaSettings
from ral.data.samples import Sample
from ral.evaluation.benchmarks import box, choice
from ral.evaluation.benchmarks.grounded import load, summary
from ral.evaluation.benchmarks.items import Item, ScoredItem
from ral.evaluation.held_out import prompt_rows
from ral.evaluation.looked import LOOKED
from ral.evaluation.looks import chance_in, grounding_in, pointing_in
from ral.learner.collate import Collate
from ral.models.mllm import MLLM
from ral.ops.attention import CapturedAttention
from ral.types import Evidence, Example, UserError

WIDTH, HEIGHT = fixtures.SIDES


def boxes(example: Example) -> list[tuple[float, ...]]:
    """The boxes in pixels of the fixtures' pictures."""
    sides = (WIDTH, HEIGHT, WIDTH, HEIGHT)
    return [tuple(round(x * side, 3) for x, side in zip(e.box, sides, strict=True)) for e in example.evidence]


def refused(entries: Entries, at: int) -> str:
    """The one line that an entry is refused with."""
    with pytest.raises(BadSample) as error:
        entries[at]
    assert "\n" not in str(error.value) and "; write " in str(error.value)
    return str(error.value)


# ---------------------------------------------------------------------------------------------- rows as published


def test_vstar_as_published(tmp_path: Path) -> None:
    entries = vstar.read(fixtures.vstar(tmp_path))
    assert [e.uid for e in entries] == sorted(fixtures.VSTAR)
    assert [boxes(e) for e in entries] == [
        [(20, 28, 60, 42)],
        [(0, 0, 100, 56)],
        [(10, 14, 30, 42), (60, 0, 80, 14)],
    ]
    for example in entries:
        right = fixtures.VSTAR[example.uid]["options"][0]
        assert f"{example.answer}. {right}" in example.options
        assert len(example.options) == len(fixtures.VSTAR[example.uid]["options"])
    many = {f"direct_attributes/{n}": fixtures.VSTAR["direct_attributes/sa_5"] for n in range(20)}
    letters = [example.answer for example in vstar.read(fixtures.vstar(tmp_path / "many", many))]
    assert set(letters) == {"A", "B"}  # the right option stands first in the files, and not here


def test_nextgqa_as_published(tmp_path: Path) -> None:
    entries = nextgqa.read(fixtures.nextgqa(tmp_path))
    assert [e.uid.split("/")[0] for e in entries] == ["temporal", "temporal", "causal"]
    assert [[e.span for e in example.evidence] for example in entries] == [
        [(2.5, 7)],
        [(0.5, 3), (10, 12.5)],
        [(0, 15)],
    ]
    assert all(e.box == (0, 0, 1, 1) for example in entries for e in example.evidence)
    assert [example.answer for example in entries] == ["C"] * 3 and entries[0].options[2] == "C. lay on floor"
    assert entries[0].media[0].path == tmp_path / "NExTVideo/0101/2574374895.mp4"
    fixtures.nextgqa(tmp_path, "val")
    train, held_out = nextgqa.source("train", path=tmp_path, limit=2), nextgqa.source("validation", path=tmp_path)
    assert (train.rows.path.name, len(train)) == ("val.csv", 2) and held_out.rows.path.name == "test.csv"


def test_viscot_as_published(tmp_path: Path) -> None:
    """The third row's box reaches over the picture, as 871 of the file do: it is cut there, and counted."""
    entries = viscot.read(fixtures.viscot(tmp_path))
    assert [boxes(e) for e in entries] == [[(20, 28, 60, 42)], [(0, 56, 200, 112)], [(150, 100, 200, 112)]]
    assert [[e.cut for e in example.evidence] for example in entries] == [[False], [False], [True]] and cuts(
        entries
    ) == 1
    assert [example.question for example in entries] == [row[2] for row in fixtures.VISCOT]
    assert [example.answer for example in entries] == ["A rope.", "May 4", "Right"]
    assert [example.uid for example in entries] == ["flickr30k/1#1", "docvqa/2#2", "gqa/3#3"]
    assert len({example.uid for example in entries}) == 3
    assert len(viscot.source("train", path=tmp_path / "viscot_363k.json")) == 2


def test_refcoco_as_published(tmp_path: Path) -> None:
    for split in ("val", "test"):
        fixtures.table(tmp_path / f"data/{split}-00000-of-00001.parquet", fixtures.refcoco_rows())
    entries = refcoco.read(tmp_path / "data", unpacked=tmp_path / "unpacked")
    assert [boxes(e) for e in entries] == [[(20, 28, 60, 42)], [(0, 56, 200, 112)], [(100.5, 14, 150.5, 42)]]
    assert '"man on the left"' in entries[0].question and entries[0].answer == "[0.100, 0.250, 0.300, 0.375]"
    with pytest.raises(UserError, match="has no split 'testA' but"):
        refcoco.read(tmp_path / "data", split="testA", unpacked=tmp_path)
    one = refcoco.read(tmp_path / "data/test-00000-of-00001.parquet", unpacked=tmp_path / "unpacked")
    assert one[2].uid == "test/2"


@pytest.mark.parametrize(
    ("response", "score"),
    [
        ("[0.1, 0.25, 0.3, 0.375]", 1),
        ("<think>[0, 0, 1, 1]</think><answer>0.1 0.25 0.25 0.375</answer>", 1),  # 0.75 of it
        ("(0.1, 0.25), (0.3, 0.375)", 1),
        ("[[0.1, 0.25], [0.3, 0.375]]", 1),
        ("x1=0.1, y1=0.25, x2=0.3, y2=0.375", 1),
        ('{"xmin": 0.1, "xmax": 0.3, "ymin": 0.25, "ymax": 0.375}', 1),
        ("left: 0.1, top: 0.25, right: 0.3, bottom: 0.375", 1),
        ("x1=0.1, y1=0.3, x2=0.25, y2=0.375", 0),
        ("x1=0.1, y1=0.25, x2=0.3", 0),
        ("(0.1, 0.25) or (0.3, 0.375)", 0),
        ("x1=0.1, y1=0.25, x2=0.3, y2=0.375; x1=0.5, y1=0.5, x2=0.6, y2=0.6", 0),
        ("[0.1, 0.25, 0.19, 0.375]", 0),  # 0.45 of it
        ("[20, 28, 60, 42]", 0),
        ("[0.3, 0.375, 0.1, 0.25]", 0),
        ("on the left", 0),
    ],
)
def test_a_box_is_right_from_half_an_overlap_on(response: str, score: float) -> None:
    evidence = (Evidence((0.1, 0.25, 0.3, 0.375)),)
    item = Item(Example("0", "Where?", "[0.100, 0.250, 0.300, 0.375]", "free-form", evidence=evidence))
    assert box.judge(item, response).score == score


def test_treebench_as_published(tmp_path: Path) -> None:
    entries = treebench.read(fixtures.treebench(tmp_path), unpacked=tmp_path / "unpacked")
    assert [boxes(e) for e in entries] == [
        [(20, 28, 60, 42)],
        [(0, 0, 100, 56), (100, 0, 200, 56)],
        [(10, 14, 30, 42)],
    ]
    assert [e.uid for e in entries] == ["Attributes/1", "Comparison/2", "OCR/3"]
    assert [e.answer for e in entries] == ["B", "A", "A"] and [len(e.options) for e in entries] == [4, 2, 2]
    assert choice.judge(Item(entries[2]), "<answer>A</answer>").score == 1


def test_multihop_spatial_as_published(tmp_path: Path) -> None:
    """A comma inside an option stays; a box over the picture's edge is cut; the request for a box is left out."""
    file = fixtures.multihop_spatial(tmp_path)
    entries = multihop.read(file)
    assert [boxes(e) for e in entries] == [[(20, 28, 60, 42)], [(0, 56, 200, 112)], [(150.5, 0, 200, 35)]]
    assert [e.evidence[0].cut for e in entries] == [False, False, True]
    assert [e.answer for e in entries] == ["C", "A", "B"] and [len(e.options) for e in entries] == [4, 2, 3]
    assert (
        "cat, asleep" in entries[0].options[2]
        and entries[0].question == "Seen from the chair, which thing is behind it?"
    )
    assert [e.uid for e in entries] == ["1hop ego/1#1", "2hop exo/2#2", "3hop ego/3#3"]
    held_out = multihop.source("validation", path=file)
    elsewhere = multihop.read(file, media_root=tmp_path / "images")
    assert (
        [e.uid for e in held_out] == ["3hop ego/3#3"] and len(elsewhere) == 3 and elsewhere[0].media == entries[0].media
    )


def test_multihop_spatial_without_a_box_or_a_size_is_asked_all_the_same(tmp_path: Path) -> None:
    rows = fixtures.multihop_rows()
    rows[0]["bbox"], rows[0]["image_path"] = None, "/000000000001.jpg"
    del rows[1]["image_resolution"]
    entries = multihop.read(fixtures.multihop_spatial(tmp_path, rows))
    assert entries[0].evidence == () and len(entries[1].evidence) == 1


def test_saliency_r1_as_published(tmp_path: Path) -> None:
    file = fixtures.table(tmp_path / "data/train-00000-of-00001.parquet", fixtures.saliency_rows())
    entries = saliency_r1.source("train", path=file.parent, unpacked=tmp_path / "unpacked")
    held_out = saliency_r1.source("validation", path=file, unpacked=tmp_path / "unpacked")
    assert (len(entries), len(held_out)) == (2, 1)
    assert [boxes(e) for e in (*entries, *held_out)] == [
        [(20, 28, 60, 42)],
        [(0, 56, 200, 112)],
        [(150, 100.8, 200, 112)],
    ]
    assert cuts(held_out) == 1 and entries[0].answer == "A rope"
    fixtures.table(tmp_path / "other.parquet", [{"image": fixtures.stored(), "problem": "?", "solution": "!"}])
    with pytest.raises(UserError, match="has no column 'bbox' but image, problem, solution"):
        saliency_r1.source("train", path=tmp_path / "other.parquet", unpacked=tmp_path)


def test_zwz_as_published(tmp_path: Path) -> None:
    file = fixtures.table(tmp_path / "train.parquet", fixtures.zwz_rows(tmp_path))
    entries = zwz.source("train", path=file, unpacked=tmp_path / "unpacked")
    held_out = zwz.source("validation", path=file, unpacked=tmp_path / "unpacked")
    found = (*entries, *held_out)
    assert [boxes(e) for e in found] == [[(20, 28, 60, 42)], [(0, 56, 200, 112)], [(150, 100, 200, 112)]]
    assert all(e.media[0].path == tmp_path / "original/1.png" and e.answer == "B" for e in found)


# --------------------------------------------------------------------------------------- where answers look, by hand


def test_grounding_and_pointing_by_hand_on_three_examples(tmp_path: Path) -> None:
    """On grids of 4 x 4 and 2 x 4 visual tokens: boxes are fractions, so that they follow a picture that is resized."""
    first, second, _ = vstar.read(fixtures.vstar(tmp_path / "v"))
    weights = [0.0] * 16
    weights[4], weights[5], weights[15] = 0.3, 0.2, 0.5  # row 1: columns 0 and 1; row 3: column 3
    look = {"grid": [1, 4, 4], "weights": weights, "seconds_per_slot": 0.0}
    # 20..60 of 200, 28..42 of 112: row 1 (28..56, centre 42), column 0 (0..50, centre 25)
    assert grounding_in(first.evidence, look) == pytest.approx(0.3) and pointing_in(first.evidence, look) == 0
    assert chance_in(first.evidence, look) == 1 / 16
    # the upper left quarter: rows 0 and 1, columns 0 and 1
    small = {"grid": [1, 2, 4], "weights": [0.6, 0.1, 0.1, 0.0, 0.1, 0.1, 0.0, 0.0], "seconds_per_slot": 0.0}
    assert grounding_in(second.evidence, small) == pytest.approx(0.7) and pointing_in(second.evidence, small) == 1
    assert grounding_in(second.evidence, look) == pytest.approx(0.5) and chance_in(second.evidence, look) == 1 / 4
    # a clip of 15 s in 3 slots of 5 s, 2.5 .. 7 s: the first two
    times = nextgqa.read(fixtures.nextgqa(tmp_path / "n"))[0].evidence
    clip = {"grid": [3, 1, 1], "weights": [0.2, 0.35, 0.45], "seconds_per_slot": 5.0}
    assert grounding_in(times, clip) == pytest.approx(0.55) and pointing_in(times, clip) == 0
    assert grounding_in((), clip) is pointing_in((), clip) is chance_in((), clip) is None


RESIZED: list[tuple[tuple[int, int], tuple[int, int, int], set[tuple[int, int]]]] = [
    ((784, 25_088), (1, 4, 7), {(1, 1)}),
    ((139_000, 200_000), (1, 10, 18), {(row, column) for row in (2, 3) for column in (2, 3, 4)}),
    ((784, 7_056), (1, 2, 4), {(0, 0)}),
]
"""Bounds of the area of a picture of 200 x 112, its grid, and the tokens of 20..60, 28..42 by row and column, by hand.

Centres in pixels of the file: of columns 14, 43, 71; 5.6, 17, 28, 39, 50, 61; 25, 75; of rows 14, 42; 5.6, 17, 28, 39,
50; 28, 84.
"""


@pytest.mark.parametrize(("areas", "grid", "tokens"), RESIZED)
@pytest.mark.parametrize("name", ["vstar", "viscot", "multihop_spatial", "treebench", "refcoco", "saliency_r1", "zwz"])
def test_the_boxes_of_a_resized_picture_follow_it(
    tmp_path: Path,
    load: Callable[..., MLLM],
    name: str,
    areas: tuple[int, int],
    grid: tuple[int, int, int],
    tokens: set[tuple[int, int]],
) -> None:
    """Read as in training."""
    own = {"unpacked": tmp_path / "unpacked"}
    table = tmp_path / "train.parquet"
    opened: dict[str, Callable[[], Any]] = {
        "vstar": lambda: vstar.read(fixtures.vstar(tmp_path)),
        "viscot": lambda: viscot.read(fixtures.viscot(tmp_path)),
        "multihop_spatial": lambda: multihop.read(fixtures.multihop_spatial(tmp_path)),
        "treebench": lambda: treebench.read(fixtures.treebench(tmp_path), **own),
        "refcoco": lambda: refcoco.read(fixtures.table(table, fixtures.refcoco_rows()), **own),
        "saliency_r1": lambda: saliency_r1.source("train", path=fixtures.table(table, fixtures.saliency_rows()), **own),
        "zwz": lambda: zwz.source("train", path=fixtures.table(table, fixtures.zwz_rows(tmp_path)), **own),
    }
    example, model = opened[name]()[0], load()
    assert model.processor.patches.factor == 28
    reader = MediaReader(MediaSettings(image_min_pixels=areas[0], image_max_pixels=areas[1], factor=28))
    sample = Sample(example, tuple(map(reader.read, example.media)))
    prompts = Collate(model.processor, ("mini", "mini_zero"), thinking=True).prompts([sample])
    assert prompts.grids[0] == (grid,)
    marked = prompts.evidence[0][prompts.visual[0]].view(grid)[0].nonzero().tolist()
    assert {(row, column) for row, column in marked} == tokens


# ------------------------------------------------------------------------------------------------ from the yamls


@pytest.mark.parametrize("name", ["vstar_evidence", "nextgqa", "viscot", "multihop_spatial", "saliency_r1", "zwz"])
def test_each_dataset_opens_by_its_yaml(tmp_path: Path, name: str) -> None:
    made: dict[str, Callable[[], Path]] = {
        "vstar_evidence": lambda: fixtures.vstar(tmp_path),
        "nextgqa": lambda: fixtures.nextgqa(fixtures.nextgqa(tmp_path), "val"),
        "viscot": lambda: fixtures.viscot(tmp_path),
        "multihop_spatial": lambda: fixtures.multihop_spatial(tmp_path),
        "saliency_r1": lambda: fixtures.table(tmp_path / "train.parquet", fixtures.saliency_rows()),
        "zwz": lambda: fixtures.table(tmp_path / "train.parquet", fixtures.zwz_rows(tmp_path)),
    }
    with initialize_config_dir(str(CONF), version_base=None):
        cfg = compose("train", [f"dataset={name}", f"dataset.path={made[name]()}", "dataset.limit=1"])
    with open_dict(cfg):
        if "unpacked" in cfg.dataset.source:
            cfg.dataset.source.unpacked = str(tmp_path / "unpacked")
    source = instantiate(cfg.dataset.source)
    train, held_out = source("train"), source("validation")
    assert len(train) == 1 and train[0].evidence and held_out[0].evidence


# ---------------------------------------------------------------------------------------------------- evaluate.py


def test_groups_and_cuts_of_a_benchmark(tmp_path: Path) -> None:
    items = load(fixtures.viscot(tmp_path), read=viscot.read)
    assert [item.group for item in items] == ["flickr30k", "docvqa", "gqa"]
    records = [ScoredItem(item.example.uid, item.group, 1.0, item.facts) for item in items]
    assert summary(records) == {"accuracy": 1.0, "cut": 1.0}
    assert Evidence((0, 0, 1, 1), cut=True) == Evidence((0, 0, 1, 1))


def evaluated(
    monkeypatch: pytest.MonkeyPatch, benchmark: str, path: Path, output: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What evaluate.py leaves of a benchmark: its items and its summary."""
    module = importlib.import_module("evaluate")
    settings = (f"benchmark={benchmark}", f"benchmark.path={path}", f"output={output}", "max_new_tokens=4", "threads=1")
    areas = [f"media.image_{end}_pixels={area}" for end, area in (("min", 784), ("max", 25088))]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *settings, *areas, "template=mini"])
    run(module.main, "evaluate", check=module.check)
    items = [json.loads(line) for line in (output / "items.jsonl").read_text().splitlines()]
    return items, json.loads((output / "summary.json").read_text())


MAPS: list[dict[tuple[int, int], float]] = [
    {(1, 1): 0.3, (1, 0): 0.2, (3, 6): 0.5},
    {(0, 0): 0.6, (1, 2): 0.1, (2, 1): 0.3},
    {(0, 2): 0.4, (3, 3): 0.4, (1, 0): 0.2},
]
"""Attention on the 4 x 7 visual tokens of the three pictures of V*, by row and column.

Their evidence, by centres of tokens (rows 14, 42, 70, 98; columns 14, 43, 71, 100, ...): token 1, 1; the 2 x 4 of the
upper left quarter, the centre on its edge among them; tokens 0, 0 and 1, 0 of the one object and 0, 2 of the other.
"""
LOOKS = [(0.3, 0.0, 1 / 28), (0.7, 1.0, 8 / 28), (0.6, 0.5, 3 / 28)]
"""Grounding, pointing (one of two equal maxima is inside at last) and chance of each."""


def test_evaluate_gives_the_looks_of_three_examples_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first token has half of its attention on the picture, all others spread theirs: the first alone looks."""
    maps = iter(MAPS)

    def planted(attention: CapturedAttention) -> torch.Tensor:
        rows = torch.zeros_like(prompt_rows(attention))
        visual = attention.visual[0].nonzero().squeeze(-1)
        assert len(visual) == 28
        rows[0, 1:, visual] = 1 / 28
        for (row, column), share in next(maps).items():
            rows[0, 0, visual[row * 7 + column]] = share / 2
        return rows

    monkeypatch.setattr("ral.evaluation.looked.prompt_rows", planted)
    items, found = evaluated(monkeypatch, "vstar_evidence", fixtures.vstar(tmp_path / "data"), tmp_path / "out")
    assert [item["uid"] for item in items] == sorted(fixtures.VSTAR)
    for item, looks in zip(items, LOOKS, strict=True):
        assert [item["looks"][name] for name in LOOKED] == pytest.approx(looks, abs=1e-6)
    means = [found["looks"][name]["mean"] for name in LOOKED]
    assert means == pytest.approx([1.6 / 3, 0.5, 12 / 28 / 3], abs=1e-6)


@pytest.mark.parametrize("benchmark", ["vstar_evidence", "viscot", "treebench", "multihop_spatial", "refcoco"])
def test_evaluate_measures_where_answers_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], benchmark: str
) -> None:
    path = getattr(fixtures, benchmark.removesuffix("_evidence"))(tmp_path / "data")
    module, output = importlib.import_module("evaluate"), tmp_path / "out"
    items, found = evaluated(monkeypatch, benchmark, path, output)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[-4:]] == ["grounding", "pointing", "chance", "accuracy"]
    for name in ("grounding", "pointing", "chance"):
        values = [item["looks"][name] for item in items]
        assert all(0 <= value <= 1 for value in values)
        assert found["looks"][name]["mean"] == pytest.approx(sum(values) / 3) and found["looks"][name]["n"] == 3
        assert found["looks"][name]["ci_low"] <= found["looks"][name]["mean"] <= found["looks"][name]["ci_high"]
    monkeypatch.setattr(sys, "argv", [*sys.argv, f"output={output}_2", f"benchmark.tasks.{benchmark}.looks=99"])
    with pytest.raises(SystemExit):
        run(module.main, "evaluate", check=module.check)
    assert f"benchmark.tasks.{benchmark}.looks: 99 has no rows of attention; write some of" in capsys.readouterr().err
    assert found["settings"]["looks"] == -1 and "| pointing, % |" in (output / "results.md").read_text()
