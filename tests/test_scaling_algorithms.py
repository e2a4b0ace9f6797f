"""Every algorithm of a policy makes on two ranks, whole or sharded, the updates that it makes on one.

Those of test_scaling.py aside: grpo, ral, ral_distill, and ral with adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL, TEXTS
from test_scaling import GROUPS, LAYOUTS, MADE_REWARD, SGD, distance, train, weights_apart

from ral.models.fresh import write_model

OF_REWARDS = ("dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce_pp", "ral_group")
OF_PERCEPTION = ("papo", "vppo", "ease", "evidence_distill", "attention_advantage")
OTHERS = ("distill", "ral_look", "ral_zero", "ral_explore", "t_grpo")
PLACEBOS = [["algo=ease", f"algo.evidence={place}"] for place in ("centre", "random", "shuffled")]
GIVEN = ["algo=sft", "algo.group_size=1", "algo.updates_per_rollout=1"]
NAMED = ["algo=ral_oracle", "algo.passes.places._target_=scaling_parts.first_letters"]
CASES = [*([f"algo={name}"] for name in (*OF_REWARDS, *OF_PERCEPTION, *OTHERS)), *PLACEBOS, GIVEN, NAMED]


@pytest.mark.slow
@pytest.mark.parametrize("hardware", ["ddp", "fsdp"])
@pytest.mark.parametrize("chosen", CASES, ids=" ".join)
def test_two_steps_on_two_ranks_equal_one_process(
    chosen: list[str], hardware: str, tmp_path: Path, model_folder: Callable[..., Path], data_folder: Path
) -> None:
    """Two steps of two updates on made pictures and clips, all with evidence; plain gradients, whole."""
    teacher = write_model(tmp_path / "teacher", TEXTS, family="qwen2_5_vl", sizes=SMALL, seed=4, vocab_size=300)
    common = ["algo.updates_per_rollout=2", *GROUPS, *MADE_REWARD, *SGD, *chosen]
    common += [f"model.pretrained={model_folder()}", f"model.teacher={teacher}"]
    common += [f"dataset.path={data_folder}", "dataset.source.sizes={sft: 16, train: 24, validation: 4, test: 4}"]
    common += ["max_steps=2", "eval.every=0", "eval.before=false", "eval.prompts=2"]
    common += ["logger=jsonl", "viewer=false"]
    alone = train(tmp_path / "alone", *common, *LAYOUTS["one process"])
    ranks = train(tmp_path / "ranks", *common, *LAYOUTS[hardware])
    updates = 2 if chosen == GIVEN else 4
    apart = [distance(alone, ranks, update) for update in range(1, updates + 1)]
    weight = weights_apart(alone, ranks)
    print(f"gradients {apart}, weights {weight}")
    assert max(apart) <= 3e-6 and weight <= 1e-6, (apart, weight)
