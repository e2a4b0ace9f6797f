"""Video-R1 files and a user's own files: what is read, how it is split, and what is said about bad entries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ral.data import json_spans, jsonfile
from ral.data.bad import BadSample
from ral.data.entries import bad_of
from ral.data.fields import Entry
from ral.data.sources import jsonl, parse_own, parse_video_r1, read_file, validation_count, video_r1
from ral.types import Evidence, Example, Media, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(b"clips are not opened here")
    return tmp_path


def r1(**fields: Any) -> dict[str, Any]:
    """An entry as Video-R1 publishes it."""
    entry: dict[str, Any] = {
        "problem_id": 7,
        "problem": "What color is it?",
        "data_type": "image",
        "problem_type": "multiple choice",
        "options": ["A. red", "B. blue"],
        "solution": "<answer>B</answer>",
        "path": "./a.png",
        "data_source": "made",
    }
    return {**entry, **fields}


def own(**fields: Any) -> dict[str, Any]:
    return {"question": "What color?", "answer": "red", "image": "a.png", **fields}


def write(folder: Path, entries: object, name: str = "data.json") -> Path:
    path = folder / name
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries), encoding="utf-8")
    return path


def read(folder: Path, entry: object, source: Any = jsonl) -> Example:
    """One entry through a source; a second file serves as validation so that nothing is held out."""
    path = write(folder, [entry])
    (example,) = source("train", path=path, validation_path=path)
    return example


def test_video_r1_entry_unchanged(folder: Path) -> None:
    example = read(folder, r1(process="<think>it is\nblue</think>"), video_r1)
    assert example == Example(
        uid="data-7",
        question="What color is it?",
        answer="B",
        problem_type="multiple choice",
        media=(Media("image", folder / "a.png"),),
        options=("A. red", "B. blue"),
        thought="it is\nblue",
        source=f"{folder / 'data.json'}: entry 1",
    )


def test_video_r1_clip_without_options_and_with_evidence(folder: Path) -> None:
    evidence = [{"box": [0, 0.25, 0.5, 1], "span": [0, 4]}, {"box": [0, 0, 1, 1], "span": None}]
    fields = {"options": None, "data_type": "video", "path": "./b.mp4", "problem_type": "numerical"}
    example = read(folder, r1(**fields, evidence=evidence, solution="<answer> 3 </answer>"), video_r1)
    assert (example.options, example.answer, example.thought) == ((), "3", None)
    assert example.media == (Media("video", folder / "b.mp4"),)
    assert example.evidence == (Evidence((0.0, 0.25, 0.5, 1.0), (0.0, 4.0)), Evidence((0.0, 0.0, 1.0, 1.0)))


def test_media_root(folder: Path) -> None:
    (folder / "json").mkdir()
    path = write(folder / "json", [r1(), r1()])
    assert video_r1("train", path=path, media_root=folder)[0].media[0].path == folder / "a.png"
    with pytest.raises(UserError, match=r"field 'path': no such file: .*json/a.png; .*media_root"):
        list(video_r1("train", path=path))


@pytest.mark.parametrize("source, entry", [(video_r1, r1), (jsonl, own)])
def test_splits_are_disjoint_and_whole(folder: Path, source: Any, entry: Any) -> None:
    path = write(folder, [entry(problem_id=n) for n in range(20)])
    uids = {s: [e.uid for e in source(s, path=path, validation_size=3)] for s in ("sft", "train", "validation", "test")}
    assert uids["train"] == [f"data-{n}" for n in range(17)] == uids["sft"]
    assert uids["validation"] == [f"data-{n}" for n in (17, 18, 19)] == uids["test"]
    assert len(source("validation", path=path)) == 4  # 256 asked for, a fifth given
    assert len(source("train", path=path, limit=5)) == 5 and len(source("validation", path=path, limit=1)) == 4
    assert len(source("train", path=path, limit=500)) == 16


def test_validation_count() -> None:
    assert [validation_count(*sizes) for sizes in ((1000, 256), (5000, 256), (3, 256), (10, 1))] == [200, 256, 1, 1]


def test_validation_file_is_used_whole(folder: Path) -> None:
    path, other = write(folder, [r1()]), write(folder, [r1(problem_id=n) for n in range(3)], "other.json")
    assert len(video_r1("train", path=path, validation_path=other)) == 1
    examples = video_r1("test", path=path, validation_path=other, validation_size=1, limit=1)
    assert [e.uid for e in examples] == ["other-0", "other-1", "other-2"]


def test_json_lines_with_blank_lines_and_byte_order_mark(folder: Path) -> None:
    path = write(folder, "\ufeff" + json.dumps(own()) + "\n\n" + json.dumps(own(answer="blau ü")) + "\n")
    assert [e.answer for e in read_file(path, parse=parse_own)] == [
        "red",
        "blau ü",
    ]


def test_aliases(folder: Path) -> None:
    fields = {"problem": "Q?", "solution": "<answer>x</answer>", "path": "b.mp4", "process": "<think>t</think>"}
    example = read(folder, fields)
    assert (example.question, example.answer, example.thought) == ("Q?", "x", "t")
    assert example.media == (Media("video", folder / "b.mp4"),) and example.problem_type == "free-form"
    assert read(folder, own(answer=4, problem_type="numerical")).answer == "4"


@pytest.mark.parametrize(
    "fields, kinds",
    [
        ({"image": None, "images": ["a.png", "a.png"]}, ["image", "image"]),
        ({"video": "b.mp4"}, ["image", "video"]),
        ({"image": None, "videos": ["b.mp4"]}, ["video"]),
        ({"image": None, "path": "a.png", "data_type": "image"}, ["image"]),
        ({"image": None, "images": []}, []),
    ],
)
def test_media_fields(folder: Path, fields: dict[str, Any], kinds: list[str]) -> None:
    assert [m.kind for m in read(folder, own(**fields)).media] == kinds


def test_placeholders_of_other_trainers_are_taken_out(folder: Path) -> None:
    assert read(folder, own(question="<image>\nWhat color?")).question == "What color?"


@pytest.mark.parametrize("answer, letter", [("blue", "B"), ("B", "B"), ("(b)", "B"), ("B. so it is", "B")])
def test_options_without_letters_get_them(folder: Path, answer: str, letter: str) -> None:
    example = read(folder, own(options=["red", "blue"], answer=answer))
    assert example.options == ("A. red", "B. blue") and example.answer == letter
    assert example.problem_type == "multiple choice"


def test_lettered_options_stay(folder: Path) -> None:
    example = read(folder, own(options=["(A) red", "(B) blue"], answer="(B) blue"))
    assert example.options == ("(A) red", "(B) blue") and example.answer == "B"


def test_the_text_of_a_lettered_option_is_its_letter(folder: Path) -> None:
    """Also where it begins with a word that is another option's letter."""
    example = read(folder, own(options=["A. red", "B. a blue star"], answer="a blue star"))
    assert example.options == ("A. red", "B. a blue star") and example.answer == "B"


def test_an_entry_without_an_id_is_named_by_its_number(folder: Path) -> None:
    assert [read(folder, own(id=value)).uid for value in (None, 0, "x")] == ["data-1", "data-0", "data-x"]
    assert read(folder, r1(problem_id=None), video_r1).uid == "data-1"


def test_chat_format(folder: Path) -> None:
    picture = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "And now?"}]
    turns = [("system", "s"), ("user", "first"), ("assistant", "no"), ("user", picture)]
    reply = "<think>look</think>\n<answer>red</answer>"
    messages = [{"role": role, "content": text} for role, text in [*turns, ("assistant", reply)]]
    example = read(folder, {"messages": messages})
    assert (example.question, example.answer, example.thought) == ("And now?", "red", "look")
    assert example.media == (Media("image", folder / "a.png"),)
    plain = [{"role": "user", "content": "<video>What?"}, {"role": "assistant", "content": "<think>hm</think> it"}]
    example = read(folder, {"messages": plain, "videos": ["b.mp4"]})
    assert (example.question, example.answer, example.thought) == ("What?", "it", "hm")


R1_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        {"problem_type": "riddle"},
        "field 'problem_type': unknown problem type 'riddle'; write one of \"multiple choice\"",
    ),
    ({"problem_type": None}, "field 'problem_type': unknown problem type None"),
    ({"problem_type": ["OCR"]}, "field 'problem_type': unknown problem type \\['OCR'\\]"),
    ({"problem": None}, "field 'problem': missing or empty"),
    ({"problem": ["a"]}, "field 'problem': \\['a'\\] is not text"),
    ({"solution": None}, "field 'solution': missing or empty"),
    ({"solution": "<answer> </answer>"}, "field 'solution': missing or empty"),
    ({"solution": True}, "field 'solution': true is not text"),
    ({"options": "A. red"}, "field 'options': 'A. red' is not a list of strings"),
    ({"options": [1]}, "field 'options': \\[1\\] is not a list of strings"),
    ({"data_type": "audio"}, "field 'data_type': unknown kind 'audio'; write \"image\" or \"video\""),
    ({"path": "./gone.png"}, "field 'path': no such file: .*gone.png"),
    ({"path": "."}, "field 'path': no such file"),
    ({"path": None}, "field 'path': missing or empty"),
    ({"path": 3}, "field 'path': 3 is not text"),
    ({"path": "a" * 999}, "field 'path': no such file"),
    ({"path": "a\0b"}, "field 'path': no such file"),
    ({"problem": 5}, "field 'problem': 5 is not text"),
    ({"solution": 5}, "field 'solution': 5 is not text"),
    ({"process": {}}, "field 'process': \\{\\} is not text"),
    ({"evidence": {}}, "field 'evidence': \\{\\} is not a list"),
    ({"evidence": [3]}, "field 'evidence': 3 is not an object"),
    ({"evidence": [{"box": [0, 0, 2, 1]}]}, "field 'evidence': box \\[0, 0, 2, 1\\] does not work"),
    ({"evidence": [{"box": [0, 0, "a", 1]}]}, "field 'evidence': box"),
    ({"evidence": [{"box": [0, 0, 1, 1], "span": [3, 1]}]}, "field 'evidence': span \\[3, 1\\] does not work"),
]


@pytest.mark.parametrize("fields, message", R1_ERRORS)
def test_malformed_video_r1_entry(folder: Path, fields: dict[str, Any], message: str) -> None:
    path = write(folder, [r1(), r1(), r1(**fields), *[r1()] * 7])
    examples = video_r1("train", path=path)
    assert len(examples) == 8 and examples[1].answer == "B" and examples[3].answer == "B"
    with pytest.raises(BadSample, match=f"data.json: entry 3: {message}") as caught:
        examples[2]
    assert "\n" not in str(caught.value) and "; write " in str(caught.value)


def test_missing_problem_type_is_an_error_for_video_r1_alone(folder: Path) -> None:
    entry = r1()
    del entry["problem_type"]
    with pytest.raises(UserError, match="entry 1: field 'problem_type': missing"):
        read(folder, entry, video_r1)
    assert read(folder, own()).problem_type == "free-form"


OWN_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"question": None}, "field 'question': missing or empty"),
    ({"answer": ""}, "field 'answer': missing or empty"),
    ({"image": None, "img": "a.png"}, "field 'img': nothing reads it, and it looks like a medium"),
    ({"image": None, "note": "a"}, "field 'image': no picture and no clip"),
    ({"image": None, "path": "data.json"}, "field 'path': cannot tell picture from clip by 'data.json'"),
    ({"image": {"bytes": 1}}, "field 'image': .* is not a path"),
    ({"options": ["red", "blue"], "answer": "green"}, "field 'answer': 'green' is none of the options"),
    ({"options": ["red", "blue"], "answer": "a star"}, "field 'answer': 'a star' is none of the options"),
    ({"options": [f"{chr(65 + n)}. red" for n in range(30)]}, "field 'options': 30 are more than there are letters"),
    ({"messages": "hello"}, "field 'messages': 'hello' is not a list of turns"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "field 'messages': no turn of the user"),
    ({"messages": [{"role": "user", "content": 3}]}, "field 'messages': content 3 is neither"),
    (
        {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
        "field 'messages': unknown content type 'audio'",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "image"}]}]},
        "field 'question': 2 places <image>, and 1 picture",
    ),
]


@pytest.mark.parametrize("fields, message", OWN_ERRORS)
def test_malformed_own_entry(folder: Path, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"data.json: entry 1: {message}") as caught:
        read(folder, own(**fields))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "data.json: has no entries"),
        ("[]", "data.json: has no entries"),
        ("[{]", "data.json: entry 1: not JSON: .* at line 1, column 2 of the entry; write an array"),
        ("hello", "data.json: entry 1: not JSON: .*; write an array"),
        ("[{}, {}", "data.json: ends after entry 2 without the closing ]; it is not whole"),
        ('[{}, {"a": "cut', "data.json: not JSON from entry 2 on, or not whole"),
        ("[{}] [{}]", "data.json: something follows the closing ] after entry 1"),
    ],
)
def test_bad_files(folder: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        video_r1("train", path=write(folder, text))


def test_an_entry_that_is_no_object(folder: Path) -> None:
    with pytest.raises(BadSample, match=r"data.json: entry 1: 3 is not an object"):
        video_r1("train", path=write(folder, [3, own(), own()]))[0]


BROKEN = [
    '{"question": "x" "answer": 1}',
    '{"question": "open, "answer": "x"}',
    '{"question": 3',
    "nonsense",
    '{"q": "\xff"}',
]


@pytest.mark.parametrize("form", ["array", "indented", "lines"])
@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("at", [0, 2, 4])
def test_an_entry_that_is_not_json_is_one_bad_entry(folder: Path, form: str, broken: str, at: int) -> None:
    """Wherever it is and whatever is wrong with it, those around it keep their numbers."""
    boxes = [{"box": [0, 0, 1, 1]}, {"box": [0, 0, 0.5, 1]}]  # objects within entries are no next entries
    indent = 4 if form == "indented" else None
    texts = [json.dumps(own(answer=f"ü{n}", evidence=boxes), ensure_ascii=False, indent=indent) for n in range(5)]
    texts[at] = broken
    text = "\n".join(texts) if form == "lines" else "[" + ",\n ".join(texts) + "]\n"
    path = folder / "data.json"
    path.write_bytes(text.encode("utf-8").replace("\xff".encode(), b"\xff"))
    examples = jsonl("train", path=path, validation_path=path)
    assert len(examples) == 5
    for n in range(5):
        if n != at:
            assert examples[n].answer == f"ü{n}"
    with pytest.raises(BadSample, match=f"data.json: entry {at + 1}: not (JSON|UTF-8 text)") as caught:
        examples[at]
    assert bad_of(examples, at, caught.value).record()["problem_id"] is None


@pytest.mark.parametrize(
    "text, readable",
    [
        ('[{"id":1,"q":"a"},{"q":"x" "id":2},{"q":"y","id":3},{"id":4,"q":"c"}]', [0, 2, 3]),  # keys in any order
        ('[{"id":1,"q":"a"},{"q":"x" "id":2},{"id":3 "q":"y"},{"id":4,"q":"c"}]', [0, 3]),  # two in a row
        ('[{"id":1,"q":"a","ev":[]},{"id":2,"q":"a","ev":[{"id":1},{"id":2}] x},{"q":"y","id":3}]', [0, 2]),
        ('[{"id":1,"ev":[{"box":1},{"box":2}] x},{"id":2},{"id":3}]', [1, 2]),  # the first one is broken
        ('[{"id":1,"ev":[{"box":1},{"box":2}] x},{"id":2,"ev":[{"box":3},{"box":4}]}]', [1]),
    ],
)
def test_no_good_entry_is_lost_behind_a_broken_one(folder: Path, text: str, readable: list[int]) -> None:
    rows = jsonfile.open_json(write(folder, text))
    found = []
    for index in range(len(rows)):
        try:
            found.append((index, rows.row(index)["id"] - 1))
        except BadSample:
            continue
    assert found == [(n, n) for n in readable] and len(rows) == readable[-1] + 1


def test_a_broken_entry_that_fills_a_window(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_spans, "LARGEST_ENTRY", 200)
    monkeypatch.setattr(json_spans, "WINDOW", 64)
    path = write(folder, [own(), own(answer="x" * 999), own()], "long.json")
    with pytest.raises(UserError, match=r"long.json: entry 2 is not JSON, or longer than 200 characters"):
        read_file(path)


def test_windows_of_a_large_file_meet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of one to four bytes a character are found wherever the window's edge falls."""
    entries = [own(answer="aé中😀"[n % 4] * (n % 7 + 1), id=n) for n in range(50)]
    path = write(folder, json.dumps(entries, ensure_ascii=False), "wide.json")
    monkeypatch.setattr(json_spans, "LARGEST_ENTRY", 200)
    for window in (64, 101, 257):
        monkeypatch.setattr(json_spans, "WINDOW", window)
        jsonfile._opened.cache_clear()
        examples = read_file(path, parse=parse_own)
        assert [e.answer for e in examples] == [entry["answer"] for entry in entries]


def test_half_a_surrogate_pair_is_no_text(folder: Path) -> None:
    path = write(folder, [own(), own(question="\ud83d?")])
    with pytest.raises(BadSample, match=r"entry 2: holds \\ud83d, half of a surrogate pair without its other half"):
        read_file(path, parse=parse_own)[1]


def test_a_file_that_changes_is_an_error(folder: Path) -> None:
    examples = read_file(write(folder, [own()] * 3), parse=parse_own)
    write(folder, [own(question="longer than before")] * 3)
    with pytest.raises(UserError, match="has changed since the run started"):
        examples[0]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "box"]), inner),
    max_leaves=6,
)
FIELDS = sorted({*r1(), *own(), "videos", "messages", "evidence", "process", "thought", "data_type"})


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), values, max_size=4), st.booleans())
def test_any_json_value_in_any_field_is_an_example_or_a_bad_entry(changes: dict[str, Any], is_r1: bool) -> None:
    entry = Entry(Path(__file__), 1, (r1() if is_r1 else own()) | changes, Path(__file__).parent)
    try:
        example = (parse_video_r1 if is_r1 else parse_own)(entry)
        assert example.question and example.answer
    except BadSample as error:
        assert "\n" not in str(error)


def test_what_is_listed_of_a_bad_entry(folder: Path) -> None:
    entries = [r1(problem_id=11), r1(problem_id=12, path="./gone.png"), r1(problem_id=13, solution=None), 3]
    path = write(folder, entries)
    found = []
    for at in range(4):
        examples = read_file(path)
        try:
            examples[at]
        except BadSample as error:
            found.append(bad_of(examples[1:], at - 1, error).record())
            assert found[-1].pop("remedy") == error.write and error.write.startswith("write ")
    assert found[0] == {
        "index": 1,
        "problem_id": 12,
        "path": "./gone.png",
        "reason": f"field 'path': no such file: {folder / 'gone.png'}",
    }
    assert found[1] == {
        "index": 2,
        "problem_id": 13,
        "path": "./a.png",
        "reason": "field 'solution': missing or empty",
    }
    assert found[2] == {"index": 3, "problem_id": None, "path": None, "reason": "3 is not an object"}


def test_missing_file(folder: Path) -> None:
    with pytest.raises(UserError, match=r"nothing.json: no such file; write"):
        jsonl("train", path=folder / "nothing.json")


def test_empty_validation_is_an_error(folder: Path) -> None:
    path = write(folder, [r1()])
    with pytest.raises(UserError, match="one entry cannot be both"):
        video_r1("validation", path=path)
    with pytest.raises(UserError, match="validation_size 0 leaves no validation entries"):
        video_r1("validation", path=path, validation_size=0)
    with pytest.raises(UserError, match=r"empty.json: has no entries"):
        video_r1("validation", path=path, validation_path=write(folder, [], "empty.json"))
    with pytest.raises(UserError, match="limit 0 leaves no entries"):
        video_r1("train", path=path, limit=0)
    with pytest.raises(UserError, match="unknown split 'dev'; write one of sft, train"):
        video_r1("dev", path=path)


def test_entries_beyond_the_limit_are_not_checked(folder: Path) -> None:
    path = write(folder, [*[r1()] * 8, r1(path="gone.png"), r1()])
    assert len(video_r1("train", path=path, limit=2)) == 2
