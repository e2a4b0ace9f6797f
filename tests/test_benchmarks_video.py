"""The seven video benchmarks: scores against answers judged by hand, loaders against fixtures as published."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks_fixtures import NUMBER, TEXT, TEXTS, write
from PIL import Image
from test_benchmarks_image import CHOICE, OPTIONS

from ral.evaluation.benchmarks import choice, longvideobench, lvbench, mvbench, tempcompass, videomme, videommmu
from ral.evaluation.benchmarks.items import Item, Judged, ScoredItem
from ral.evaluation.benchmarks.open_answer import right
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example, UserError
from ral.worlds.draw import write_frames

NAMES = ("longvideobench", "nextqa", "videomme", "videommmu", "lvbench", "mvbench", "tempcompass")
CAPTIONS = "Which one?\nSentence A: The ball rolls left.\nSentence B: The ball rolls right."
NUMBERED = "Which one?\nOption 1: A dog runs.\nOption 2: A dog sits."

# response, gold, score
YES_NO = [
    *[("yes", "yes", 1), ("Yes.", "yes", 1), ("YES, it does", "yes", 1), ("no", "no", 1), ("No, never", "no", 1)],
    *[("yes", "no", 0), ("No", "yes", 0), ("It does", "yes", 0), ("", "no", 0), ("not at all", "no", 1)],
    *[("Nothing moves", "no", 1), ("I say yes", "yes", 0), ("<think>no</think><answer>Yes</answer>", "yes", 1)],
    *[("<think>yes</think>no", "no", 1), ("<answer>no</answer>", "yes", 0), ("y", "yes", 0), ("true", "yes", 0)],
    *[(" yes", "yes", 1), ("yes\nbecause", "yes", 1), ("Yes or no", "yes", 1), ("n", "no", 0)],
]
MATCHING = [
    *[("A", "A", 1), ("B", "A", 0), ("A.", "A", 1), ("Sentence A", "A", 1), ("Sentence B", "A", 0), ("C", "A", 0)],
    *[("Sentence A: The ball rolls left.", "A", 1), ("Sentence B: The ball rolls right.", "A", 0), ("", "A", 0)],
    *[("The ball rolls left.", "A", 1), ("The ball rolls left", "A", 1), ("the ball rolls right", "B", 1)],
    *[("The ball", "A", 0), ("A) The ball rolls left.", "A", 1), ("(B) The ball rolls right.", "B", 1)],
    *[("A or B", "A", 0), ("It is A", "A", 0), ("a", "A", 0), ("sentence a", "A", 1), ("Caption A", "A", 1)],
    *[("<think>B</think><answer>A</answer>", "A", 1), ("<think>A</think><answer>B</answer>", "A", 0)],
]
SENTENCES = {"A": "Sentence A: The ball rolls left.", "B": "Sentence B: The ball rolls right."}
OPEN = [
    *[("12", "12", 1), ("12.0", "12", 1), ("The answer is 12", "12", 1), ("It is 12.", "12", 1), ("13", "12", 0)],
    *[("x = 12", "12", 1), ("1,200", "1200", 1), ("The result is 1,200 watts", "1200", 1), ("12.004", "12", 1)],
    *[("12.01", "12", 0), ("-12", "12", 0), ("about twelve", "12", 0), ("Total 3e2", "300", 1), ("", "12", 0)],
    *[("a binary tree", "binary tree", 1), ("Binary Tree", "binary tree", 1), ("a tree", "binary tree", 0)],
    *[("the point is C", "C", 1), ("12 and 13", "13", 1), ("So the value is 5. Thus it equals 7", "7", 1)],
    *[("The tree has 4 nodes. We have 9 edges", "9", 1), ("Paris", "paris", 1), ("paris", "London", 0)],
    *[("<think>the answer is 5</think>The answer is 6", "5", 0), ("<think>5</think><answer>6</answer>", "6", 1)],
]


def asked(question: str, gold: str, options: Sequence[str] = (), **facts: str) -> Item:
    return Item(Example("1", question, gold, "free-form", options=tuple(options)), answers=(gold,), facts=facts)


def cases() -> list[Any]:
    """(judge, item, response, score) of all pairs."""
    found: list[tuple[Callable[[Item, str], Judged], Item, str, float]] = []
    for response, gold, score in CHOICE:
        of_task = asked("?", gold, OPTIONS, task="multi-choice")
        found += [(j, of_task, response, score) for j in (choice.judge, tempcompass.judge, videommmu.judge)]
    found += [(tempcompass.judge, asked("?", gold, task="yes_no"), r, score) for r, gold, score in YES_NO]
    matching = [(asked(CAPTIONS, SENTENCES[gold], task="caption_matching"), r, score) for r, gold, score in MATCHING]
    found += [(tempcompass.judge, *case) for case in matching]
    found += [(videommmu.judge, asked("?", gold), r, score) for r, gold, score in OPEN]
    return [pytest.param(*case, id=str(n)) for n, case in enumerate(found)]


@pytest.mark.parametrize(("judge", "item", "response", "score"), cases())
def test_judged_by_hand(judge: Callable[[Item, str], Judged], item: Item, response: str, score: float) -> None:
    judged = judge(item, response)
    assert judged.score == score, judged


def test_captions_may_be_options_with_numbers() -> None:
    item = asked(NUMBERED, "Option 2: A dog sits.", task="caption_matching")
    given = {"2": 1, "Option 2": 1, "A dog sits.": 1, "Option 1": 0, "1": 0, "Option 2: A dog sits.": 1, "A dog": 0}
    assert {text: tempcompass.judge(item, text).score for text in given} == given


def clip(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_frames([Image.new("RGB", (56, 56), (40 * n, 9, 9)) for n in range(3)], path, 1)


def make_longvideobench(root: Path) -> None:
    texts = ("video_id", "question", "id", "video_path", "subtitle_path", "question_category", "topic_category")
    features = dict.fromkeys((*texts, *(f"option{n}" for n in range(5))), TEXT)
    features |= dict.fromkeys(("correct_choice", "duration_group"), NUMBER)
    one = {"question": "When?", "id": "v1_0", "video_path": "v1.mp4", "question_category": "T3E"}
    one |= {"option0": "now", "option1": "then", "option2": "N/A", "option3": "N/A", "option4": "N/A"}
    write(root / "validation-00000-of-00001.parquet", features, [one | {"correct_choice": 1, "duration_group": 600}])
    clip(root / "videos" / "v1.mp4")


def make_nextqa(root: Path) -> None:
    features = dict.fromkeys(("question", "type", *(f"a{n}" for n in range(5))), TEXT)
    features |= dict.fromkeys(("video", "frame_count", "width", "height", "answer", "qid"), NUMBER)
    one = {"video": 12, "question": " why run ", "answer": 4, "qid": 3, "type": "CW"}
    one |= {f"a{n}": f"o{n} " for n in range(5)}
    write(root / "MC" / "test-00000-of-00001.parquet", features, [one])
    clip(root / "NExTVideo" / "1164" / "12.mp4")


def make_videomme(root: Path) -> None:
    texts = ("video_id", "duration", "domain", "sub_category", "url", "videoID", "question_id", "task_type", "question")
    features: dict[str, Any] = dict.fromkeys((*texts, "answer"), TEXT) | {"options": TEXTS}
    one = {"duration": "short", "domain": "Knowledge", "videoID": "fFjv93", "question_id": "001-1", "question": "What?"}
    one |= {"task_type": "Counting Problem", "answer": "C", "options": ["A. x.", "B. y.", "C. z.", "D. w."]}
    write(root / "videomme" / "test-00000-of-00001.parquet", features, [one])
    clip(root / "data" / "fFjv93.mp4")


def make_videommmu(root: Path) -> None:
    features: dict[str, Any] = dict.fromkeys(("id", "question", "answer", "question_type", "link_selected"), TEXT)
    features |= {"options": TEXTS}
    one = {"id": "new_Math_1", "question": "Which?", "answer": "B", "question_type": "multiple-choice"}
    opened = one | {"id": "dev_Art_Theory_2", "question_type": "open", "answer": "12", "options": []}
    for track in videommmu.TRACKS:
        rows = [one | {"options": ["A. x", "B. y"]}] if track == "Perception" else [one | {"options": ["x", "y"]}]
        write(root / track / "test-00000-of-00001.parquet", features, rows + [opened] * (track == "Adaptation"))
    clip(root / "Science" / "new_Math_1.mp4")
    clip(root / "Art" / "dev_Art_Theory_2.mp4")


def make_lvbench(root: Path) -> None:
    texts = ("uid", "video_path", "question", "answer", "time_reference", "type")
    features = dict.fromkeys(texts, TEXT) | {"question_type": TEXTS}
    one = {"uid": "7", "video_path": "Cm73ma6Ibcs.mp4", "answer": "B", "question": "Who?\n(A) he\n(B) she"}
    one |= {"question_type": ["entity recognition", "reasoning"]}
    write(root / "data" / "train-00000-of-00001.parquet", features, [one])
    clip(root / "all_videos" / "Cm73ma6Ibcs.mp4")


def make_mvbench(root: Path) -> None:
    for task, folder in mvbench.FOLDERS.items():
        row = {"video": "1.mp4", "question": f"{task}?", "candidates": ["up", "down"], "answer": "down"}
        (root / "json").mkdir(parents=True, exist_ok=True)
        (root / "json" / f"{task}.json").write_text(json.dumps([row]))
        clip(root / "video" / folder / "1.mp4")


def make_tempcompass(root: Path) -> None:
    features = dict.fromkeys(("video_id", "question", "answer", "dim"), TEXT)
    one = {"video_id": "1021488277", "dim": "direction", "question": "Where?\nA. left\nB. right", "answer": "B. right"}
    two = one | {"question": "Does it roll?", "answer": "yes", "dim": "action"}
    three = one | {"question": CAPTIONS, "answer": "Sentence B: The ball rolls right."}
    for task, row in (("multi-choice", one), ("yes_no", two), ("caption_matching", three)):
        write(root / task / "test-00000-of-00001.parquet", features, [row])
    clip(root / "videos" / "1021488277.mp4")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all seven fixtures."""
    root = tmp_path_factory.mktemp("published")
    for name in NAMES:
        globals()[f"make_{name}"](root / name)
    return root


def load(name: str, path: Path, **settings: Any) -> Sequence[Item]:
    return importlib.import_module(f"ral.evaluation.benchmarks.{name}").load(path, **settings)


LETTER = "Answer with the option's letter from the given choices directly."
TO_APPLY = "You should watch and learn the video content. Then apply what you learned to answer the following "
AT_END = " question. The image for this question is at the end of the video.\n"
# name, number of items, index, uid, question, gold, group, clip
LOADED = [
    ("longvideobench", 1, 0, "v1_0", f"When?\nA. now\nB. then\n{LETTER}\n", "B", "600", "videos/v1.mp4"),
    ("nextqa", 1, 0, "12/3", "why run\nA. o0\nB. o1\nC. o2\nD. o3\nE. o4", "E", "causal", "NExTVideo/1164/12.mp4"),
    (
        *("videomme", 1, 0, "001-1"),
        f"{videomme.OPENING}\nWhat?\nA. x.\nB. y.\nC. z.\nD. w.\n\n{LETTER}",
        *("C", "short", "data/fFjv93.mp4"),
    ),
    (
        *("videommmu", 4, 0, "Perception/new_Math_1"),
        "Which?\nA. x\nB. y\nPlease ignore the Quiz question in last frame of the video.",
        *("B", "Perception", "Science/new_Math_1.mp4"),
    ),
    (
        *("videommmu", 4, 2, "Adaptation/new_Math_1", f"{TO_APPLY}multi-choice{AT_END}Which?\nA. x\nB. y"),
        *("B", "Adaptation", "Science/new_Math_1.mp4"),
    ),
    (
        *("videommmu", 4, 3, "Adaptation/dev_Art_Theory_2", f"{TO_APPLY}open-ended{AT_END}Which?"),
        *("12", "Adaptation", "Art/dev_Art_Theory_2.mp4"),
    ),
    (
        *("lvbench", 1, 0, "7", "Who?\n(A) he\n(B) she\nAnswer the question with the option letter"),
        *("B", "entity recognition", "all_videos/Cm73ma6Ibcs.mp4"),
    ),
    (
        *("mvbench", 20, 1, "action_prediction/0"),
        "Question:action_prediction?\nOption:\n(A) up\n(B) down\nOnly give the best option.\n",
        *("B", "action_prediction", "video/star/Charades_segment/1.mp4"),
    ),
    (
        *("tempcompass", 3, 0, "multi-choice/0", "Where?\nA. left\nB. right\nPlease directly give the best option:"),
        *("B. right", "direction", "videos/1021488277.mp4"),
    ),
    (
        *("tempcompass", 3, 1, "yes_no/0", "Does it roll?\nPlease answer yes or no:"),
        *("yes", "action", "videos/1021488277.mp4"),
    ),
]


@pytest.mark.parametrize(("name", "count", "index", "uid", "question", "gold", "group", "place"), LOADED)
def test_the_published_layout(
    name: str, count: int, index: int, uid: str, question: str, gold: str, group: str, place: str, published: Path
) -> None:
    found = load(name, published / name)
    item = found[index]
    assert len(found) == count == len({i.example.uid for i in found})
    assert (item.example.uid, item.example.answer, item.group) == (uid, gold, group)
    assert item.example.question == question
    (medium,) = item.example.media
    assert (medium.kind, medium.path) == ("video", published / name / place) and medium.path.is_file()


@pytest.mark.parametrize("name", NAMES)
def test_the_gold_answer_is_right_and_another_is_not(name: str, published: Path) -> None:
    judge = getattr(importlib.import_module(f"ral.evaluation.benchmarks.{name}"), "judge", choice.judge)
    for item in load(name, published / name):
        assert judge(item, item.example.answer).score == 1
        assert judge(item, f"<think>{item.example.answer}</think><answer>Q</answer>").score == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_folder_gives_one_line(name: str, published: Path, tmp_path: Path) -> None:
    layout = importlib.import_module(f"ral.evaluation.benchmarks.{name}")
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(UserError) as missing:
        load(name, tmp_path / "no")
    with pytest.raises(UserError) as empty:
        load(name, tmp_path)
    for error in (missing, empty):
        assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)
        assert layout.EXPECTED in str(error.value)


def test_clips_that_are_not_there(tmp_path: Path) -> None:
    """None at all is an error of the folder; one is for whoever reads it, so the other items are asked."""
    with pytest.raises(UserError, match=r"no clip in it or below; expected this; unpack the archives there"):
        Clips(tmp_path, "this")
    clip(tmp_path / "a" / "one.MP4")
    clips = Clips(tmp_path, "this")
    assert clips.named("one").path == clips.named("some/one.mp4").path == tmp_path / "a" / "one.MP4"
    assert clips.named("two.mp4").path == tmp_path / "two.mp4" and not clips.named("two.mp4").path.exists()
    assert clips.at("one.MP4", ["b", "a"]).path == tmp_path / "a" / "one.MP4"
    assert clips.at("two.mp4", ["b", "a"]).path == tmp_path / "b" / "two.mp4"


def test_the_authors_json_of_longvideobench(tmp_path: Path) -> None:
    row = {"id": "v_0", "video_path": "v.mp4", "question": "When?", "candidates": ["a", "b"], "correct_choice": 0}
    (tmp_path / "lvb_val.json").write_text(json.dumps([row | {"duration_group": 15, "question_category": "E2O"}]))
    clip(tmp_path / "videos" / "v.mp4")
    (item,) = longvideobench.load(tmp_path)
    assert item.example.options == ("A. a", "B. b") and item.example.answer == "A" and item.group == "15"


def test_what_else_can_be_wrong(published: Path) -> None:
    with pytest.raises(UserError, match="there is no 'counting'; write some of action_sequence"):
        mvbench.load(published / "mvbench", tasks=["counting"])
    with pytest.raises(UserError, match="the answer 'left' is none of"):
        mvbench.letter_of({"task": "t", "answer": "left", "candidates": ["up"]})
    with pytest.raises(UserError, match="has no column 'videoID'"):
        videomme.load(published / "tempcompass" / "yes_no")


def record(group: str, score: float, **facts: Any) -> ScoredItem:
    return ScoredItem("1", group, score, facts)


def test_summaries() -> None:
    by_task = [record("moving_count", 1.0), record("state_change", 0.0), record("state_change", 0.0)]
    assert mvbench.summary(by_task) == {"accuracy": 0.5, "moving_count": 1.0, "state_change": 0.0}
    tracks = [record("Perception", 1.0), record("Adaptation", 0.0), record("Adaptation", 1.0)]
    assert videommmu.summary(tracks)["accuracy"] == 0.75
    both = [record("a", 1.0, types=["a", "b"]), record("b", 0.0, types=["b"])]
    assert lvbench.summary(both) == {"accuracy": 0.5, "a": 1.0, "b": 0.5}
    scores = (("speed", 1.0, "yes_no"), ("order", 0.0, "yes_no"), ("speed", 1.0, "multi-choice"))
    found = tempcompass.summary([record(aspect, score, task=task) for aspect, score, task in scores])
    assert found == {
        **{"accuracy": pytest.approx(2 / 3), "yes_no": 0.5, "multi-choice": 1.0},
        **{"speed": 1.0, "order": 0.0},
    }
    found = longvideobench.summary([record("15", 1.0), record("60", 0.0)])
    assert found == {"accuracy": 0.5, "15 s": 1.0, "60 s": 0.0}


def test_any_of_several_gold_answers() -> None:
    assert right("It is a graph", ["tree", "graph"]) and not right("It is a list", ["tree", "graph"])
