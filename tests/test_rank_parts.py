"""Folders of a model whose weights lie in the parts of a training program's ranks: named, with what merges them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ral.errors import UserError
from ral.files.pretrained import check_folder
from ral.files.repository import ROOT

VERL = ["actor/model_world_size_2_rank_0.pt", "actor/model_world_size_2_rank_1.pt", "actor/huggingface/config.json"]
DEEPSPEED = ["global_step5/zero_pp_rank_0_mp_rank_00_optim_states.pt", "zero_to_fp32.py", "config.json"]
ACCELERATE = ["pytorch_model_fsdp_0/__0_0.distcp", "pytorch_model_fsdp_0/.metadata", "config.json"]
CONFIG = (ROOT / "assets/tiny/config.json").read_text()


def made(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(CONFIG if name.endswith("config.json") else "")
    return folder


@pytest.mark.parametrize("typed", [".", "actor", "actor/huggingface"])
def test_parts_of_verl(tmp_path: Path, typed: str) -> None:
    root = made(tmp_path / "step", VERL)
    with pytest.raises(UserError) as raised:
        check_folder(str(root / typed))
    merge = f"python -m verl.model_merger merge --backend fsdp --local_dir {root / 'actor'} --target_dir <a new folder>"
    said = str(raised.value)
    assert "no whole weights, only parts that ranks saved (2 files such as model_world_size_2_rank_0.pt in" in said
    assert f"merge them first by {merge}, and write that folder" in said and "download" not in said


@pytest.mark.parametrize(
    ("names", "merge"),
    [
        (DEEPSPEED, "python {root}/zero_to_fp32.py {root} <a new folder>"),
        (ACCELERATE, "accelerate merge-weights {root}/pytorch_model_fsdp_0 <a new folder>"),
    ],
)
def test_parts_of_other_programs(tmp_path: Path, names: list[str], merge: str) -> None:
    root = made(tmp_path / "checkpoint", names)
    with pytest.raises(UserError) as raised:
        check_folder(str(root))
    assert f"merge them first by {merge.format(root=root)}, and" in str(raised.value)


def test_other_folders_are_answered_as_before(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the folder has no weights \(model.safetensors\); download it again$"):
        check_folder(str(made(tmp_path / "none", ["config.json", "logs/a.txt"])))
    with pytest.raises(
        UserError, match=r"no weights \(model.safetensors\), only consolidated.00.pth; write the folder"
    ):
        check_folder(str(made(tmp_path / "pth", ["config.json", "consolidated.00.pth"])))
    with pytest.raises(UserError, match="but actor in it has one; write"):
        check_folder(str(made(tmp_path / "inner", ["actor/config.json"])))
