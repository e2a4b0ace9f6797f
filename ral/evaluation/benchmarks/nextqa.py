"""NExT-QA (Xiao et al.

2021, arXiv 2105.08276), multiple choice: why and how things happen in a video, and in what order. Dataset
lmms-eval/NExTQA, configuration MC, split test, 8,564 questions with five options. The prompt is lmms-eval's: the
question and its options, without an instruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ral.evaluation.benchmarks.averages import means
from ral.evaluation.benchmarks.choice import lettered
from ral.evaluation.benchmarks.folder import Items, rows
from ral.evaluation.benchmarks.items import Item, ScoredItem, mean
from ral.evaluation.benchmarks.videos import Clips
from ral.types import Example

EXPECTED = "lmms-eval/NExTQA: MC/test-*.parquet and the folder NExTVideo/"
COLUMNS = ("video", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4")
KINDS = {"C": "causal", "T": "temporal", "D": "descriptive"}  # by the first letter of `type`, such as CW or TN


def load(path: str | Path) -> Sequence[Item]:
    """Return the items; group: causal, temporal or descriptive; facts: the published type. path: the downloaded folder.

    UserError where the folder has another layout.
    """
    table, clips = rows(path, "test", "MC", EXPECTED, COLUMNS), Clips(path, EXPECTED)

    def item(row: Mapping[str, Any], n: int) -> Item:
        options = lettered([str(row[f"a{k}"]).strip() for k in range(5)])
        example = Example(
            uid=f"{row['video']}/{row['qid']}",
            question="\n".join((row["question"].strip(), *options)),
            answer="ABCDE"[int(row["answer"])],
            problem_type="multiple choice",
            media=(clips.named(str(row["video"])),),
            options=options,
        )
        return Item(example, group=KINDS.get(row["type"][:1], row["type"]), facts={"type": row["type"]})

    return Items(table, item)


def summary(records: Sequence[ScoredItem]) -> dict[str, float]:
    """Return the accuracy over all questions, and that of each group."""
    return {"accuracy": mean([r.score for r in records]), **means(records, lambda r: r.group)}
