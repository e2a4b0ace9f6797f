"""The report of a run: numbers, pictures, escaping, missing files. Runs are made here, with small PNGs and a clip."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import yaml
from conftest import load_script
from PIL import Image

from ral.files.run_folder import WRITTEN
from ral.report import panels
from ral.report.curves import DARK, LIGHT, Series, panel, smooth
from ral.report.overlay import RAMP, colour_bar, enlarge, gradient, outline, overlay
from ral.report.page import build
from ral.report.reading import read_run
from ral.report.records import Asked, Attention, Item, Scores, series
from ral.report.samples import make_card, slots
from ral.report.summary import Estimate, Pair, bootstrap, category, match, select, table
from ral.report.words import FILE_NOTES, details, headline, points, progress_note, size
from ral.types import PROBLEM_TYPES, Evidence, Media, Pixels, UserError

ROOT = Path(__file__).resolve().parents[1]
HOSTILE = '<script>alert("x")</script><img src=http://evil.example/a.png>'
CLIP_EVERY = 3  # each third item of a made run is a clip


def write_picture(path: Path) -> None:
    Image.fromarray(np.full((56, 56, 3), 230, dtype=np.uint8)).save(path)


def write_clip(path: Path, frames: int = 8) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(frames):
            picture = np.full((64, 64, 3), 20 * number + 40, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def row(index: int, right: bool, media: Path) -> dict[str, Any]:
    clip = index % CLIP_EVERY == 0
    grid = [4, 2, 2] if clip else [1, 2, 2]
    cells = int(np.prod(grid))
    return {
        "uid": f"item-{index:03d}",
        "problem_type": PROBLEM_TYPES[index % len(PROBLEM_TYPES)],
        "data_type": "video" if clip else "image",
        "media": [str(media / ("clip.mp4" if clip else "picture.png"))],
        "question": f"Question {index}?",
        "options": ["A. red", "B. blue"],
        "gold": "B",
        "response": f"<think>look</think><answer>{'B' if right else 'A'}</answer>",
        "answer": "B" if right else "A",
        "accuracy": 1.0 if right else 0.0,
        "format": 1.0,
        "grounding": 0.5 if right else 0.25,
        "evidence": [{"box": [0.0, 0.0, 0.5, 0.5], "span": [2.0, 4.0] if clip else None}],
        "attention": {"grid": grid, "weights": [1 / cells] * cells, "seconds_per_slot": 2.0 if clip else 0.0},
    }


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(entry) + "\n" for entry in rows), encoding="utf-8")


def before_right(index: int) -> bool:
    return index % 3 == 1


def after_right(index: int) -> bool:
    return index % 7 != 1


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A complete run folder of `count` items; parts of it can then be taken away."""

    def make(count: int = 21, steps: int = 12) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        write_picture(folder / "picture.png")
        write_clip(folder / "clip.mp4")
        config = {"name": "my-run", "max_steps": 12, "algo": {"name": "ral"}, "model": {"pretrained": "m/tiny"}}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        (folder / "environment.json").write_text(json.dumps({"python": "3.11.7", "date": "2026-02-04"}))
        logged = [{"step": s, "train/reward": s / 100, "train/kl": 0.01 * s} for s in range(1, steps + 1)]
        write_lines(folder / "metrics.jsonl", [{"step": 0, "eval/accuracy": 0.3}, *logged])
        write_lines(folder / "eval/before.jsonl", [row(i, before_right(i), folder) for i in range(count)])
        write_lines(folder / "eval/after.jsonl", [row(i, after_right(i), folder) for i in range(count)])
        return folder

    return make


def page(folder: Path) -> str:
    return build(folder).read_text(encoding="utf-8")


def loads(html: str) -> Iterator[str]:
    """Everything a browser would fetch for the page."""
    yield from re.findall(r'(?:src|srcset|href)\s*=\s*"([^"]*)"', html)
    yield from re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", html)


def item(uid: str, accuracy: float, problem_type: str = "OCR", data_type: str = "image") -> Item:
    asked = Asked(problem_type, data_type, (), "q", (), "gold")
    return Item(uid, asked, "r", "a", Scores(accuracy, 1.0, None), (), None)


def pair(uid: str, before: float, after: float, problem_type: str = "OCR", data_type: str = "image") -> Pair:
    return Pair(item(uid, before, problem_type, data_type), item(uid, after, problem_type, data_type))


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_fetches_nothing(make_run: Callable[..., Path]) -> None:
    html = page(make_run())
    addresses = list(loads(html))
    assert len(addresses) > 20
    assert all(address.startswith("data:") for address in addresses)
    assert "default-src 'none'" in html and "<script" not in html
    pictures = [a for a in addresses if a.startswith("data:image/")]
    for address in pictures:
        Image.open(BytesIO(base64.b64decode(address.split(",", 1)[1]))).load()


def test_accuracy_is_a_mean_score_and_the_family_is_that_of_config_json(make_run: Callable[..., Path]) -> None:
    """Rewards may be graded, so that no share of right answers is spoken of."""
    folder = make_run()
    html = page(folder)
    assert "Mean score of the responses: 100% for a right one" in html and "responses that are right" not in html
    assert "ral · tiny · 2026" in html  # nothing says the family
    (folder / "hf").mkdir()
    (folder / "hf" / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    assert "ral · tiny (qwen2_5_vl) · 2026" in page(folder)


def test_the_page_states_the_numbers_of_the_files(make_run: Callable[..., Path]) -> None:
    html = page(make_run())
    before, after = (Fraction(sum(map(right, range(21))), 21) for right in (before_right, after_right))
    assert f"from {float(100 * before):.1f}% to {float(100 * after):.1f}% on 21 evaluation items" in html
    assert f"+{float(100 * (after - before)):.1f} points" in html
    grounded = [Fraction(1, 4) * (1 + share) for share in (before, after)]
    assert f"from {float(100 * grounded[0]):.1f}% to {float(100 * grounded[1]):.1f}%" in html
    assert all(f"<th>{name}</th>" in html for name in (*PROBLEM_TYPES, "all items", "pictures", "clips"))
    assert html.count("<article") == 8
    for text in ("my-run", "ral · tiny · 2026-02-04", "3.11.7", "metrics.jsonl"):
        assert text in html


def test_panels_only_for_what_was_logged(make_run: Callable[..., Path]) -> None:
    html = page(make_run())
    assert "<h3>Reward</h3>" in html and "<h3>Distance from the start</h3>" in html
    assert "<h3>Entropy</h3>" not in html and "<h3>Loss</h3>" not in html


def test_a_supervised_run_without_evaluation(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    write_lines(folder / "metrics.jsonl", [{"step": s, "train/loss": 2 / (s + 1)} for s in range(12)])
    for name in ("before", "after"):
        (folder / f"eval/{name}.jsonl").unlink()
    html = page(folder)
    assert "<h3>Loss</h3>" in html and "<h3>Reward</h3>" not in html
    assert "not evaluated" in html and "<article" not in html


def test_an_interrupted_run_shows_what_there_is(make_run: Callable[..., Path]) -> None:
    folder = make_run(steps=5)
    (folder / "eval/after.jsonl").unlink()
    (folder / "environment.json").unlink()
    html = page(folder)
    assert "not evaluated after training" in html and "environment.json is missing" in html
    assert "the last logged step is 5 of 12" in html
    assert "Before training, accuracy was 33.3% on 21 evaluation items." in html
    assert html.count("<article") == 8 and "attention before" in html and "attention after" not in html


def test_a_line_cut_off_at_the_end_is_noted_and_one_inside_is_left_out(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run()
    metrics = folder / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + '{"step": 13, "train/rew')
    assert "The last line of metrics.jsonl was cut off" in page(folder)
    assert not capsys.readouterr().err
    metrics.write_text('{"step": 13, "train/rew\n[1]\n' + whole)
    html = page(folder)
    assert "metrics.jsonl line 1: not valid JSON" in html and "line 2: must be an object" in html
    assert "<h3>Reward</h3>" in html
    warned = capsys.readouterr().err
    assert warned.startswith("warning: report: ") and "(2 such" in warned and warned.count("\n") == 1


def test_no_run_folder_is_an_error_that_names_it(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / "config.yaml").unlink()
    with pytest.raises(UserError, match=re.escape(f"{folder}: no config.yaml")):
        build(folder)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("metrics.jsonl", None, "metrics.jsonl is missing"),
        ("metrics.jsonl", "", "metrics.jsonl is empty"),
        ("metrics.jsonl", '{"step": 1, "train/reward": NaN}\n{"train/reward": 1}\n{"step": "x"}\n', "Curves"),
        ("metrics.jsonl", '{"step": 1, "train/kl": 1e308}\n{"step": 2, "train/kl": -1e308}\n', "Curves"),
        ("config.yaml", "a: [1", "not valid yaml"),
        ("config.yaml", "- 1", "must be a mapping"),
        ("environment.json", "[]", "must be one object"),
        ("eval/after.jsonl", "", "after.jsonl is empty"),
        (".hydra/hydra.yaml", "hydra: 3", "unknown shape"),
    ],
)
def test_no_content_of_a_file_ends_the_page(
    make_run: Callable[..., Path], name: str, text: str | None, said: str
) -> None:
    folder = make_run(count=4)
    (folder / name).parent.mkdir(exist_ok=True)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    assert said in page(folder)


def test_a_panel_that_cannot_be_drawn_is_named_and_the_others_stand(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(lines: list[Series], theme: Any, unit: str) -> bytes:
        if lines[0].name == "KL":
            raise ZeroDivisionError("by zero")
        return panel(lines, theme)

    monkeypatch.setattr(panels, "panel", broken)
    html = page(make_run(count=4))
    assert "the panel Distance from the start could not be drawn (ZeroDivisionError: by zero)" in html
    assert "<h3>Reward</h3>" in html and "<h3>Distance from the start</h3>" not in html
    assert "Distance from the start" in capsys.readouterr().err


def test_items_that_share_a_uid_are_told_apart_by_order(make_run: Callable[..., Path]) -> None:
    """LLaVA's files repeat the id of the picture."""
    folder = make_run()
    for name, right in (("before", [False, False, True]), ("after", [True, False, True])):
        write_lines(folder / f"eval/{name}.jsonl", [{**row(1, r, folder), "uid": "same"} for r in right])
    html = page(folder)
    assert "on 3 evaluation items" in html and "from 33.3% to 66.7%" in html and "same (3)" in html
    assert "1 uids occur more than once, such as same" in html


@pytest.mark.parametrize("without", ["format", "grounding", "attention", "evidence", "options", "answer", "media"])
def test_records_without_a_field_that_not_every_run_has(
    make_run: Callable[..., Path], without: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run()
    for name in ("before", "after"):
        rows = [row(i, i % 2 == 0, folder) for i in range(4)]
        write_lines(folder / f"eval/{name}.jsonl", [{k: v for k, v in r.items() if k != without} for r in rows])
    assert "on 4 evaluation items" in page(folder)
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("accuracy", None, "field accuracy is None"),
        ("accuracy", float("nan"), "field accuracy is nan"),
        ("uid", None, "field uid is missing"),
        ("data_type", "audio", "field data_type is &#39;audio&#39;"),
        ("question", None, "field question is missing"),
        ("format", "good", "field format is &#39;good&#39;"),
        ("evidence", [{"box": [0, 1]}], "field evidence"),
        ("attention", {"grid": [1, 2, 2], "weights": [1.0]}, "1 weights for grid 1x2x2"),
        ("attention", {"grid": [1, 1, 2], "weights": [1.5, -0.5]}, "negative"),
    ],
)
def test_damaged_items_are_named_by_file_line_and_field(
    make_run: Callable[..., Path], field: str, value: Any, message: str
) -> None:
    """Without uid or accuracy the item is left out, else the field alone."""
    folder = make_run()
    rows = [row(i, True, folder) for i in range(3)]
    rows[1][field] = value
    write_lines(folder / "eval/after.jsonl", rows)
    html = page(folder)
    assert re.search(r"Left out: [^<]*after\.jsonl line 2: [^<]*" + re.escape(message), html), html[:4000]
    assert f"on {2 if field in ('uid', 'accuracy') else 3} evaluation items" in html


def test_hostile_text_is_escaped_everywhere(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    hostile = {key: HOSTILE for key in ("uid", "question", "gold", "response", "answer", "problem_type")}
    rows = [{**row(0, True, folder), **hostile, "options": [HOSTILE], "media": [f"/none/{HOSTILE}"]}]
    write_lines(folder / "eval/before.jsonl", rows)
    write_lines(folder / "eval/after.jsonl", rows)
    (folder / "config.yaml").write_text(f"name: '{HOSTILE}'\nalgo: '{HOSTILE}'\n")
    (folder / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE}))
    (folder / "<script>.txt").write_text("")
    html = page(folder)
    assert "<script" not in html and "<img src=http" not in html
    assert html.count("&lt;script&gt;") >= 9


def test_half_a_character_does_not_stop_the_page(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    write_lines(folder / "eval/after.jsonl", [{**row(0, True, folder), "response": "half \ud83d end"}])
    assert "half ? end" in page(folder)


def test_unreadable_media_become_notes(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / "picture.png").unlink()
    (folder / "clip.mp4").write_bytes(b"no clip")
    html = page(folder)
    assert html.count("cannot be shown") == 8 and str(folder / "picture.png") in html


def test_items_on_one_side_alone_are_left_out_with_a_note(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    write_lines(folder / "eval/after.jsonl", [row(i, True, folder) for i in range(5)])
    html = page(folder)
    assert "16 evaluated items occur on one side alone" in html and "on 5 evaluation items" in html


def test_hydra_choices_name_algo_and_model(make_run: Callable[..., Path]) -> None:
    folder = make_run()
    (folder / ".hydra").mkdir()
    (folder / ".hydra/hydra.yaml").write_text("hydra: {runtime: {choices: {algo: ral_zero, model: qwen2vl}}}\n")
    assert "ral_zero · qwen2vl" in page(folder)


def test_the_script_rebuilds_and_reports_errors(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script = load_script("report")
    folder = make_run()
    target = folder.parent / "other.html"
    assert script.main([str(folder), "--output", str(target)]) == 0
    assert target.is_file() and not (folder / "report.html").exists()
    assert capsys.readouterr().out.strip() == str(target)
    assert script.main([str(folder / "eval")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert script.main([str(folder), "--output", str(folder / "no" / "where.html")]) == 1


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_bootstrap_agrees_with_the_normal_interval() -> None:
    values = np.random.default_rng(3).integers(0, 2, (400, 1)).astype(float)
    (found,) = bootstrap(values)
    reach = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - reach, abs=0.01)
    assert found.high == pytest.approx(values.mean() + reach, abs=0.01)
    assert bootstrap(values) == [found]


def test_the_change_is_compared_item_by_item() -> None:
    pairs = [pair(str(i), float(i % 2), float(i % 2)) for i in range(10)]
    whole = table(pairs)[0]
    assert whole.accuracy.change == Estimate(0.0, 0.0, 0.0)
    assert (before := whole.accuracy.before) is not None and before.low < 0.5 < before.high


def test_table_rows_split_by_type_then_kind() -> None:
    pairs = [pair("a", 0, 1, "OCR", "video"), pair("b", 0, 1, "own type"), pair("c", 1, 1, "numerical")]
    rows = table(pairs)
    assert [(r.name, r.n) for r in rows] == [
        ("all items", 3), ("numerical", 1), ("OCR", 1), ("own type", 1), ("pictures", 2), ("clips", 1),
    ]  # fmt: skip
    assert rows[1].accuracy.change == Estimate(0, 0, 0) and rows[2].accuracy.change == Estimate(1, 1, 1)
    assert table([]) == []


def test_match_pairs_by_uid_not_by_order() -> None:
    before, after = [item("a", 0), item("b", 1)], [item("b", 0), item("a", 1), item("c", 1)]
    pairs, note = match(before, after)
    assert [(p.item.uid, category(p)) for p in pairs] == [("a", "fixed"), ("b", "broken")]
    assert note is not None and note.startswith("1 ")


def test_selection_is_mixed_and_does_not_depend_on_order() -> None:
    pairs = [
        pair(f"{i:03d}", float(i % 2), float(i % 4 < 2), PROBLEM_TYPES[i // 4 % 5], "video" if i // 20 % 2 else "image")
        for i in range(120)
    ]
    chosen = select(pairs)
    assert chosen == select(pairs[::-1]) and len(chosen) == 8
    assert [category(p) for p in chosen] == [c for c in ("fixed", "broken", "wrong", "right") for _ in range(2)]
    assert {p.item.asked.problem_type for p in chosen} == set(PROBLEM_TYPES)
    assert sum(p.item.asked.data_type == "video" for p in chosen) == 4


def test_selection_fills_up_when_a_category_is_empty() -> None:
    pairs = [pair(str(i), 0, 1) for i in range(9)] + [pair("x", 1, 0)]
    assert sorted(category(p) for p in select(pairs)) == ["broken"] + ["fixed"] * 7
    assert len(select(pairs[:3])) == 3


def test_series_sorts_keeps_the_last_and_drops_what_is_not_finite() -> None:
    rows = [{"step": 2, "x": 5}, {"step": 1, "x": 1}, {"step": 2, "x": 6}, {"step": 3, "x": float("nan")}, {"step": 4}]
    assert series(rows, "x") == ([1, 2], [1.0, 6.0])


def test_every_part_of_a_run_is_explained() -> None:
    parts = {pattern.split("/")[0] for pattern in WRITTEN} - {"*.partial"}
    assert parts == set(FILE_NOTES), "what a run writes, and the list of files on its page"


def test_words() -> None:
    ends = panels.draw_panels([{"step": step, "train/loss": value} for step, value in ((1, -0.5), (2, 1e-7))])[0].ends
    assert ends == "−0.5 → 1e−07", "signs as on the axes"
    assert [points(x) for x in (0.125, -0.2, 0.0, -0.0001)] == ["+12.5", "−20.0", "0.0", "0.0"]
    assert [size(n) for n in (999, 12_345, 4_000_000)] == ["999 B", "12.3 kB", "4.0 MB"]
    assert progress_note({"max_steps": 5}, ({"step": 5},)) is None
    assert headline(None).startswith("The model was not evaluated") and details(None) == ""
    unsure = table([pair("a", 0, 1), pair("b", 1, 0), pair("c", 0, 1)])[0]
    assert "may be chance" in details(unsure) and "may be chance" not in details(table([pair("a", 0, 1)])[0])


# --- pictures ---------------------------------------------------------------------------------------------------------

GROUND = np.full((56, 112, 3), 200, dtype=np.uint8)


def test_overlay_lights_the_attended_cell_alone() -> None:
    picture = GROUND.copy()
    image = np.asarray(overlay(picture, np.array([[0.0, 0.0], [0.0, 0.7]]), None), dtype=float)
    assert image.shape == (112, 224, 3) and (picture == GROUND).all()
    hot, cold = image[60:, 120:], image[:50, :100]
    assert hot.mean() < 0.6 * cold.mean() and cold.min() > 200  # light where nobody looks, dark where all do
    assert np.ptp(cold.reshape(-1, 3), axis=0).max() == 0
    assert abs(hot[..., 0].mean() - hot[..., 1].mean()) > 30  # coloured


def test_overlay_peak_makes_two_maps_comparable() -> None:
    weak, strong = np.full((2, 2), 0.1), np.full((2, 2), 0.4)
    assert overlay(GROUND, weak, None).tobytes() == overlay(GROUND, strong, None).tobytes()
    shared = [np.asarray(overlay(GROUND, w, None, peak=0.4)).mean() for w in (weak, strong)]
    assert shared[0] > shared[1] + 40
    assert (
        np.asarray(overlay(GROUND, np.zeros((2, 2)), None)).min() > 200
    )  # no attention at all: pale, no division by 0


def test_the_colours_darken_from_no_heat_to_full() -> None:
    bar = np.asarray(colour_bar(256, 2), dtype=float)
    brightness = bar[0] @ (0.299, 0.587, 0.114)
    assert bar.shape == (2, 256, 3) and brightness[0] == pytest.approx(255) and (np.diff(brightness) <= 1).all()
    assert brightness[-1] < 110 and gradient().count("rgba(") == len(RAMP)


def test_outline_follows_the_box() -> None:
    image = np.asarray(outline(enlarge(GROUND), [(0.5, 0.25, 1.0, 0.75)]), dtype=int)
    white = np.argwhere((image == 255).all(axis=-1))
    top, left = white.min(axis=0)
    bottom, right = white.max(axis=0)
    assert abs(left - 112) <= 2 and abs(right - 223) <= 2 and abs(top - 28) <= 2 and abs(bottom - 84) <= 2
    assert (image[40:70, 120:215] == 200).all()  # hollow
    boxed = overlay(GROUND, np.ones((1, 1)), (0.5, 0.25, 1.0, 0.75))
    assert boxed.tobytes() == outline(overlay(GROUND, np.ones((1, 1)), None), [(0.5, 0.25, 1.0, 0.75)]).tobytes()


@pytest.mark.parametrize(
    ("shape", "expected"), [((28, 56), (224, 112)), ((300, 200), (200, 300)), ((896, 448), (224, 448))]
)
def test_enlarge_bounds_the_longer_side(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert enlarge(np.zeros((*shape, 3), dtype=np.uint8)).size == expected


def test_slots_show_the_frame_in_their_middle() -> None:
    attention = Attention((4, 1, 1), (0.25,) * 4, 2.0)
    assert slots(attention, 8, 1.0) == [(0, 1, 0, 2), (1, 3, 2, 4), (2, 5, 4, 6), (3, 7, 6, 8)]
    assert slots(attention, 16, 0.5)[1] == (1, 6, 2, 4)  # read at another rate than the model's
    long = slots(Attention((64, 1, 1), (1 / 64,) * 64, 2.0), 128, 1.0)
    assert len(long) == 8 and long[0][0] == 0 and long[-1] == (63, 127, 126, 128)
    assert slots(None, 1, 0.0) == [(0, 0, 0, 0)]


def test_a_clip_outlines_the_evidence_only_while_it_holds(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    weights = np.zeros((4, 2, 2))
    weights[1, 0, 0] = 1.0
    plain = item("a", 1.0, data_type="video")
    side = replace(
        plain,
        asked=replace(plain.asked, media=(tmp_path / "clip.mp4",)),
        evidence=(Evidence((0.0, 0.0, 0.5, 0.5), (2.0, 4.0)),),
        attention=Attention((4, 2, 2), tuple(weights.ravel()), 2.0),
    )
    frames = torch.full((8, 64, 64, 3), 90, dtype=torch.uint8)
    card = make_card(Pair(None, side), lambda medium: Pixels(medium.kind, frames, 1.0))
    plain, heat = card.strips
    assert plain.captions == ("0-2 s", "2-4 s", "4-6 s", "6-8 s") and heat.captions[1] == "100.0%"
    assert [decode(image).max() > 200 for image in plain.images] == [False, True, False, False]
    brightness = [decode(image)[10:60, 10:60, 0].mean() for image in heat.images]
    assert brightness[1] < 0.8 * min(brightness[0], brightness[2], brightness[3]) and card.peak == "100.0%"


def test_a_reader_is_asked_for_the_right_medium(tmp_path: Path) -> None:
    (tmp_path / "p.png").touch()
    asked: list[Media] = []

    def read(medium: Media) -> Pixels:
        asked.append(medium)
        return Pixels("image", torch.zeros(1, 28, 28, 3, dtype=torch.uint8))

    plain = item("a", 0.5)
    side = replace(plain, asked=replace(plain.asked, media=(tmp_path / "p.png", tmp_path / "q.png")))
    card = make_card(Pair(side, side), read)
    assert asked == [Media("image", tmp_path / "p.png")]
    assert len(card.strips) == 1 and "first of 2 media" in card.note
    assert [(a.when, a.sign, a.words) for a in card.answers] == [
        ("before", "≈", "scores 50.0%"), ("after", "≈", "scores 50.0%"),
    ]  # fmt: skip


def decode(address: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGB"), dtype=float)


# --- curves -----------------------------------------------------------------------------------------------------------


def test_smoothing_ignores_single_wild_steps() -> None:
    straight = np.linspace(0, 1, 200)
    wild = straight.copy()
    wild[50], wild[120] = 1000, -1000
    bent = np.abs(smooth(wild) - straight)
    assert bent[10:-10].max() < 0.02 and bent.max() < 0.04  # ends are reflected: a slope flattens there
    assert len(smooth(wild)) == 200
    assert smooth([3.0, 1.0, 2.0]).tolist() == [3.0, 1.0, 2.0]


def test_a_panel_is_pure_and_survives_odd_series() -> None:
    line = Series("x", range(30), np.sin(np.arange(30)).tolist())
    assert panel([line]) == panel([line]) != panel([line], DARK)
    for values in ([1.0], [2.0] * 40, [0.0, 1e12], [1e-9] * 3):
        png = panel([Series("x", range(len(values)), values)], LIGHT)
        assert Image.open(BytesIO(png)).size[0] > 400
    assert panel([line, Series("y", [0, 29], [0.1, 0.2], dots=True)]) != panel([line])


def test_reading_a_run_gives_records(make_run: Callable[..., Path]) -> None:
    run = read_run(make_run())
    assert run.after is not None and run.after[1].evidence == (Evidence((0.0, 0.0, 0.5, 0.5), None),)
    assert run.after[0].attention == Attention((4, 2, 2), (1 / 16,) * 16, 2.0)
    assert run.notes == ()
