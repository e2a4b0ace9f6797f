"""The eight image benchmarks: scores against answers judged by hand, loaders against fixtures as published."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import benchmarks_fixtures as fixtures
import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ral.data.media import load_picture
from ral.evaluation.benchmarks import blink, chartqa, choice, cv_bench, mme, mmmu_pro, muirbench, vizwiz
from ral.evaluation.benchmarks.items import Item, Judged, ScoredItem
from ral.types import Example, UserError

NAMES = ("vstar", "mmmu_pro", "mme", "muirbench", "chartqa", "vizwiz", "blink", "cv_bench")
OPTIONS = ("A. rubber", "B. cotton", "C. kevlar", "D. leather")

# response, gold, score
CHOICE = [
    ("B", "B", 1),
    ("B", "(B)", 1),
    ("(B)", "B", 1),
    ("b", "B", 1),
    ("B.", "B", 1),
    ("B. cotton", "B", 1),
    ("B) cotton", "B", 1),
    ("(B) cotton", "(B)", 1),
    ("B\n", "B", 1),
    ("C", "B", 0),
    ("(C) kevlar", "B", 0),
    ("Answer: B", "B", 1),
    ("The answer is B.", "B", 1),
    ("The correct answer is (B).", "B", 1),
    ("The answer is C, not B.", "B", 0),
    ("I think the answer is D because it shines.", "D", 1),
    ("**B**", "B", 1),
    ("B cotton", "B", 1),
    ("cotton", "B", 1),
    ("The glove is made of cotton.", "B", 1),
    ("The glove is made of leather.", "B", 0),
    ("Based on the picture, it is (C).", "C", 1),
    ("Based on the picture, it is (C).", "B", 0),
    ("Not (A): it bends. So (D).", "D", 1),
    ("Clearly D", "D", 1),
    ("D\nOf the others, (B) bends.", "D", 1),
    ("Cotton or leather? D", "D", 1),
    ("A or B", "A", 0),
    ("I cannot tell.", "A", 0),
    ("", "A", 0),
    ("", "unreadable", 0),
    ("E", "A", 0),
    ("Cotton and leather", "B", 0),
    ("<think>It may be A.</think><answer>B</answer>", "B", 1),
    ("<think>Surely B.</think><answer>C</answer>", "B", 0),
    ("<think>B? No.</think>\nThe answer is D.", "D", 1),
    ("<think>It may be A.</think><answer>B", "B", 1),
    ("<answer>(D) leather</answer>", "(D)", 1),
]
MUIRBENCH = [
    *[("B", "B", 1), ("b", "B", 1), (" B ", "B", 1), ("B.", "B", 1), ("B. cotton", "B", 1), ("B.cotton", "B", 1)],
    *[("C", "B", 0), ("C. kevlar", "B", 0), ("(B)", "B", 0), ("B) cotton", "B", 0), ("b. cotton", "B", 0)],
    *[("The answer is B", "B", 0), ("cotton", "B", 0), ("", "B", 0), ("B cotton", "B", 0), ("Answer: B", "B", 0)],
    *[("B\nC", "B", 0), ("A. B. C.", "A", 1), ("E", "E", 1), ("\nD. it", "D", 1)],
    *[("<think>C</think><answer>B</answer>", "B", 1), ("<think>B</think><answer>C</answer>", "B", 0)],
]
MME = [
    *[("Yes", "Yes", 1), ("yes", "Yes", 1), ("Yes.", "Yes", 1), ("No", "No", 1), ("no.", "No", 1), ("NO", "No", 1)],
    *[("Y", "Yes", 1), ("n", "No", 1), ("Yes, it is.", "Yes", 1), ("No, it is not.", "No", 1), ("No", "Yes", 0)],
    *[("Yes", "No", 0), ("", "No", 0), ("x", "Yes", 0), ("I do not think so", "No", 0), ("It is, yes", "Yes", 0)],
    *[
        ("Not at all", "No", 1),
        (" yes\n", "Yes", 1),
        ("Yes and no", "Yes", 1),
        ("Nowhere", "No", 1),
        ("Unknown", "No", 0),
        ("True", "Yes", 0),
    ],
    *[("<think>no</think><answer>Yes</answer>", "Yes", 1), ("<think>no</think>yes", "Yes", 1)],
]
CHARTQA = [
    *[("14", "14", 1), ("14.0", "14", 1), ("14.7", "14", 1), ("14.71", "14", 0), ("13.3", "14", 1), ("13.29", "14", 0)],
    *[("-14", "14", 0), ("-14.5", "-14", 1), ("12%", "0.12", 1), ("12%", "12", 0), ("12", "12%", 0), ("5%", "5.2%", 1)],
    *[("Yes", "yes", 1), ("Yes.", "Yes", 0), ("United States", "united states", 1), ("States", "United States", 0)],
    *[("0", "0", 1), ("0.0", "0", 0), ("1e3", "1000", 1), ("1,000", "1000", 0), ("about 14", "14", 0), ("", "14", 0)],
    *[("2010", "2009", 1), ("[1, 2]", "[1, 2]", 1), ("<think>3</think><answer> 14 </answer>", "14", 1)],
]
TEN = ["Soda."] * 2 + ["a can"] * 3 + ["unanswerable"] * 4 + ["It's 2 liters"]
# 2 of ten: with two left, 8 folds of 2/3 and 2 of 1/3; 1 of ten: 9 folds of 1/3; 3: 7 folds of 1 and 3 of 2/3
TWO, ONE, THREE = (8 * 2 / 3 + 2 / 3) / 10, 0.3, 0.9
VIZWIZ = [
    *[("soda", "", TWO), ("Soda", "", TWO), ("The soda.", "", TWO), ("soda!", "", TWO), ("sodas", "", 0)],
    *[("can", "", THREE), ("A can", "", THREE), ("a can.", "", THREE), ("the can?", "", THREE), ("cans", "", 0)],
    *[("unanswerable", "", 1), ("Unanswerable.", "", 1), ("UNANSWERABLE\n", "", 1), ("unsuitable", "", 0), ("", "", 0)],
    *[
        ("it's two liters", "", ONE),
        ("Its 2 liters", "", 0),
        ("it's 2 liters!", "", ONE),
        ("(can)", "", THREE),
        ("ca n", "", 0),
    ],
    *[("( can )", "", THREE), ("<think>soda</think><answer>a can</answer>", "", THREE), ("a  can", "", THREE)],
]
NORMAL = [
    *[("The Two dogs!", "2 dogs"), ("t-shirt", "t shirt"), ("t-shirt - red", "tshirt red"), ("3.5 oz.", "3.5 oz")],
    *[("dont", "don't"), ("1,000", "1000"), ("None", "0"), ("what's", "what 's"), ("couldntve", "couldntve")],
    *[("couldn'tve", "couldn't've"), ("hes an ace", "he's ace"), ("somebody'd", "somebodyd"), ("x/b\tc", "x b c")],
]


def asked(gold: str, options: Sequence[str] = (), answers: Sequence[str] = ()) -> Item:
    return Item(Example("1", "?", gold, "free-form", options=tuple(options)), answers=tuple(answers))


def cases() -> list[Any]:
    """(judge, item, response, score) of all pairs."""
    tables: list[tuple[str, Callable[[Item, str], Judged], list[Any], Sequence[str], Sequence[str]]] = [
        ("choice", choice.judge, CHOICE, OPTIONS, ()),
        ("muirbench", muirbench.judge, MUIRBENCH, OPTIONS, ()),
        ("mme", mme.judge, MME, (), ()),
        ("chartqa", chartqa.judge, CHARTQA, (), ()),
        ("vizwiz", vizwiz.judge, VIZWIZ, (), TEN),
    ]
    return [
        pytest.param(judge, asked(gold, options, answers), response, score, id=f"{name}-{n}")
        for name, judge, pairs, options, answers in tables
        for n, (response, gold, score) in enumerate(pairs)
    ]


@pytest.mark.parametrize(("judge", "item", "response", "score"), cases())
def test_judged_by_hand(judge: Callable[[Item, str], Judged], item: Item, response: str, score: float) -> None:
    judged = judge(item, response)
    assert judged.score == pytest.approx(score), judged


@pytest.mark.parametrize(("text", "form"), NORMAL)
def test_normal_form_of_vqa(text: str, form: str) -> None:
    assert vizwiz.normal(text) == form


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all eight fixtures."""
    root = tmp_path_factory.mktemp("published")
    for name in NAMES:
        getattr(fixtures, name)(root / name, *([blink.SUBTASKS] if name == "blink" else []))
    return root


def load(name: str, path: Path, cache: Path, **settings: Any) -> Sequence[Item]:
    return importlib.import_module(f"ral.evaluation.benchmarks.{name}").load(path, cache=cache, **settings)


def reds(item: Item) -> list[int]:
    """Which pictures an item has, in order."""
    return [load_picture(medium.path).getpixel((3, 3))[0] for medium in item.example.media]


LAST = "Answer with the option's letter from the given choices directly."
WORD = "Answer the question using a single word or phrase."
NOTE = "Note: You only need to respond with A, B without providing any additional information.\n"
# name, number of items, index, uid, question, gold, group, pictures
LOADED = [
    ("vstar", 2, 0, "direct_attributes/0/0", None, "A", "direct_attributes", [1]),
    (
        *("vstar", 2, 1, "relative_position/0/1"),
        f"Is the dog left or right of the cart?\nA. left (of it)\nB. right\n{LAST}",
        *("B", "relative_position", [2]),
    ),
    (
        *("mmmu_pro", 3, 0, "standard/test_History_1"),
        "Compare <image 4>, <image 2> and <image 1>. When?\nA. 1801\nB. the king's year\nC. <image 3>\nD. 4\nE. 5\n"
        "F. 6\nG. 7\nH. 8\nI. 9\nJ. 10\n\nAnswer with the option letter from the given choices directly.",
        *("J", "History", [1, 2, 3, 4]),
    ),
    ("mmmu_pro", 3, 1, "standard/test_Math_2", None, "A", "Math", [1]),
    (
        *("mmmu_pro", 3, 2, "vision/test_Math_2"),
        "Answer with the option letter from the given choices directly.",
        *("B", "Math", [9]),
    ),
    ("mme", 8, 3, "existence/0001.png/3", f"Is this No?\n{WORD}", "No", "existence", [1]),
    (
        "muirbench",
        1,
        0,
        "7",
        f"Which is like ?\nA. \nB. \nC. None of them\n{LAST}",
        "B",
        "Image-Text Matching",
        [1, 2, 3],
    ),
    (
        *("chartqa", 2, 0, "human/0", "What is the peak?\nAnswer the question with a single word."),
        *("14", "human", [1]),
    ),
    ("chartqa", 2, 1, "augmented/1", None, "Yes", "augmented", [2]),
    (
        *("vizwiz", 1, 0, "VizWiz_val_00000000"),
        f"What is this?\nWhen the provided information is insufficient, respond with 'Unanswerable'.\n{WORD}",
        *("unanswerable", "other", [1]),
    ),
    ("blink", 14, 0, "val_Art_Style_1", NOTE + fixtures.PROMPT, "(A)", "Art_Style", [0]),
    ("blink", 14, 13, "val_Visual_Similarity_1", None, "(A)", "Visual_Similarity", [13, 100]),
    ("cv_bench", 3, 0, "2D/0", f"{NOTE}\n{fixtures.PROMPT}", "(A)", "Count", [0]),
    ("cv_bench", 3, 2, "3D/2", None, "(A)", "Depth", [2]),
]


@pytest.mark.parametrize(("name", "count", "index", "uid", "question", "gold", "group", "pictures"), LOADED)
def test_the_published_layout(
    name: str,
    count: int,
    index: int,
    uid: str,
    question: str | None,
    gold: str,
    group: str,
    pictures: list[int],
    published: Path,
    tmp_path: Path,
) -> None:
    found = load(name, published / name, tmp_path)
    item = found[index]
    assert len(found) == count == len({i.example.uid for i in found})
    assert (item.example.uid, item.example.answer, item.group, reds(item)) == (uid, gold, group, pictures)
    assert question in (None, item.example.question)


def test_pictures_are_written_when_asked_for_and_once(published: Path, tmp_path: Path) -> None:
    found = load("mme", published / "mme", tmp_path)
    assert not list(tmp_path.iterdir())
    assert [i.example.uid for i in found[:2]] == [found[0].example.uid, found[1].example.uid]
    assert len(list(tmp_path.rglob("*.png"))) == 1  # two questions, one picture
    assert [i.facts["picture"] for i in found][-1] == "code_reasoning/0001.png"


def test_one_subset_of_mmmu_pro_and_the_four_options(published: Path, tmp_path: Path) -> None:
    assert len(load("mmmu_pro", published / "mmmu_pro", tmp_path, subsets=["vision"])) == 1
    four = load("mmmu_pro", published / "mmmu_pro", tmp_path, subsets=["standard (4 options)"])
    assert [i.example.uid for i in four] == ["standard/four"]


@pytest.mark.parametrize("layout", ["saved", "saved split", "file", "converted", "jsonl"])
def test_other_layouts_of_the_hub(layout: str, published: Path, tmp_path: Path) -> None:
    datasets = fixtures.datasets
    source, path = published / "vstar/data/test-00000-of-00001.parquet", tmp_path / "there"
    table = datasets.Dataset.from_parquet(str(source))
    if layout == "saved":
        datasets.DatasetDict({"test": table, "train": table.select([])}).save_to_disk(path)
    elif layout == "saved split":
        table.save_to_disk(path)
    elif layout == "converted":
        (path / "default/test").mkdir(parents=True)
        (path / "default/test/0000.parquet").write_bytes(source.read_bytes())
        (path / "default/train").mkdir()
        (path / "default/train/0000.parquet").write_bytes(b"not read")
    elif layout == "jsonl":
        path.mkdir()
        table.remove_columns("image").map(lambda row: row | {"image": "x.png"}).to_json(path / "test.jsonl")
    found = load("vstar", source if layout == "file" else path, tmp_path / "cache")
    assert len(found) == 2
    if layout == "jsonl":
        with pytest.raises(UserError, match=r"x\.png: no such picture"):
            found[0]
    else:
        assert reds(found[1]) == [2]


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_folder_gives_one_line(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    layout = importlib.import_module(f"ral.evaluation.benchmarks.{name}")
    with pytest.raises(UserError) as missing:
        load(name, tmp_path / "no", tmp_path)
    with pytest.raises(UserError) as empty:
        load(name, tmp_path, tmp_path)
    for error in (missing, empty):
        assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)
        assert getattr(layout, "EXPECTED", "MMMU/MMMU_Pro: ") in str(error.value)
    assert "found notes.txt" in str(empty.value)


def test_what_else_can_be_wrong_with_a_folder(published: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no column 'text' but .*'question_id'.*expected lmms-lab-encoder/vstar"):
        load("vstar", published / "mme", tmp_path)
    (tmp_path / "latest-00000-of-00001.parquet").write_bytes(b"another split's")
    with pytest.raises(UserError, match="no split 'test'"):
        load("mme", tmp_path, tmp_path)
    (tmp_path / "test.parquet").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"cannot read the split 'test' \([^\n]+\); expected lmms-lab-encoder/MME"):
        load("mme", tmp_path, tmp_path)
    with pytest.raises(UserError, match="no split 'val' of 'Counting'"):
        load("blink", published / "blink/Jigsaw", tmp_path, subtasks=["Counting"])
    with pytest.raises(UserError, match=r"has no answers; write .*split=val"):
        load("vizwiz", published / "vizwiz", tmp_path, split="test")[0]
    with pytest.raises(UserError, match="options 'A, B' are no list"):
        mmmu_pro._options("there", {"id": "x", "options": "A, B"})


def records(*rows: tuple[str, float, dict[str, str]]) -> list[ScoredItem]:
    return [ScoredItem(str(n), group, score, facts) for n, (group, score, facts) in enumerate(rows)]


def test_points_of_mme() -> None:
    """existence: pictures 1,1 and 1,0: acc 75, acc+ 50. code: 1,1: 200. Limit: one question alone adds no acc+."""
    rows = [("existence", s, {"picture": p}) for s, p in ((1.0, "a"), (1.0, "a"), (1.0, "b"), (0.0, "b"))]
    rows += [("code_reasoning", 1.0, {"picture": "c"})] * 2
    found = mme.summary(records(*rows))
    assert found == {
        **{"score": 325.0, "perception": 125.0, "cognition": 200.0, "accuracy": pytest.approx(5 / 6)},
        **{"existence": 125.0, "code_reasoning": 200.0},
    }
    assert next(iter(found)) == "score"
    assert mme.points(records(("count", 1.0, {"picture": "a"}))) == 100.0


def test_averages_of_averages() -> None:
    two = [("Count", 1.0, {"type": "2D", "source": "ADE20K"})] + [("Count", 0.0, {"type": "2D", "source": "COCO"})] * 3
    three = [("Depth", s, {"type": "3D", "source": "Omni3D"}) for s in (1.0, 0.0, 0.0, 0.0)]
    assert cv_bench.summary(records(*two, *three)) == {"accuracy": 0.375, "2D": 0.5, "3D": 0.25, "overall": 0.25}
    tasks = records(("Jigsaw", 1.0, {}), ("Counting", 0.0, {}), ("Counting", 0.0, {}), ("Counting", 1.0, {}))
    assert blink.summary(tasks) == {"accuracy": pytest.approx(2 / 3), "overall": 0.5}
    halves = [("Math", 1.0, {"subset": "standard"})] * 2 + [("Math", s, {"subset": "vision"}) for s in (0.0, 0.0, 1.0)]
    assert mmmu_pro.summary(records(*halves)) == {
        **{"accuracy": pytest.approx(2 / 3), "standard": 1.0, "vision": pytest.approx(1 / 3)}
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_configuration_names_what_exists(name: str, published: Path, tmp_path: Path) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tasks = compose("evaluate", [f"benchmark={name}"]).benchmark.tasks
    conf: Any = OmegaConf.to_container(tasks[name], resolve=False)
    made = {}
    for part in ("source", "judge", "summary"):
        module, function = conf[part].pop("_target_").rsplit(".", 1)
        assert conf[part].pop("_partial_") is True
        made[part] = getattr(importlib.import_module(module), function), conf[part]
    source, settings = made["source"]
    item = source(published / name, **settings | {"cache": tmp_path})[0]
    judge, settings = made["judge"]
    score = judge(item, f"<think>hm</think><answer>{item.example.answer.strip('()')}</answer>", **settings).score
    assert score == 1.0
    summary, settings = made["summary"]
    found = summary([ScoredItem(item.example.uid, item.group, score, item.facts)], **settings)
    assert found["accuracy"] == 1.0 and not settings
    assert {"Qwen2.5-VL-7B", "GRPO", "RAL"} < set(conf["paper"]) and min(conf["paper"].values()) > 30
