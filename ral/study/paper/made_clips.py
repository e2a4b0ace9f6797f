"""The paper's seven video benchmarks in miniature: published columns, splits and file names, synthetic questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ral.evaluation.benchmarks import mvbench as mvbench_layout
from ral.evaluation.benchmarks import videommmu as videommmu_layout
from ral.study.paper.made_questions import FIRST_WAY, MOVES, Asked, ask, write_rows
from ral.worlds.draw import write_clip

ITEMS = 6
"""Number of questions of a benchmark without subtasks."""


def write(asked: Asked, path: Path) -> None:
    """Write the video of a question's scene to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(asked.scene, path)


def ways(count: int, first: int) -> list[Asked]:
    """Return `count` questions about videos, from number `first` on, whose options are four directions."""
    return ask(FIRST_WAY, count, first, clips=True)


def longvideobench(folder: Path) -> None:
    """Write a small copy of LongVideoBench's layout to `folder`: made videos, and one parquet file of questions.

    A question has five columns of options. The last one is "N/A", as LongVideoBench fills columns that have no option.
    """
    rows = []
    for n, q in enumerate(ways(ITEMS, 0)):
        write(q, folder / "videos" / f"v{n}.mp4")
        options = {f"option{k}": word for k, word in enumerate((*q.options, "N/A"))}
        row = {"id": f"v{n}_0", "video_id": f"v{n}", "video_path": f"v{n}.mp4", "question": q.text, **options}
        kinds = {"question_category": "T3E", "topic_category": "KH-Knowledge-History", "subtitle_path": f"v{n}.json"}
        rows.append({**row, **kinds, "correct_choice": "ABCD".index(q.letter), "duration_group": (15, 60)[n % 2]})
    write_rows(folder / "validation-00000-of-00001.parquet", rows)


def nextqa(folder: Path) -> None:
    """Write a small copy of NExT-QA's layout to `folder`: five options a question, videos in numbered folders."""
    rows = []
    for n, q in enumerate(ways(ITEMS, 10)):
        write(q, folder / "NExTVideo" / "1164" / f"{100 + n}.mp4")
        row = {"video": 100 + n, "frame_count": 8, "width": 84, "height": 84, "question": q.text}
        options = {f"a{k}": word for k, word in enumerate((*q.options, "it did not move"))}
        rows.append({**row, "answer": "ABCD".index(q.letter), "qid": n, "type": ("CW", "TN", "DO")[n % 3], **options})
    write_rows(folder / "MC" / "test-00000-of-00001.parquet", rows)


def videomme(folder: Path) -> None:
    """Write a small copy of Video-MME's layout to `folder`: options begin with their letters."""
    rows = []
    for n, q in enumerate(ways(ITEMS, 20)):
        write(q, folder / "data" / f"clip{n}.mp4")
        row = {"video_id": f"{n:03d}", "duration": ("short", "medium", "long")[n % 3], "domain": "Knowledge"}
        facts = {"sub_category": "Geography", "url": "", "videoID": f"clip{n}", "question_id": f"{n:03d}-1"}
        options = [f"{letter}. {word}." for letter, word in zip("ABCD", q.options, strict=True)]
        asked = {"task_type": "Action Recognition", "question": q.text, "options": options, "answer": q.letter}
        rows.append({**row, **facts, **asked})
    write_rows(folder / "videomme" / "test-00000-of-00001.parquet", rows)


def videommmu(folder: Path) -> None:
    """Write a small copy of Video-MMMU's layout to `folder`: three tracks, one of which has open questions too."""
    choices, opened = ways(4, 30), ask(MOVES, 2, 40, clips=True)
    for n, q in enumerate((*choices, *opened)):
        write(q, folder / "Science" / f"dev_Biology_{n}.mp4")
    common = {"link_selected": ""}
    chosen = [
        {"id": f"dev_Biology_{n}", "question": q.text, "answer": q.letter, "question_type": "multiple-choice", **common}
        for n, q in enumerate(choices)
    ]
    numbers = [
        {"id": f"dev_Biology_{4 + n}", "question": q.text, "answer": q.answer, "question_type": "open", **common}
        for n, q in enumerate(opened)
    ]
    for track in videommmu_layout.TRACKS:
        rows = [{**row, "options": list(q.options)} for row, q in zip(chosen, choices, strict=True)]
        last = [{**row, "options": []} for row in numbers] if track == "Adaptation" else []
        write_rows(folder / track / "test-00000-of-00001.parquet", rows + last)


def lvbench(folder: Path) -> None:
    """Write a small copy of LVBench's layout to `folder`: options stand inside the question's text."""
    kinds = (["entity recognition"], ["event understanding", "reasoning"])
    rows = []
    for n, q in enumerate(ways(ITEMS, 50)):
        write(q, folder / "all_videos" / f"long{n}.mp4")
        row = {"uid": str(n), "video_path": f"long{n}.mp4", "question": f"{q.text}\n{q.bracketed}", "answer": q.letter}
        rows.append({**row, "time_reference": "00:00-00:08", "type": "cartoon", "question_type": kinds[n % 2]})
    write_rows(folder / "data" / "train-00000-of-00001.parquet", rows)


def mvbench(folder: Path) -> None:
    """Write a small copy of MVBench's layout to `folder`: a JSON file a task, videos in folders of their sources."""
    (folder / "json").mkdir(parents=True, exist_ok=True)
    for number, (task, place) in enumerate(mvbench_layout.FOLDERS.items()):
        rows = []
        for n, q in enumerate(ways(2, 60 + 2 * number)):
            write(q, folder / "video" / place / f"{task}_{n}.mp4")
            row = {"video": f"{task}_{n}.mp4", "question": q.text, "candidates": list(q.options), "answer": q.answer}
            rows.append(row)
        (folder / "json" / f"{task}.json").write_text(json.dumps(rows), encoding="utf-8")


def tempcompass(folder: Path) -> None:
    """Write a small copy of TempCompass's layout to `folder`.

    Each video has three questions: a choice of options, one for yes or no, and a choice of sentences.
    """
    rows: dict[str, list[dict[str, str]]] = {"multi-choice": [], "yes_no": [], "caption_matching": []}
    for n, q in enumerate(ways(4, 110)):
        write(q, folder / "videos" / f"{500 + n}.mp4")
        one = {"video_id": str(500 + n), "dim": ("direction", "action")[n % 2]}
        lettered = [f"{letter}. {word}" for letter, word in zip("ABCD", q.options, strict=True)]
        subject = q.text.removeprefix("Which way did ").removesuffix(" go first?")
        other = next(word for word in q.options if word != q.answer)
        said = q.answer if n % 2 else other
        told = [f"Sentence {name}: {subject} goes {way} first." for name, way in (("A", q.answer), ("B", other))]
        rows["multi-choice"] += [
            {**one, "question": "\n".join((q.text, *lettered)), "answer": lettered["ABCD".index(q.letter)]}
        ]
        rows["yes_no"] += [{**one, "question": f"Did {subject} go {said} first?", "answer": ("no", "yes")[n % 2]}]
        rows["caption_matching"] += [
            {**one, "question": "\n".join(("Which sentence matches the video?", *told)), "answer": told[0]}
        ]
    for task, own in rows.items():
        write_rows(folder / task / "test-00000-of-00001.parquet", own)


MAKERS: Mapping[str, Callable[[Path], None]] = {
    **{"longvideobench": longvideobench, "nextqa": nextqa, "videomme": videomme, "videommmu": videommmu},
    **{"lvbench": lvbench, "mvbench": mvbench, "tempcompass": tempcompass},
}
