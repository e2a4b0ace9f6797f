"""MVBench (Li et al. 2023, arXiv 2311.17005): 20 tasks of 200 questions on short videos.

Dataset OpenGVLab/MVBench, revision `video`, whose videos are already cut to length. The first revision is not read: its
videos would have to be cut by start and end, and those of one task are folders of frames. Prompt and instruction are
lmms-eval's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import Items, Joined, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example, UserError

EXPECTED = "OpenGVLab/MVBench, revision video: json/TASK.json (or TASK/train-*.parquet) and the folders of clips"
COLUMNS = ("video", "question", "candidates", "answer")
INSTRUCTION = "Only give the best option.\n"
FOLDERS = {  # task -> where its clips lie
    "action_sequence": "star/Charades_segment",
    "action_prediction": "star/Charades_segment",
    "action_antonym": "ssv2_video_mp4",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "unexpected_action": "FunQA_test/test",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_segment",
    "object_shuffle": "perception/videos",
    "moving_direction": "clevrer/video_validation",
    "action_localization": "sta/sta_video_segment",
    "scene_transition": "scene_qa/video",
    "action_count": "perception/videos",
    "moving_count": "clevrer/video_validation",
    "moving_attribute": "clevrer/video_validation",
    "state_change": "perception/videos",
    "fine_grained_pose": "nturgbd_convert",
    "character_order": "perception/videos",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/video_fps3_hq_segment",
    "counterfactual_inference": "clevrer/video_validation",
}
ABOVE = ("", "video", "data0613")  # folders that the archives' folders may lie in


def load(path: str | Path, tasks: Sequence[str] = tuple(FOLDERS)) -> Sequence[Item]:
    """Return the items, task by task; group: the task. path: the downloaded folder.

    UserError for an unknown task, and for a folder of another layout.
    """
    if unknown := [task for task in tasks if task not in FOLDERS]:
        raise UserError(f"tasks: there is no '{unknown[0]}'; write some of {', '.join(FOLDERS)}")
    parts = [[{**row, "task": task, "number": n} for n, row in enumerate(table(path, task))] for task in tasks]
    clips = Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered([str(c) for c in row["candidates"]])
        shown = "".join(f"({option[0]}) {option[3:]}\n" for option in options)
        folder = FOLDERS[row["task"]]
        example = Example(
            uid=f"{row['task']}/{row['number']}",
            question=f"Question:{row['question']}\nOption:\n{shown}{INSTRUCTION}",
            answer=letter_of(row),
            problem_type="multiple choice",
            media=(clips.at(row["video"], [str(Path(above, folder)) for above in ABOVE]),),
            options=options,
        )
        return Item(example, group=row["task"])

    return Items(Joined(parts), item)


def table(path: str | Path, task: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of a task, from its JSON file or from its parquet files."""
    files = [Path(path).expanduser() / folder / f"{task}.json" for folder in ("json", "")]
    file = next((f for f in files if f.is_file()), None)
    return rows(file or path, "train", None if file else task, EXPECTED, COLUMNS)


def letter_of(row: Mapping[str, Any]) -> str:
    """Return the letter of the candidate that equals the row's answer. UserError where no candidate does."""
    if row["answer"] not in row["candidates"]:
        write = "fetch the dataset again"
        raise UserError(f"{row['task']}: the answer {row['answer']!r} is none of {row['candidates']}; {write}")
    return "ABCDEFGH"[list(row["candidates"]).index(row["answer"])]


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy (the mean over tasks, as the authors average) and the accuracy of each task."""
    parts = means(records, lambda r: r.group)
    return {"accuracy": mean(list(parts.values())), **parts}
