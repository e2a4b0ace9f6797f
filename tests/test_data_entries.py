"""What people have in their entries: turns, marks, media in every dress, options and gold answers, uids."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ral.data.bad import BadSample
from ral.data.fields import Entry
from ral.data.hf import hf
from ral.data.own_fields import fields_of
from ral.data.parse import parse_own, parse_video_r1
from ral.data.sources import jsonl, read_file, video_r1
from ral.rewards.accuracy import accuracy, check_gold
from ral.types import Example, Media, Step, Turn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures a.png, b.png, frames/1.jpg .. 11.jpg, and files called like clips."""
    path = tmp_path_factory.mktemp("entries")
    for name in ("a.png", "b.png", "ü x%20.png", "sub/c.png", *(f"frames/f{n}.jpg" for n in range(1, 12))):
        (path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (56, 56), "red").save(path / name)
    for name in ("c.mp4", "d.mp4", "e.gif", "empty/note.txt"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(b"not opened here")
    return path


def read(folder: Path, data: dict[str, Any], parse: Any = parse_own) -> Example:
    example = parse(Entry(folder / "data.jsonl", 3, data, folder))
    assert example.uid and example.source.endswith("data.jsonl: entry 3")
    return example


def refuse(folder: Path, data: dict[str, Any], words: str, parse: Any = parse_own) -> None:
    with pytest.raises(BadSample, match=words) as caught:
        read(folder, data, parse)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700 and "; write " in message and "write write" not in message


Q = {"question": "Which?", "answer": "B", "options": ["A. red", "B. blue"], "image": "a.png"}
PNG = base64.b64encode(b"\x89PNG").decode()


def say(*turns: tuple[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], **fields}


# --- turns


def test_earlier_turns_and_the_system_turn_are_kept(folder: Path) -> None:
    picture = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "Call the left one X."}]
    turns = [("system", "Answer in French."), ("user", picture), ("assistant", "ok"), ("user", "Which color is X?")]
    example = read(folder, say(*turns, ("assistant", "rouge")))
    assert example.turns == (
        Turn("system", "Answer in French."),
        Turn("user", "<image>Call the left one X."),
        Turn("assistant", "ok"),
    )
    assert (example.question, example.answer) == ("Which color is X?", "rouge")
    assert [m.path.name for m in example.media] == ["a.png"]


LLAVA = [{"from": "human", "value": "<image>\nColor?"}, {"from": "gpt", "value": "red"}]


@pytest.mark.parametrize(
    "data",
    [
        {"conversations": LLAVA, "image": "a.png"},
        {"conversations": [{"role": "user", "content": "<image>Color?"}], "images": ["a.png"], "answer": "red"},
        {"conversations": [{"from": "system", "value": " "}, *LLAVA], "image": "a.png"},
        say(("user", [{"type": "image"}, {"type": "text", "text": "Color?"}]), ("assistant", "red"), images=["a.png"]),
        say(("user", [{"image": "a.png"}, {"text": "Color?"}]), ("assistant", "red")),
        say(("user", [{"type": "image_url", "image_url": "a.png"}, "Color?"]), ("assistant", "red")),
        say(
            ("user", [{"type": "image_url", "image_url": {"url": "a.png"}}, "Color?"]), ("assistant", [{"text": "red"}])
        ),
        say(("user", [{"type": "image", "path": "a.png"}, {"type": "text", "text": "Color?"}]), answer="red"),
        say(("Human", "Color?"), ("GPT", "red"), image="a.png"),
        {"prompt": [{"role": "user", "content": "Color?"}], "solution": "red", "image": "a.png"},
        {"prompt": "Color?", "completion": "red", "image": "a.png"},
        {
            "prompt": [{"role": "user", "content": "Color?"}],
            "completion": [{"role": "assistant", "content": "red"}],
            "images": ["a.png"],
        },
        {
            "data_source": "x",
            "prompt": [{"role": "user", "content": "<image>Color?"}],
            "images": [{"bytes": None, "path": "a.png"}],
            "videos": None,
            "reward_model": {"style": "rule", "ground_truth": "red"},
            "extra_info": {"split": "train", "index": 7, "question": "Color?", "answer": "It is red."},
        },
        say(("user", [{"type": "image", "image": "a.png"}, "Color?"]), ("assistant", "red"), images=["a.png"]),
        say(("user", "Color?"), question="Color?", answer="red", image="a.png"),
    ],
)
def test_shapes_of_conversations_mean_the_same(folder: Path, data: dict[str, Any]) -> None:
    example = read(folder, data)
    assert (example.question, example.answer, example.turns) == ("Color?", "red", ())
    assert example.media == (Media("image", folder / "a.png"),)


def test_a_field_beside_the_conversation_is_its_system_turn(folder: Path) -> None:
    example = read(folder, {"conversations": LLAVA, "image": "a.png", "system": "Be brief."})
    assert example.turns == (Turn("system", "Be brief."),) and example.question == "Color?"


def test_two_turns_of_the_user_are_one(folder: Path) -> None:
    example = read(folder, say(("user", "Look."), ("user", "Color?"), ("assistant", "red"), image="a.png"))
    assert (example.turns, example.question) == ((), "Look.\nColor?")


def test_media_without_marks_stand_before_the_first_turn(folder: Path) -> None:
    turns = [("system", "s"), ("user", "Look."), ("assistant", "ok"), ("user", "Color?"), ("assistant", "red")]
    example = read(folder, say(*turns, images=["a.png", "b.png"]))
    assert example.turns[1] == Turn("user", "<image><image>Look.") and example.question == "Color?"


BAD_TURNS = [
    (say(("user", "a"), ("tool", "b")), "role 'tool' is none of system, user and assistant"),
    (say(("assistant", "a"), ("user", "b")), "begins with the assistant"),
    (say(("user", "a"), ("assistant", "b"), ("assistant", "c")), "two turns in a row of the assistant"),
    (say(("user", "a"), ("system", "b"), ("user", "c")), "a system turn after the first"),
    (say(("user", "a"), ("assistant", "")), "an empty turn of the assistant"),
    (say(("user", "a"), ("assistant", None)), "content None is neither text nor"),
    (say(("user", "a"), ("assistant", [{"type": "image", "image": "a.png"}])), "a picture or clip in a turn of the a"),
    (say(("user", "a"), ("assistant", "b"), conversations=LLAVA), "there is messages, too"),
    (say(("user", "Color?"), question="Shape?", answer="b", image="a.png"), "the conversation asks something else"),
    (say(("user", [{"type": "image_url", "image_url": {"url": "https://x.org/a.png"}}, "b"])), "download it first"),
    ({"messages": [{"content": "a"}]}, "is not a list of turns with roles"),
    ({"messages": {"role": "user"}}, "is not a list of turns with roles"),
]


@pytest.mark.parametrize("data, words", BAD_TURNS)
def test_conversations_that_cannot_be_are_refused(folder: Path, data: dict[str, Any], words: str) -> None:
    refuse(folder, data, words)


# --- marks


def test_marks_keep_their_places_and_order_media_of_both_kinds(folder: Path) -> None:
    fields = {"answer": "x", "images": ["a.png", "b.png"], "video": "c.mp4"}
    example = read(folder, {"question": "One <image>, <video> and <image>?", **fields})
    assert example.question == "One <image>, <video> and <image>?"
    assert [m.path.name for m in example.media] == ["a.png", "c.mp4", "b.png"]
    example = read(folder, {"question": "<video>\n <image>\n<image>What?", **fields})
    assert example.question == "What?" and [m.path.name for m in example.media] == ["c.mp4", "a.png", "b.png"]
    example = read(folder, {"question": "What?", **fields})
    assert [m.path.name for m in example.media] == ["a.png", "b.png", "c.mp4"]


def test_parts_of_a_turn_are_places(folder: Path) -> None:
    parts = ["First:", {"type": "image", "image": "b.png"}, "Second:", {"type": "image", "image": "a.png"}, "Same?"]
    example = read(folder, say(("user", parts), ("assistant", "no")))
    assert example.question == "First:<image>Second:<image>Same?"
    assert [m.path.name for m in example.media] == ["b.png", "a.png"]


def test_options_may_be_pictures(folder: Path) -> None:
    data = {
        "question": "Which is red?",
        "answer": "B",
        "options": ["A. <image>", "B. <image>"],
        "images": ["a.png", "b.png"],
    }
    assert read(folder, data).options == ("A. <image>", "B. <image>")
    refuse(folder, data | {"images": ["a.png"]}, "2 places <image>, and 1 picture;")


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"question": "<image><image> Q?"}, "2 places <image>, and 1 picture;"),
        ({"question": "<image> Q?", "images": ["b.png", "sub/c.png"]}, "1 place <image>, and 3 pictures"),
        ({"question": "Q <video>?"}, "1 place <video>, and no clip;"),
        ({"question": "Q <image>?", "image": None, "images": []}, "1 place <image>, and no picture"),
        ({"question": "Q <image>?", "video": "c.mp4"}, "0 places <video>, and 1 clip;"),
    ],
)
def test_a_wrong_number_of_marks_is_a_bad_entry(folder: Path, fields: dict[str, Any], words: str) -> None:
    refuse(folder, {**Q, **fields}, words)


def test_other_spellings_are_text(folder: Path) -> None:
    for text in ("See <image 1> here", "[image] what?", "<Image> what?"):
        assert read(folder, Q | {"question": text}).question == text


def test_video_r1_counts_marks_too(folder: Path) -> None:
    entry = {
        "problem": "<image>\nWhat?",
        "solution": "<answer>x</answer>",
        "path": "a.png",
        "problem_type": "free-form",
    }
    assert read(folder, entry, parse_video_r1).question == "What?"
    refuse(folder, entry | {"problem": "<image> or <image>?"}, "2 places <image>, and 1 picture", parse_video_r1)


# --- media


@pytest.mark.parametrize(
    "value",
    [
        " a.png ",
        "file://{folder}/a.png",
        "file://localhost{folder}/a.png",
        "file://./a.png",
        ".\\a.png",
        {"path": "a.png"},
        {"url": "file://{folder}/a.png"},
        {"image": "a.png"},
        {"bytes": None, "path": "a.png"},
        "sub/../a.png",
    ],
)
def test_paths_in_every_dress(folder: Path, value: Any) -> None:
    text = json.loads(json.dumps(value).replace("{folder}", str(folder)))
    medium = read(folder, Q | {"image": text}).media[0]
    assert medium.path.samefile(folder / "a.png") and medium.data is None


def test_odd_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert read(folder, Q | {"image": "~/a.png"}).media[0].path == folder / "a.png"
    for value in ("ü x%20.png", f"file://{folder}/%C3%BC%20x%2520.png"):
        assert read(folder, Q | {"image": value}).media[0].path == folder / "ü x%20.png"


def test_pictures_that_stand_in_the_entry(folder: Path) -> None:
    raw = (folder / "a.png").read_bytes()
    text = base64.b64encode(raw).decode()
    broken = "\n".join(text[n : n + 76] for n in range(0, len(text), 76))
    url_safe = text.replace("+", "-").replace("/", "_").rstrip("=")
    for value in (
        f"data:image/png;base64,{text}",
        text,
        broken,
        url_safe,
        {"bytes": text},
        {"bytes": raw, "path": None},
    ):
        (medium,) = read(folder, Q | {"image": value}).media
        assert (medium.kind, medium.data) == ("image", raw) and len(str(medium.path)) < 300
    parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}, "Color?"]
    assert read(folder, say(("user", parts), ("assistant", "red"))).media[0].data == raw


NOISE = base64.b64encode(bytes(range(256)) * 20).decode()


@pytest.mark.parametrize(
    "value, words",
    [
        ("https://x.org/a.png", "is not on this machine; write the path of the file: download it first"),
        ("s3://bucket/a.png", "download it first"),
        ("data:image/png;base64,@@@", "data URI whose base64 is damaged or empty"),
        ("data:image/png;base64,", "damaged or empty"),
        (f"data:image/jpeg;base64,{NOISE}", "5120 bytes in the entry that are no picture"),
        ("data:image/png;base64", "is no data URI: a type and a comma are missing"),
        (NOISE, "looks like base64 and holds no picture"),
        ("C:\\data\\a.png", "is a path of Windows"),
        (".\\nowhere\\a.png", "no such file: .*/nowhere/a.png"),
        ("file:///nowhere/a.png", "no such file: /nowhere/a.png"),
        ("sub", r"no such file: .*sub \(it is a folder\)"),
        ({"bytes": None, "path": None}, "names no file and holds no bytes"),
        ({"width": 3}, "names no file"),
        (["a.png", None], "null is no picture and no clip"),
        ({"path": "a.png", "video_start": 1}, "field 'video_start': a picture has no time"),
        (7, "7 is not a path"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(folder: Path, value: Any, words: str) -> None:
    refuse(folder, Q | {"image": value}, words)


def test_one_file_under_two_names_is_one_picture(folder: Path) -> None:
    assert len(read(folder, Q | {"images": ["a.png"]}).media) == 1
    assert len(read(folder, Q | {"images": ["b.png"]}).media) == 2
    refuse(folder, Q | {"images": ["a.png", "b.png"]}, "a.png stands under another name, too")


# --- clips


def clips(folder: Path, **fields: Any) -> list[Media]:
    return list(read(folder, {"question": "What?", "answer": "x", **fields}).media)


def test_frames_are_one_clip(folder: Path) -> None:
    frames = tuple(folder / name for name in ("a.png", "b.png"))
    one = Media("video", frames[0], frames=frames)
    assert clips(folder, video=["a.png", "b.png"]) == [one] == clips(folder, videos=[["a.png", "b.png"]])
    assert clips(folder, videos=[["a.png", "b.png"], ["a.png", "b.png"]]) == [one, one]
    assert clips(folder, video={"video": ["a.png", "b.png"], "fps": 2}) == [replace(one, fps=2.0)]
    parts = [{"type": "video", "video": ["a.png", "file://" + str(folder / "b.png")]}, "What?"]
    assert list(read(folder, say(("user", parts), ("assistant", "x"))).media) == [one]
    assert [m.frames for m in clips(folder, videos=["c.mp4", "d.mp4"])] == [(), ()]
    assert [m.path.name for m in clips(folder, video=["e.gif", "c.mp4"])] == ["e.gif", "c.mp4"]


def test_a_folder_of_frames_is_one_clip_in_the_order_of_its_numbers(folder: Path) -> None:
    (clip,) = clips(folder, video="frames")
    assert [f.name for f in clip.frames] == [f"f{n}.jpg" for n in range(1, 12)] and clip.path == clip.frames[0]


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"video": ["a.png", "c.mp4"]}, "pictures and clips in one list"),
        ({"videos": [["a.png", "c.mp4"]]}, "c.mp4 among the frames of a clip is no picture"),
        ({"videos": [[]]}, "a clip without frames"),
        ({"video": "empty"}, "is a folder without pictures"),
        ({"video": "data:video/mp4;base64,AAAA"}, "a clip as a data URI is not read"),
        ({"video": ["a.png", "nowhere.png"]}, "no such file: .*nowhere.png"),
    ],
)
def test_what_is_no_clip(folder: Path, fields: dict[str, Any], words: str) -> None:
    refuse(folder, {"question": "What?", "answer": "x", **fields}, words)


KEYS = {"video_start": 2, "video_end": 3.5, "nframes": 4, "min_pixels": 784, "max_pixels": 7840}
READ = {"start": 2.0, "end": 3.5, "frame_count": 4, "min_pixels": 784, "max_pixels": 7840}


def test_what_an_entry_says_of_reading_its_clip(folder: Path) -> None:
    wanted = Media("video", folder / "c.mp4", **READ)  # type: ignore[arg-type]
    assert clips(folder, video="c.mp4", **KEYS) == [wanted] == clips(folder, video={"video": "c.mp4", **KEYS})
    parts = [{"type": "video", "video": "c.mp4", **KEYS, "image": None}, "What?"]
    assert list(read(folder, say(("user", parts), ("assistant", "x"))).media) == [wanted]
    both = clips(folder, videos=[{"video": "c.mp4", "fps": 3}, "d.mp4"], nframes=8, max_pixels=900, image="a.png")
    assert [(m.fps, m.frame_count, m.max_pixels) for m in both] == [(None, None, 900), (3.0, None, 900), (None, 8, 900)]
    assert clips(folder, video="c.mp4", fps=None, video_start=0)[0].start == 0


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"video_start": -1}, "field 'video_start': -1 is too small"),
        ({"video_start": "2.0 s"}, "field 'video_start': '2.0 s' is not a number"),
        ({"video_end": True}, "field 'video_end': true is not a number"),
        ({"video_start": 3, "video_end": 3}, "field 'video_end': 3 is not after 3"),
        ({"video_end": float("inf")}, "field 'video_end': Infinity is not a number"),
        ({"nframes": 2.5}, "field 'nframes': 2.5 is not a whole number"),
        ({"nframes": 0}, "field 'nframes': 0 is too small"),
        ({"fps": 1, "nframes": 4}, "field 'nframes': there is fps, too"),
        ({"fps": -2}, "field 'fps': -2 is too small"),
        ({"min_pixels": 99, "max_pixels": 9}, "field 'min_pixels': 99 is above max_pixels"),
        ({"resized_height": 280, "resized_width": 280}, "field 'resized_height': is not read here; write min_pixels"),
        ({"total_pixels": 9}, "field 'total_pixels'"),
        ({"max_frames": 9}, "field 'max_frames'"),
        ({"video_start": 1, "videos": ["d.mp4"]}, "there are 2 clips that it could be of"),
        ({"video_start": 1, "video": None, "image": "a.png"}, "there are 0 clips"),
        ({"fps": 1, "video": None, "image": "a.png"}, "field 'fps': there is no clip"),
    ],
)
def test_what_does_not_work_of_it(folder: Path, fields: dict[str, Any], words: str) -> None:
    refuse(folder, {"question": "What?", "answer": "x", "video": "c.mp4", **fields}, words)


# --- options and gold answers


@pytest.mark.parametrize(
    "options, shown",
    [
        (["A. red", "C. green", "D. blue"], ("A. red", "C. green", "D. blue")),
        (["B) x", "A) y"], ("B) x", "A) y")),
        (["[A] x", "[C] y"], ("[A] x", "[C] y")),
        (["A、红", "C、蓝"], ("A、红", "C、蓝")),
        (["Ａ．x", "Ｃ．y"], ("Ａ．x", "Ｃ．y")),
        (["（A）x", "（D）y"], ("（A）x", "（D）y")),
        (["A red", "B blue"], ("A. red", "B. blue")),
        (["A. red", "blue"], ("A. red", "B. blue")),
        (["red", "a blue one"], ("A. red", "B. a blue one")),
        ([1, 2.5], ("A. 1", "B. 2.5")),
        ({"A": "red", "C": "blue", "D": None}, ("A. red", "C. blue")),
        ({"label": ["A", "B"], "text": ["red", "blue"]}, ("A. red", "B. blue")),
        ("A. red\n\nC. blue\n", ("A. red", "C. blue")),
        ('["red", "blue"]', ("A. red", "B. blue")),
        ("['red', \"it's\"]", ("A. red", "B. it's")),
        ('{"A": "red", "B": "blue"}', ("A. red", "B. blue")),
    ],
)
def test_given_letters_stay_and_missing_ones_are_added(folder: Path, options: Any, shown: tuple[str, ...]) -> None:
    letter = next(c for c in "BCDA" if any(c in option[:2].translate({0xFF23: "C"}) for option in shown))
    example = read(folder, Q | {"options": options, "answer": letter})
    assert example.options == shown and example.answer == letter
    assert accuracy(example, f"<answer>{letter}</answer>") == 1.0
    assert accuracy(example, "<answer>Z</answer>") == 0.0


@pytest.mark.parametrize(
    "options, words",
    [
        (["A. red", "A. blue"], "two options have the letter A"),
        (["red", "A. blue"], "some of .* have a letter, some have none"),
        (["A. red"], "one option leaves nothing to choose"),
        (["red", "", "blue"], "option 2 is empty"),
        ("A. red B. blue", "is not a list of strings"),
        ({"first": "red", "second": "blue"}, "not one text a letter"),
        ({"A": ["red"], "B": "x"}, "not one text a letter"),
        ([True, 1], "is not a list of strings"),
        ([f"x{n}" for n in range(27)], "27 are more than there are letters"),
        ({"label": ["A"], "text": ["red", "blue"]}, "1 labels for 2 texts"),
    ],
)
def test_options_that_cannot_be_told_apart(folder: Path, options: Any, words: str) -> None:
    refuse(folder, Q | {"options": options, "answer": "A"}, words)


GAPS = ["A. red", "C. a green one", "D. 7"]


@pytest.mark.parametrize(
    "answer, letter",
    [
        *(("C", "C"), ("c", "C"), ("Ｃ", "C"), ("(C)", "C"), ("（c）", "C"), ("[C]", "C"), ("C.", "C"), ("C、", "C")),
        *(("C. a green one", "C"), ("C) A green  one", "C"), ("a green one", "C"), ("C a green one", "C")),
        *(("$\\boxed{C}$", "C"), ("**C**", "C"), ("option C", "C"), ("The answer is C.", "C"), ("【D】", "D")),
        *(
            (7, "D"),
            ("7", "D"),
            ("<answer>D</answer>", "D"),
            ("<think>so</think><answer>(D)</answer>", "D"),
            (["D"], "D"),
        ),
    ],
)
def test_gold_answers_name_an_option_in_any_dress(folder: Path, answer: Any, letter: str) -> None:
    example = read(folder, Q | {"options": GAPS, "answer": answer})
    assert example.answer == letter
    check_gold(example)
    assert accuracy(example, f"<answer>{letter}</answer>") == 1.0


SEVERAL = (
    *("(A)(D)", "(A), (D)", "[A] [D]", "(a)\n(d)", "「A」、「D」", "A) D)", r"\boxed{A}, \boxed{D}", "(A)/(D)"),
    *(
        "**A**; **D**",
        "(A) red (D) 7",
        "(A) the red one (D) the seventh one",
        "A. the red one; D. the seventh one",
        "A. red; D. 7",
        "A: red\nD: 7",
        "- A. red\n- D. 7",
        "The answer is (A) and (D).",
    ),
)


@pytest.mark.parametrize("answer", ["(A)(A)", "A. red (not C)", "A. red, since (C) is darker", "(A) red (A)"])
def test_a_gold_letter_with_words_or_again_is_one(folder: Path, answer: str) -> None:
    assert read(folder, Q | {"options": GAPS, "answer": answer}).answer == "A"


def test_letters_that_are_an_option_s_text_are_that_option(folder: Path) -> None:
    options = ["A. red", "B. blue", "C. (A)(B)", "D. A and B"]
    for answer, letter in (("(A)(B)", "C"), ("A and B", "D"), ("D. A and B", "D")):
        assert read(folder, Q | {"options": options, "answer": answer}).answer == letter


@pytest.mark.parametrize(
    "answer, words",
    [
        ("B", "'B' is none of the options"),
        ("blue", "is none of the options"),
        (1, "'1' is none of the options: a place counted from 0 or from 1"),
        ("AC", "but several"),
        ("A, D", "but several"),
        ("A and C", "but several"),
        *((text, "but several") for text in SEVERAL),
        ("A. 7", "'A. 7' contradicts itself: A is 'red', and that text is of option D"),
        (True, "'true' is none of the options"),
        (["A", "C"], "is not text but 2 answers"),
        (float("nan"), "NaN is not text"),
    ],
)
def test_gold_answers_that_name_none_or_two(folder: Path, answer: Any, words: str) -> None:
    refuse(folder, Q | {"options": GAPS, "answer": answer}, words)


def test_letters_as_texts_and_texts_that_occur_twice(folder: Path) -> None:
    assert read(folder, Q | {"options": ["A", "B", "C"], "answer": "C"}).answer == "C"
    refuse(folder, Q | {"options": ["C", "A", "B"], "answer": "B"}, "may be any of the options B, C")
    assert read(folder, Q | {"options": ["C", "A", "B"], "answer": "B. A"}).answer == "B"
    refuse(folder, Q | {"options": ["red", "blue", "Red"], "answer": "C"}, "occurs twice, as A and C")
    assert read(folder, Q | {"options": ["red", "blue", "Red"], "answer": "blue"}).answer == "B"


def test_options_beside_another_type_leave_the_answer_a_text(folder: Path) -> None:
    fields = {"options": ["3", "2"], "problem_type": "numerical"}
    assert read(folder, Q | fields | {"answer": 2}).answer == "2"
    refuse(folder, Q | fields, "'B' is an option's letter, and problem_type is 'numerical'")


def test_video_r1_options_without_letters_get_them(folder: Path) -> None:
    entry = {"problem": "Which?", "path": "a.png", "problem_type": "multiple choice", "solution": "<answer>B</answer>"}
    assert read(folder, entry | {"options": ["red", "blue"]}, parse_video_r1).options == ("A. red", "B. blue")
    gaps = read(folder, entry | {"options": GAPS, "solution": "<answer>C</answer>"}, parse_video_r1)
    assert gaps.options == tuple(GAPS) and accuracy(gaps, "<answer>C</answer>") == 1.0
    assert accuracy(gaps, "<answer>a green one</answer>") == 1.0 and accuracy(gaps, "<answer>B</answer>") == 0.0


@pytest.mark.parametrize(
    "given, kind",
    [
        *(("multiple-choice", "multiple choice"), ("MCQ", "multiple choice"), ("Multiple_Choice", "multiple choice")),
        *((None, "multiple choice"), ("", "multiple choice")),
    ],
)
def test_spellings_of_multiple_choice(folder: Path, given: Any, kind: str) -> None:
    assert read(folder, Q | {"problem_type": given}).problem_type == kind


def test_spellings_of_other_types(folder: Path) -> None:
    bare = {"question": "How many?", "answer": "3", "image": "a.png"}
    for given, kind in (
        ("open-ended", "free-form"),
        ("Numeric", "numerical"),
        ("ocr", "OCR"),
        ("free form", "free-form"),
    ):
        assert read(folder, bare | {"problem_type": given}).problem_type == kind
    assert read(folder, bare | {"problem_type": None}).problem_type == "free-form"
    for given in ("math", "riddle", 3, ["numerical"]):
        refuse(folder, bare | {"problem_type": given}, "unknown problem type")
    refuse(folder, bare | {"problem_type": "numercial"}, 'did you mean "numerical"')


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"question": "a\0b"}, "holds the control character U\\+0000"),
        ({"question": "a\ud83d?"}, "half of a surrogate pair"),
        ({"answer": "<answer>red"}, "a tag without its other half"),
        ({"answer": "<answer>a</answer><answer>b</answer>"}, "holds 2 different answers"),
        ({"answer": {"text": "red"}}, "is not text"),
    ],
)
def test_texts_that_are_none(folder: Path, fields: dict[str, Any], words: str) -> None:
    refuse(folder, {"question": "What?", "answer": "x", "image": "a.png", **fields}, words)


def test_preferences_may_be_turns(folder: Path) -> None:
    pair = {name: [{"role": "assistant", "content": text}] for name, text in (("chosen", "good"), ("rejected", "bad"))}
    example = read(folder, {"prompt": [{"role": "user", "content": "Q?"}], "image": "a.png", **pair})
    assert (example.question, example.chosen, example.rejected, example.answer) == ("Q?", "good", "bad", "")


PARTS = [{"type": "text", "text": "It is"}, {"type": "text", "text": "red."}]


@pytest.mark.parametrize(
    "said",
    [
        [{"role": "assistant", "content": PARTS}],
        {"role": "assistant", "content": PARTS},
        {"from": "gpt", "value": "It is\nred."},
        [{"content": [*PARTS]}],
    ],
)
def test_a_response_is_a_turn_in_any_form(folder: Path, said: Any) -> None:
    pair = {"chosen": said, "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "blue"}]}]}
    example = read(folder, {"question": "Q?", "image": "a.png", **pair})
    assert (example.chosen, example.rejected) == ("It is\nred.", "blue")
    plain = {"question": "Q?", "image": "a.png", "answer": said}
    assert read(folder, plain).answer == "It is\nred."


def test_a_response_of_another_role_or_with_a_picture_is_named(folder: Path) -> None:
    rest = {"question": "Q?", "image": "a.png", "rejected": "blue"}
    refuse(folder, rest | {"chosen": [{"role": "user", "content": "red"}]}, "a turn of the user")
    picture = [{"type": "image", "image": "a.png"}]
    refuse(folder, rest | {"chosen": [{"role": "assistant", "content": picture}]}, "a picture or clip in a turn of")


# --- uids


def write(path: Path, entries: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    return path


def test_ids_that_occur_twice_do_not_collapse_entries(folder: Path) -> None:
    plain = Q | {"image": str(folder / "a.png")}
    path = write(folder / "twice.jsonl", [plain | {"id": n} for n in (7, "7", 8, None, 4, [1])])
    uids = [e.uid for e in read_file(path, parse=parse_own)]
    assert uids == ["twice-7#1", "twice-7#2", "twice-8", "twice-4#4", "twice-4#5", "twice-[1]"]
    ended = folder / "commas.jsonl"
    ended.write_text("".join(f"{line},\n" for line in path.read_text().splitlines()))
    assert [e.uid.replace("commas", "twice") for e in read_file(ended, parse=parse_own)] == uids
    assert [e.uid for e in read_file(path, parse=parse_own)[1:3]] == uids[1:3]
    entry = {"problem": "?", "path": str(folder / "a.png"), "solution": "<answer>x</answer>", "problem_type": "OCR"}
    path = write(folder / "r1.jsonl", [entry | {"problem_id": n} for n in (5, 6, 6, 9, 10, 11)])
    train, held = (video_r1(split, path=path) for split in ("train", "validation"))
    assert [e.uid for e in [*train, *held]] == ["r1-5", "r1-6#2", "r1-6#3", "r1-9", "r1-10", "r1-11"]


def test_two_files_of_one_name_have_different_uids(folder: Path) -> None:
    plain = Q | {"image": str(folder / "a.png")}
    one, other = (
        write(folder / name / "data.jsonl", [plain | {"question": f"{name} {n}?"} for n in (1, 2)])
        for name in ("one", "other")
    )
    uids = [[e.uid for e in jsonl(split, path=one, validation_path=other)] for split in ("train", "validation")]
    assert uids == [["data-1", "data-2"], ["data-validation-1", "data-validation-2"]]
    assert jsonl("validation", path=one, validation_path=one)[0].uid == "data-1"


def test_splits_and_repeated_ids_of_a_parquet_folder(folder: Path, tmp_path: Path) -> None:
    import datasets

    rows = {"question": ["Q?"] * 3, "answer": ["x"] * 3, "image": [str(folder / "a.png")] * 3, "id": [1, 1, 2]}
    for split in ("train", "validation"):
        datasets.Dataset.from_dict(rows).to_parquet(str(tmp_path / "set" / f"{split}-00000-of-00001.parquet"))
    columns = {name: name for name in rows}
    uids = [
        [e.uid for e in hf(split, path=tmp_path / "set", columns=columns, unpacked=tmp_path / "media")]
        for split in ("train", "validation")
    ]
    assert uids == [
        ["set-1#1", "set-1#2", "set-2"],
        ["set-validation-1#1", "set-validation-1#2", "set-validation-2"],
    ]


def test_media_in_rows_of_a_dataset_say_how_they_are_read(folder: Path, tmp_path: Path) -> None:
    import datasets

    raw = (folder / "a.png").read_bytes()
    rows = {
        "prompt": [[{"role": "user", "content": "<image>Color?"}]] * 2,
        "images": [
            [{"bytes": raw, "path": "x.png", "min_pixels": 784}],
            [{"bytes": None, "path": None, "min_pixels": 1}],
        ],
        "reward_model": [{"ground_truth": "red", "style": "rule"}] * 2,
    }
    datasets.Dataset.from_dict(rows).to_parquet(str(tmp_path / "verl.parquet"))
    found = hf("train", path=tmp_path / "verl.parquet", columns={n: n for n in rows}, unpacked=tmp_path, limit=1)
    assert (found[0].question, found[0].answer, found[0].media[0].min_pixels) == ("Color?", "red", 784)
    assert found[0].media[0].path.read_bytes() == raw
    held = hf("validation", path=tmp_path / "verl.parquet", columns={n: n for n in rows}, unpacked=tmp_path)
    with pytest.raises(BadSample, match="names no file and holds no bytes"):
        held[0]


# --- and back


@pytest.mark.parametrize(
    "data",
    [
        Q,
        {"question": "One <image>, <video> two?", "answer": "x", "image": "a.png", "video": {"video": "c.mp4", **KEYS}},
        {"question": "What?", "answer": "x", "video": ["a.png", "b.png"], "nframes": 2},
        say(
            ("system", "s"),
            ("user", "Hi"),
            ("assistant", "ho"),
            ("user", "<image>Q?"),
            ("assistant", "x"),
            image="a.png",
        ),
        say(("system", "s"), ("user", ["Q?", {"image": "a.png"}]), ("assistant", "x")),
        {"question": "What?", "answer": "x", "images": []},
    ],
)
def test_an_example_written_as_an_entry_reads_the_same(folder: Path, data: dict[str, Any]) -> None:
    example = read(folder, data)
    again = read(folder, json.loads(json.dumps(fields_of(example))))
    assert replace(again, uid=example.uid) == example


@pytest.mark.parametrize(
    ("options", "answer", "gold"),
    [
        (["**C.** red", "**A.** blue", "**B.** grey"], "A", "A"),
        (["Option C: red", "Option A: blue"], "blue", "A"),
        (["U.S.", "U.K."], "U.K.", "B"),
        (["U.S.", "China"], "China", "B"),
        (["E. coli", "E. faecalis", "B. subtilis"], "C", "C"),
    ],
)
def test_letters_in_another_dress_and_abbreviations(options: list[str], answer: str, gold: str, folder: Path) -> None:
    data = {"question": "Which?", "answer": answer, "options": options, "image": str(folder / "a.png")}
    assert jsonl("train", path=write(folder / "dress.jsonl", [data, data]))[0].answer == gold


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"options": ["C ~ red", "A ~ blue", "B ~ grey"], "answer": "A"}, "seem to have letters of their own, C, A, B"),
        ({"options": ["A. red", "A. blue"], "answer": "A"}, "two options have the letter A"),
        ({"problem_type": "numerical", "answer": 10**400}, "field 'answer'"),
    ],
)
def test_what_cannot_be_read_is_a_bad_entry(change: dict[str, object], said: str, folder: Path) -> None:
    data = {"question": "Which?", "answer": "x", "image": str(folder / "a.png"), **change}
    with pytest.raises(BadSample, match=said):
        jsonl("train", path=write(folder / "bad.jsonl", [data, data]))[0]


@pytest.mark.parametrize(
    "turns", [[("human", "draw"), ("gpt", "<image>")], [("system", "see <image>"), ("human", "q"), ("gpt", "a")]]
)
def test_a_picture_is_shown_by_the_user_alone(turns: list[tuple[str, str]], folder: Path) -> None:
    said = [{"from": name, "value": value} for name, value in turns]
    data = {"image": str(folder / "a.png"), "conversations": said}
    with pytest.raises(BadSample, match=r"a picture or clip in a turn of the (assistant|system)"):
        jsonl("train", path=write(folder / "marks.jsonl", [data, data]))[0]


@pytest.mark.parametrize("pixels", [2 * 10**10, 10**30, 10**400])
@pytest.mark.parametrize("where", ["entry", "medium"])
def test_no_picture_is_made_larger_than_one_may_be(pixels: int, where: str, folder: Path) -> None:
    said = {"min_pixels": pixels}
    medium = {"path": str(folder / "a.png")}
    data = Q | ({"image": medium} | said if where == "entry" else {"image": medium | said})
    with pytest.raises(BadSample, match="field 'min_pixels'"):
        jsonl("train", path=write(folder / "large.jsonl", [data, data]))[0]


HIDDEN = [
    "_{}._ {}",
    "Option ({}) {}",
    "1. {}. {}",
    "<p>{}. {}</p>",
    "\\mathrm{{{}}} {}",
    "{}\n{}",
    "选项{}:{}",
    "{} {}",
]


@pytest.mark.parametrize("form", HIDDEN)
def test_letters_of_their_own_are_never_written_over(form: str, folder: Path) -> None:
    options = [form.format(letter, text) for letter, text in zip("CAB", ("red", "blue", "grey"), strict=True)]
    refuse(folder, Q | {"options": options, "answer": "A"}, "seem to have letters of their own, C, A, B")
    assert read(folder, Q | {"options": options, "answer": options[1]}).answer == "B"


@pytest.mark.parametrize(
    ("options", "answer", "shown", "gold"),
    [
        (["E. coli", "E. faecalis", "B. subtilis"], "B. subtilis", "B. E. faecalis", "C"),
        (["J. Smith", "J. Doe", "A. Smith"], "J. Doe", "B. J. Doe", "B"),
        (["B > A", "A > B"], "A > B", "B. A > B", "B"),
        (["C major", "A minor", "B minor"], "A minor", "B. A minor", "B"),
    ],
)
def test_initials_and_orders_stay_in_the_text(
    options: list[str], answer: str, shown: str, gold: str, folder: Path
) -> None:
    example = read(folder, Q | {"options": options, "answer": answer})
    assert (example.answer, example.options[1]) == (gold, shown)
    assert accuracy(example, f"<answer>{gold}</answer>") == 1.0


@pytest.mark.parametrize("answer", ["\u200bB", "\ufeffB", "B\u2060.", "<answer>\u200bB</answer>", "bl\u00adue"])
def test_invisible_characters_of_an_answer_do_not_count(answer: str, folder: Path) -> None:
    assert read(folder, Q | {"answer": answer}).answer == "B"


@pytest.mark.parametrize(
    "fields",
    [{"video": "c.mp4", "fps": 10**400}, {"image": "a.png", "evidence": [{"box": [0, 0, 0.5, 10**400], "span": None}]}],
)
def test_numbers_beyond_a_float_are_named(fields: dict[str, Any], folder: Path) -> None:
    refuse(folder, {"question": "q", "answer": "red", **fields}, "fps|evidence")


def test_steps_say_where_each_part_of_the_reasoning_looks(folder: Path) -> None:
    steps = [{"text": " 2 3 left ", "boxes": [[0, 0, 0.5, 0.5]]}, {"text": "2 2 up", "boxes": [[0.5, 0, 1, 1]] * 2}]
    read_steps = (Step("2 3 left", ((0.0, 0.0, 0.5, 0.5),)), Step("2 2 up", ((0.5, 0.0, 1.0, 1.0),) * 2))
    assert read(folder, Q | {"steps": steps}).steps == read_steps
    video_r1 = {"problem": "q", "solution": "<answer>B</answer>", "problem_type": "free-form", "path": "a.png"}
    assert read(folder, video_r1 | {"steps": steps}, parse_video_r1).steps == read_steps
    assert read(folder, Q).steps == read(folder, Q | {"steps": None}).steps == ()


@pytest.mark.parametrize(
    "steps",
    [
        {"text": "2", "boxes": [[0, 0, 1, 1]]},
        ["2 3 left"],
        [{"text": "", "boxes": [[0, 0, 1, 1]]}],
        [{"text": "2", "boxes": []}],
        [{"text": "2", "boxes": [[0, 0, 2, 1]]}],
        [{"text": "2", "boxes": [0, 0, 1, 1]}],
    ],
)
def test_steps_that_are_none_are_refused(steps: Any, folder: Path) -> None:
    refuse(folder, Q | {"steps": steps}, "field 'steps'")
