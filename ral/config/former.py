"""The configuration of a run of an earlier version in the keys of this version, so that the run can be resumed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAMPLERS = {"PolicySampler": "engine.Sampling", "TargetSampler": "given.Targets", "PairSampler": "given.Pairs"}
TARGETS = {
    **{
        f"ral.rollout.{room}.{old}": f"ral.rollout.{new}"
        for room in ("sampler", "native")
        for old, new in SAMPLERS.items()
    },
    "ral.rollout.explore.Noise": "ral.rollout.noise.Noise",
    "ral.lit.temporal.Temporal": "ral.algorithms.t_grpo.Temporal",
    "ral.rewards.temporal.OrderBonus": "ral.algorithms.bonuses.OrderBonus",
    "ral.rewards.temporal.LengthBonus": "ral.algorithms.bonuses.LengthBonus",
    "ral.lit.reward_model.RewardModule": "ral.algorithms.reward_model.RewardModelTask",
    "ral.lit.reward_model.ScorePass": "ral.algorithms.reward_model.ScorePass",
    "ral.lit.metrics.no_reward": "ral.learner.metrics.no_reward",
    "ral.lit.eightbit.adamw_8bit": "ral.learner.eightbit.adamw_8bit",
    "ral.data.visual_search.source": "ral.worlds.visual_search.source",
    "ral.models.shard.gathered": "ral.models.sharding.gathered",
    "ral.rollout.vllm.engine.VLLMEngine": "ral.rollout.vllm.engine.vllm_engine",
}
"""Value of `_target_` in earlier versions -> its value in this one."""
JUDGE, REQUESTS = "ral.rewards.judge.Judge", "ral.rewards.judge.Requests"
OF_REQUESTS = ("timeout_s", "retries", "backoff_s", "max_concurrency")
"""Keywords that a judge had itself in version 0.1, and that stand below its `requests` now."""
GIVEN = frozenset({"ral.rollout.given.Targets", "ral.rollout.given.Pairs"})
"""Targets that give recorded responses; every other sampler of version 0.1 sampled them."""
ABSENT_WAS_NULL = ("given", "sampling", "passes", "reward", "temporal", "task", "attention_policy")
"""Nodes of algo that were absent in version 0.1 where they are null now."""


def of_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return `config`, a resolved configuration of any version, in the keys of this version."""
    tree: dict[str, Any] = renamed(dict(config))
    if "sampler" not in tree.get("algo", {}):
        return tree
    gather = tree.get("hardware", {}).get("gather_weights")
    engine = {"_target_": "ral.rollout.native.NativeEngine", "_partial_": True, "gather_weights": gather}
    return {**tree, "algo": algo_of_today(tree["algo"]), "rollout": {"engine": engine}}


def renamed(node: Any) -> Any:
    """Return a node with every `_target_`, at any depth, as it is named in this version."""
    if isinstance(node, Mapping):
        return judge_of_today({key: TARGETS.get(v, v) if key == "_target_" else renamed(v) for key, v in node.items()})
    return [renamed(value) for value in node] if isinstance(node, list) else node


def judge_of_today(node: dict[str, Any]) -> dict[str, Any]:
    """Return a judge's node with the keywords of its requests below `requests`; any other node as it is."""
    found = {name: node[name] for name in OF_REQUESTS if name in node}
    if node.get("_target_") != JUDGE or not found:
        return node
    rest = {name: value for name, value in node.items() if name not in found}
    return {**rest, "requests": {"_target_": REQUESTS, **found}}


def algo_of_today(algo: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node `algo` of version 0.1, with its targets renamed, in the keys of this version.

    `sampler` becomes `given` or `sampling`; `module` becomes `task`; `temporal.sampler` becomes `temporal.sampling` and
    `temporal.group_size`. Nodes of ABSENT_WAS_NULL that are missing become null.
    """
    new = {name: node for name, node in algo.items() if name not in ("sampler", "module")}
    sampler = algo["sampler"]
    if sampler["_target_"] in GIVEN:
        new["given"] = {"_target_": sampler["_target_"], "_partial_": True}
    else:
        new["sampling"] = without_group_size(sampler)
    if module := algo.get("module"):
        new["task"] = {"_target_": module["_target_"]}
    if temporal := algo.get("temporal"):
        group = temporal["sampler"]["group_size"]
        rest = {name: node for name, node in temporal.items() if name != "sampler"}
        new["temporal"] = {**rest, "sampling": without_group_size(temporal["sampler"]), "group_size": group}
    return {**dict.fromkeys(ABSENT_WAS_NULL), **new}


def without_group_size(sampler: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a sampler of version 0.1 without group_size, which are those of algo.sampling."""
    return {name: value for name, value in sampler.items() if name != "group_size"}
