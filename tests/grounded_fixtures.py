"""Three rows of each dataset of `ral.data.grounded`, in its published keys and types, with tiny pictures."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
from PIL import ExifTags, Image
from pyarrow import parquet

VSTAR = {
    "direct_attributes/sa_4690": {
        "target_object": ["glove"],
        "bbox": [[20, 28, 40, 14]],
        "question": "What is the material of the glove?",
        "options": ["The glove is rubber.", "The glove is cotton.", "The glove is kevlar.", "The glove is leather."],
    },
    "direct_attributes/sa_5": {
        "target_object": ["dog"],
        "bbox": [[0, 0, 100, 56]],
        "question": "What is the color of the dog?",
        "options": ["The dog is white.", "The dog is black."],
    },
    "relative_position/sa_79958": {
        "target_object": ["ladder", "wagon"],
        "bbox": [[10, 14, 20, 28], [60, 0, 20, 14]],
        "question": "Is the steel ladder on the left or right side of the wagon?",
        "options": ["The ladder is on the left side.", "The ladder is on the right side."],
    },
}
SIDES = (200, 112)

GQA = (
    ("2574374895", "what did the baby do after throwing the cup", "lay on floor", "8", "TN", [[2.5, 7.0]]),
    ("3083302557", "what did the lady do while turning back", "thumbs up", "3", "TC", [[0.5, 3.0], [10.0, 12.5]]),
    ("3621121750", "why did the boy punch his hand forwards", "dancing", "2", "CW", [[0.0, 15.0]]),
)
OPTIONS = ("a0", "a1", "a2", "a3", "a4")
OTHERS = ("clap", "crawl", "walk away", "he is bored")

VISCOT = (
    ("flickr30k/1.jpg", "[20, 28, 60, 42]", "What is the man holding?", "[0.1, 0.36, 0.3, 0.43]", "A rope."),
    ("docvqa/2.jpg", "[0, 56, 200, 112]", "What is the date?", "[0.0, 0.5, 1.0, 0.78]", "May 4"),
    ("gqa/3.jpg", "[150, 100, 203, 113]", "Which side is the lamp on?", "[0.75, 0.72, 1.015, 0.785]", "Right"),
)
ASKED = " Please provide the bounding box coordinate of the region that can help you answer the question better."


def picture(file: Path, sides: tuple[int, int] = SIDES) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", sides, (90, 60, 7)).save(file)


def vstar(folder: Path, rows: Mapping[str, Any] = VSTAR) -> Path:
    for name, row in rows.items():
        picture(folder / f"{name}.jpg")
        (folder / f"{name}.json").write_text(json.dumps(row))
    return folder


def nextgqa(folder: Path, split: str = "test", first: Mapping[str, Any] | None = None) -> Path:
    """first: cells of the first question that differ, or `times`, what is known of its clip."""
    times: dict[str, Any] = {}
    videos = {row[0]: f"0101/{row[0]}" for row in GQA}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{split}.csv").open("w", newline="") as file:
        names = ["video_id", "frame_count", "width", "height", "question", "answer", "qid", "type", *OPTIONS]
        out = csv.writer(file)
        out.writerow(names)
        for n, (video, question, answer, qid, kind, spans) in enumerate(GQA):
            cells = [video, 450, 320, 240, question, answer, qid, kind, *OTHERS[:2], answer, *OTHERS[2:]]
            given = first if n == 0 and first else {}
            out.writerow([given.get(name, cell) for name, cell in zip(names, cells, strict=True)])
            times[video] = {"duration": 15, "location": {qid: spans}, "fps": 29.97}
            clip = folder / "NExTVideo" / f"{videos[video]}.mp4"
            clip.parent.mkdir(parents=True, exist_ok=True)
            clip.write_bytes(b"\0\0\0\x18ftypmp42")
    if first and "times" in first:
        times[GQA[0][0]] = first["times"]
    (folder / f"gsub_{split}.json").write_text(json.dumps(times))
    (folder / "map_vid_vidorID.json").write_text(json.dumps(videos))
    return folder


def viscot_rows() -> list[dict[str, Any]]:
    return [
        {
            "image": [f"cot/{file}", f"cot/{file}###{box}"],
            "conversations": [
                {"from": "human", "value": f"<image>\n{question}{ASKED}"},
                {"from": "gpt", "value": padded},
                {"from": "human", "value": "<image>"},
                {"from": "gpt", "value": answer},
            ],
        }
        for file, box, question, padded, answer in VISCOT
    ]


def viscot(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    for file, *_ in VISCOT:
        picture(folder / "cot" / file)
    (folder / "viscot_363k.json").write_text(json.dumps(viscot_rows() if rows is None else rows))
    return folder / "viscot_363k.json"


def encoded(kind: str = "PNG", turned: bool = False) -> bytes:
    """A picture of SIDES as a file; turned: by its EXIF."""
    content, picture = io.BytesIO(), Image.new("RGB", SIDES, (7, 90, 60))
    exif = picture.getexif()
    if turned:
        exif[ExifTags.Base.Orientation] = 6
    picture.save(content, kind, exif=exif)
    return content.getvalue()


def stored(content: bytes | None = None) -> dict[str, Any]:
    """A picture as parquet files of the hub hold it."""
    return {"bytes": encoded() if content is None else content, "path": "1.png"}


def table(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file


def refcoco_rows() -> list[dict[str, Any]]:
    said = (["man on the left", "left guy"], ["the red car"], ["dog"])
    boxes = ([20.0, 28.0, 40.0, 14.0], [0.0, 56.0, 200.0, 56.0], [100.5, 14.0, 50.0, 28.0])
    shared = {"question": "Caption the region.", "segmentation": [1.0, 2.0, 3.0, 4.0], "iscrowd": 0}
    rows = [{"question_id": str(n), "image": stored(), "answer": a} for n, a in enumerate(said)]
    return [{**row, **shared, "bbox": box, "file_name": "COCO_1.jpg"} for row, box in zip(rows, boxes, strict=True)]


def refcoco(folder: Path) -> Path:
    return table(folder / "data/val-00000-of-00001.parquet", refcoco_rows()).parent


def saliency_rows() -> list[dict[str, Any]]:
    boxes = ("[0.1, 0.25, 0.3, 0.375]", "[0.0, 0.5, 1.0, 1.0]", "[0.75, 0.9, 1.0, 1.01]")
    asked = (("What is the man holding?", "A rope"), ("What is the date?", "May 4"), ("Which side?", "Right"))
    rows = [{"image": stored(), "problem": q, "solution": a} for q, a in asked]
    return [{**row, "bbox": box} for row, box in zip(rows, boxes, strict=True)]


def zwz_rows(folder: Path) -> list[dict[str, Any]]:
    picture(folder / "original/1.png")
    boxes = ([20.0, 28.0, 60.0, 42.0], [0.0, 56.0, 200.0, 112.0], [150.0, 100.0, 203.0, 113.0])
    pictures = {"images": ["bbox_images/1.png"], "original_images": ["original/1.png"]}
    problem = "What is on the sign?\nA. a fish\nB. a bird"
    return [{**pictures, "problem": problem, "answer": "B", "bbox": box, "status": "ok"} for box in boxes]


TREE = (
    ("Attributes", "What is the color of the door?", "A. red\nB. blue\nC. white\nD. green", "B", "[[20, 28, 60, 42]]"),
    (
        "Comparison",
        "Which is larger?",
        "A. the left one\nB. the right one",
        "A",
        "[[0, 0, 100, 56], [100, 0, 200, 56]]",
    ),
    ("OCR", "What does the sign say?\nA. STOP\nB. GO", "", "A", "[[10, 14, 30, 42]]"),
)


def treebench(folder: Path, first: Mapping[str, str] | None = None) -> Path:
    """first: cells of the first row that differ."""
    folder.mkdir(parents=True, exist_ok=True)
    picture_text = base64.b64encode(encoded("JPEG")).decode()
    with (folder / "TreeBench.tsv").open("w", newline="") as file:
        names = ["index", "image", "question", "multi-choice options", "answer", "category", "target_instances"]
        out = csv.writer(file, delimiter="\t")
        out.writerow(names)
        for n, (category, question, options, answer, own) in enumerate(TREE):
            cells = [n, picture_text, question, options, answer, category, own]
            given = first if n == 0 and first else {}
            out.writerow([given.get(name, cell) for name, cell in zip(names, cells, strict=True)])
    return folder / "TreeBench.tsv"


HOPS = (
    (
        "1hop",
        "ego",
        "(a) red cup, (b) tall lamp, (c) cat, asleep, (d) grey sofa",
        "(c) cat, asleep",
        [20.0, 28.0, 40.0, 14.0],
    ),
    ("2hop", "exo", "(a) fork, (b) knife", "(a) fork", [0.0, 56.0, 200.0, 56.0]),
    ("3hop", "ego", "(a) bin, (b) door, (c) tree", "(b) door", [150.5, -7.28, 60.0, 42.28]),
)


def multihop_rows() -> list[dict[str, Any]]:
    asked = "Seen from the chair, which thing is {}behind it{}? <choice>%s</choice> Give the box of your answer too."
    return [
        {
            **{"id": n, "image_path": f"{n:012}.jpg", "image_resolution": "200x112", "view": view, "hop": hop},
            **{"question": asked.format("", "") % options, "question_tag": asked.format("<POS>", "</POS>") % options},
            **{"answer": answer, "bbox": box},
        }
        for n, (hop, view, options, answer, box) in enumerate(HOPS, start=1)
    ]


def multihop_spatial(folder: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    for n in range(1, len(HOPS) + 1):
        picture(folder / "images" / f"{n:012}.jpg")
    (folder / "multihop_test_4500.json").write_text(json.dumps(multihop_rows() if rows is None else rows))
    return folder / "multihop_test_4500.json"
