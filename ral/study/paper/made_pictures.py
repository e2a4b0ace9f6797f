"""The paper's eight image benchmarks in miniature: published columns, splits and file names, synthetic questions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import ImageDraw

from ral.evaluation.benchmarks import blink as blink_layout
from ral.evaluation.benchmarks.mme import COGNITION
from ral.study.paper.made_questions import COLOR, COUNT, LOOKS, Asked, ask, png, stored, write_rows
from ral.worlds.draw import render

ITEMS = 8
"""Number of questions of a benchmark without subtasks."""
PERCEPTION = (
    *("existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"),
)
SELECT = "\nSelect from the following choices.\n"
STRIP = 44
"""Pixels below an image of MMMU-Pro's configuration `vision` that hold the question."""


def vstar(folder: Path) -> None:
    """Write a small copy of V*'s layout to `folder`: question and options in one text."""
    kinds = ("direct_attributes", "relative_position")
    rows = [
        {
            **{"image": png(q.scene), "text": f"{q.text}\n{q.bracketed}", "category": kinds[n % 2]},
            **{"label": q.letter, "question_id": str(n)},
        }
        for n, q in enumerate(ask(COLOR, ITEMS, 0))
    ]
    write_rows(folder / "data/test-00000-of-00001.parquet", rows, ["image"])


def mmmu_pro(folder: Path) -> None:
    """Write a small copy of MMMU-Pro's layout to `folder`: configurations `standard (10 options)` and `vision`.

    Options are the text of a Python list. In `vision` each question is part of its image.
    """
    subjects = ("Art", "Biology")
    rows = [
        {
            **{"id": f"test_{subjects[n % 2]}_{n}", "question": f"<image 1> {q.text}", "options": str(list(q.options))},
            **{"explanation": "?", "image_1": png(q.scene), "img_type": "['Diagrams']", "answer": q.letter},
            **{"topic_difficulty": "Easy", "subject": subjects[n % 2]},
        }
        for n, q in enumerate(ask(COLOR, ITEMS, 20))
    ]
    seen = [
        {"id": row["id"], "image": screenshot(q), **{k: row[k] for k in ("options", "answer", "subject")}}
        for row, q in zip(rows, ask(COLOR, ITEMS, 20), strict=True)
    ]
    write_rows(folder / "standard (10 options)/test-00000-of-00001.parquet", rows, ["image_1"])
    write_rows(folder / "vision/test-00000-of-00001.parquet", seen, ["image"])


def screenshot(asked: Asked) -> dict[str, Any]:
    """Return an image of a scene with question and options below it, as an image cell of the hub's parquet files."""
    scene = render(asked.scene.items, asked.scene.grid, asked.scene.background)
    canvas = scene.crop((0, 0, 2 * scene.width, scene.height + STRIP))
    ImageDraw.Draw(canvas).multiline_text((2, scene.height), f"{asked.text}\n{asked.bracketed}"[:200], font_size=8)
    return stored(canvas)


def mme(folder: Path) -> None:
    """Write a small copy of MME's layout to `folder`: two questions for each image, one answered by yes, one by no."""
    rows = []
    for n, (category, q) in enumerate(zip(2 * (*PERCEPTION, *COGNITION), ask(COLOR, 28, 40), strict=True)):
        other = next(word for word in q.options if word != q.answer)
        subject = q.text.removeprefix("What color is ").removesuffix("?")
        for color, answer in ((q.answer, "Yes"), (other, "No")):
            row = {"question_id": f"{category}/{n:04d}.png", "image": png(q.scene), "answer": answer}
            rows.append({**row, "question": f"Is {subject} {color}? Please answer yes or no.", "category": category})
    write_rows(folder / "data/test-00000-of-00001.parquet", rows, ["image"])


def muirbench(folder: Path) -> None:
    """Write a small copy of MuirBench's layout to `folder`: two images and options in words for each question."""
    rows = []
    for n, q in enumerate(ask(COLOR, ITEMS, 70)):
        other = ask(COLOR, 1, 80 + n)[0]
        pictures = [png(q.scene), png(other.scene)]
        rows.append(
            {
                **{"idx": str(n), "task": ("Counting", "Ordering")[n % 2], "image_relation": "Independent"},
                **{"image_type": "Graphics", "question": f"{q.text} <image> <image>", "options": list(q.options)},
                **{"answer": q.letter, "image_list": pictures, "counterpart_idx": ""},
            }
        )
    write_rows(folder / "data/test-00000-of-00001.parquet", rows, ["image_list"])


def chartqa(folder: Path) -> None:
    """Write a small copy of ChartQA's layout to `folder`: open questions, here for numbers."""
    rows = [
        {"type": ("human_test", "augmented_test")[n % 2], "question": q.text, "answer": q.answer, "image": png(q.scene)}
        for n, q in enumerate(ask(COUNT, ITEMS, 100))
    ]
    write_rows(folder / "data/test-00000-of-00001.parquet", rows, ["image"])


def vizwiz(folder: Path) -> None:
    """Write a small copy of VizWiz-VQA's layout to `folder`: ten annotators' answers to each question."""
    rows = [
        {
            **{"question_id": f"VizWiz_val_{n:08d}", "image": png(q.scene), "question": q.text},
            **{"answers": [q.answer] * 8 + [q.answer.split()[-1]] * 2, "category": "other"},
        }
        for n, q in enumerate(ask(LOOKS, ITEMS, 120))
    ]
    write_rows(folder / "data/val-00000-of-00001.parquet", rows, ["image"])


def prompted(asked: Asked) -> dict[str, Any]:
    """Return a question's cells of the columns that BLINK and CV-Bench share, {column: cell}."""
    return {
        **{"question": asked.text, "choices": list(asked.options), "answer": f"({asked.letter})"},
        "prompt": f"{asked.text}{SELECT}{asked.bracketed}",
    }


def blink(folder: Path) -> None:
    """Write a small copy of BLINK's layout to `folder`: a folder for each subtask."""
    for number, subtask in enumerate(blink_layout.SUBTASKS):
        rows = [
            {"idx": f"val_{subtask}_{n}", "sub_task": subtask, "image_1": png(q.scene), **prompted(q)}
            for n, q in enumerate(ask(COLOR, 2, 140 + 2 * number))
        ]
        write_rows(folder / subtask / "val-00000-of-00001.parquet", rows, ["image_1"])


def cv_bench(folder: Path) -> None:
    """Write a small copy of CV-Bench's layout to `folder`: one file of questions in 2D, one of questions in 3D."""
    kinds = (
        ("2D", "Count", "ADE20K"),
        ("2D", "Relation", "COCO"),
        ("3D", "Depth", "Omni3D"),
        ("3D", "Distance", "Omni3D"),
    )
    rows = [
        {
            **{"idx": n, "type": kinds[n % 4][0], "task": kinds[n % 4][1], "image": png(q.scene)},
            **{"source": kinds[n % 4][2], "filename": f"img/{n}.png", **prompted(q)},
        }
        for n, q in enumerate(ask(COLOR, 2 * ITEMS, 180))
    ]
    for kind in ("2D", "3D"):
        write_rows(folder / f"test_{kind.lower()}.parquet", [row for row in rows if row["type"] == kind], ["image"])


MAKERS: Mapping[str, Callable[[Path], None]] = {
    **{"vstar": vstar, "mmmu_pro": mmmu_pro, "mme": mme, "muirbench": muirbench},
    **{"chartqa": chartqa, "vizwiz": vizwiz, "blink": blink, "cv_bench": cv_bench},
}
