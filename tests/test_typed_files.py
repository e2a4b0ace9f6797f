"""Files on a command line where none, or one, is taken: refused with what to type; all else passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ral.config.typed_files import refuse_files_as_options, refuse_several_files
from ral.errors import UserError
from ral.files.repository import CONF


@pytest.mark.parametrize("value", ["a.jsonl,b.jsonl", '"a.jsonl,b.jsonl"', "[a.jsonl]", "part?.json", "/d/*.csv"])
def test_several_files_are_refused_with_the_way_to_join_them(value: str) -> None:
    for key in ("dataset.path", "+benchmark.path"):
        with pytest.raises(UserError, match=r"one file is read.*cat a.jsonl b.jsonl > all.jsonl"):
            refuse_several_files([f"{key}={value}"], sweep=False)


def test_one_file_of_any_name_and_a_sweep_pass(tmp_path: Path) -> None:
    odd = tmp_path / "a,b [1]*.jsonl"
    odd.write_text("{}")
    refuse_several_files(
        [f"dataset.path={odd}", f'benchmark.path="{odd}"', "model.pretrained=/a,b", "dataset.path=s3://a?b"],
        sweep=False,
    )
    refuse_several_files(["dataset.path=a.jsonl,b.jsonl"], sweep=True)
    with pytest.raises(UserError):
        refuse_several_files(['dataset.path="a.jsonl,b.jsonl"'], sweep=True)


@pytest.mark.parametrize(
    ("typed", "config", "write"),
    [
        ("model=Qwen/Some-3B", "train", "write model.pretrained=Qwen/Some-3B, and model=<its family>"),
        ("model=assets/tiny", "train", "write model.pretrained=assets/tiny"),
        ("model=/models/tiny", "train", "write model.pretrained=/models/tiny"),
        ("dataset=held.csv", "train", "write dataset=jsonl dataset.path=held.csv"),
        ("dataset='/a/held.jsonl'", "check", "write dataset=jsonl dataset.path=/a/held.jsonl"),
        ("dataset=assets", "train", None),
        ("benchmark=../held.json", "evaluate", "write benchmark=jsonl benchmark.path=../held.json"),
        ("model=internvl", "train", None),
        ("model=shared/network", "train", None),
        ("model=qwen2.5-vl", "train", None),
        ("reward=a/b", "train", None),
        ("experiment=/d/experiment/mine.yaml", "train", "write --config-dir=/d experiment=mine"),
        ("+experiment='/d/mine.yml'", "train", "experiment=mine for a file FOLDER/experiment/mine.yaml"),
        ("algo=conf/algo/grpo.yaml", "train", "algo takes a name, not a file: write algo=grpo"),
        ("experiment=paper/image", "train", None),
        ("name=a.yaml", "train", None),
    ],
)
def test_a_path_in_place_of_an_option(typed: str, config: str, write: str | None) -> None:
    if write is None:
        return refuse_files_as_options([typed], CONF, config)
    with pytest.raises(UserError) as caught:
        refuse_files_as_options([typed], CONF, config)
    assert write in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_is_read_as_a_table_and_options_of_ones_own_pass(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"write dataset=hf dataset.path={tmp_path}"):
        refuse_files_as_options([f"dataset={tmp_path}"], CONF, "train")
    refuse_files_as_options(["model=mine/large", "hydra.searchpath=[file:///conf]"], CONF, "train")
