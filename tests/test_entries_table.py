"""Every kind of entry in the table is kept with the right answer and media, or refused in the right words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import make_pixels
from entries_table import HERE, TABLE, write_media

from ral.data.bad import BadSample, Checked
from ral.data.parse import parse_own
from ral.data.samples import Sample
from ral.data.sources import read_file
from ral.learner.collate import Collate
from ral.models.mllm import MLLM
from ral.rewards.accuracy import accuracy, check_gold


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table")
    write_media(path)
    rows = [{"id": name, **entry} for name, (entry, _) in TABLE.items()]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (path / "data.jsonl").write_text(lines.replace(HERE, str(path)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def collate(model_folder: Callable[..., Path]) -> Collate:
    """What a run of GRPO checks, with the reward's own rules."""
    processor = MLLM.load(str(model_folder())).processor
    return Collate(processor, ("short", "short_zero"), True, scorable=Checked(check_gold), max_new_tokens=16)


@pytest.mark.parametrize("number, name", list(enumerate(TABLE)))
def test_every_kind_of_entry(folder: Path, collate: Collate, number: int, name: str) -> None:
    right: Any = TABLE[name][1]
    try:
        example = read_file(folder / "data.jsonl", parse=parse_own)[number]
        collate.check(example)
        collate.fits(Sample(example, tuple(make_pixels(medium.kind, 1) for medium in example.media)))
    except BadSample as error:
        assert isinstance(right, str), error
        assert right.removeprefix("BAD ") in error.reason and len(str(error)) < 700 and "\n" not in str(error)
    else:
        assert right == (example.answer, len(example.media))
        assert accuracy(example, f"<think>so</think><answer>{example.answer}</answer>") == 1.0
