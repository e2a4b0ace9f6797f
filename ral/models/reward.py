"""Reward models: a backbone of any supported family with a head that gives one score for each response; as a reward.

The head is a Linear(hidden, 1) without bias in fp32 on the state of a response's last token. The head is a part of the
network, so optimizer, sharding and checkpoints treat its weight like every other; on disk the head is a file of its own
in a plain Hugging Face folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ral.models.checks import same_tokens
from ral.models.loading import named
from ral.models.mllm import MLLM
from ral.models.opening import load
from ral.models.saving import save_network
from ral.types import Example, Prepared, Rollout, Shown, UserError

HEAD = "reward_head.weight"
HEAD_FILE, FACTS_FILE = "reward_head.safetensors", "reward_model.json"


def add_head(model: MLLM) -> None:
    """Add a reward head to the network, in place: the one in its folder, where there is one, else random numbers.

    Random numbers have standard deviation 1 / (hidden + 1), as in Stiennon et al. 2020, and are the same in every
    process. The language-model head, which has no part in a score, is frozen unless it is tied to the embeddings.
    """
    network: Any = model.network
    size = int(network.config.get_text_config().hidden_size)
    device = torch.device("cpu") if model.device.type == "meta" else model.device
    head = nn.Linear(size, 1, bias=False, device=device, dtype=torch.float32)
    file = Path(model.processor.name) / HEAD_FILE
    weight = torch.randn(1, size, generator=torch.Generator().manual_seed(0)) / (size + 1)
    with torch.no_grad():
        head.weight.copy_(load_file(file)[HEAD] if file.is_file() else weight)
    network.reward_head = head
    if network.lm_head.weight is not network.get_input_embeddings().weight:
        network.lm_head.requires_grad_(False)


def response_scores(
    model: MLLM, prepared: Prepared, token_ids: Tensor, valid: Tensor, shown: Shown | None = None
) -> Tensor:
    """Return the score of each response, [N] fp32. token_ids, valid [N C], right-padded, at least one token each.

    shown: tokens of responses that were not sampled; None where all were sampled. A column of padding is added: a pass
    returns the states that predict each token, so that the last token's state is the one that predicts the padding.
    """
    ids = torch.nn.functional.pad(token_ids, (0, 1), value=model.processor.pad_id)
    longer = torch.nn.functional.pad(valid, (0, 1))
    hidden = model.states(prepared, ids, longer, None, None if shown is None else shown.padded()).hidden
    last = hidden[torch.arange(len(ids), device=ids.device), valid.sum(1)]
    with torch.autocast(last.device.type, enabled=False):
        return nn.functional.linear(last.float(), model.network.reward_head.weight.float()).squeeze(-1)


def save_reward_model(model: MLLM, state: dict[str, Tensor], folder: Path, facts: Mapping[str, Any]) -> None:
    """Write a Hugging Face folder of the backbone, with the head in HEAD_FILE and `facts` in FACTS_FILE.

    state: the network's whole state dict, head included. facts: mean and std of the scores, and others.
    """
    backbone = {name: value for name, value in state.items() if name != HEAD}
    save_network(model.network, backbone, model.processor, folder)
    save_file({HEAD: state[HEAD].contiguous()}, folder / HEAD_FILE)
    what = {"kind": "reward model", "score": "reward_head of the last response token's state (after the final norm)"}
    (folder / FACTS_FILE).write_text(json.dumps({**what, "from": model.processor.name, **facts}, indent=2) + "\n")


def read_facts(folder: Path) -> dict[str, Any]:
    """Return reward_model.json of a folder, with mean and std as floats. UserError where it holds no reward model."""
    missing = [name for name in (HEAD_FILE, FACTS_FILE) if not (folder / name).is_file()]
    if missing:
        write = "write the folder hf of a run of algo=reward_model"
        raise UserError(f"reward.checkpoint={folder}: no reward model: it has no {' and no '.join(missing)}; {write}")
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        return {**facts, "mean": float(facts["mean"]), "std": float(facts["std"])}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / FACTS_FILE}: needs the numbers mean and std ({error}); train it again") from error


class LearnedReward:
    """Part of a reward: the scores of a frozen reward model that reads prompts, media and tokens as sampled.

    checkpoint: the folder hf of a run of algo=reward_model. normalise: True to return (score - mean) / std, with mean
    and standard deviation over the responses on which the model was evaluated. batch: number of prompts, with all their
    responses, scored at once. dtype, share_prompt: as in ral.models.opening.load. Each process of a run holds the whole
    model, also where the policy is sharded. UserError for a batch below 1, a folder without usable reward model, and
    scores that are all equal (normalise).
    """

    def __init__(
        self,
        *,
        checkpoint: str,
        normalise: bool = True,
        batch: int = 8,
        dtype: str = "float32",
        share_prompt: bool = True,
    ) -> None:
        if batch < 1:
            raise UserError(f"reward.parts.learned.function.batch={batch} is too small: write 1 or more")
        facts = read_facts(Path(checkpoint))
        self.shift: float = facts["mean"] if normalise else 0.0
        self.scale: float = facts["std"] if normalise else 1.0
        if self.scale == 0:
            raise UserError(f"reward.checkpoint={checkpoint}: all its scores are equal: train it first")
        with named("reward.checkpoint"):
            self.model = load(checkpoint, share_prompt=share_prompt, dtype=dtype, trained=False)
        add_head(self.model)
        self.model.requires_grad_(False)
        self.batch = batch

    def __call__(self, example: Example, response: str) -> float:
        """Raise UserError: a text alone cannot be scored, since the model reads tokens, images and videos."""
        raise UserError("a learned reward scores rollouts, not texts")

    def check(self, policy: MLLM) -> None:
        """Raise UserError unless policy and reward model have the same tokenizer and visual tokens."""
        roles, use = ("policy", "reward model"), "reward=learned hands over tokens as sampled and"
        same_tokens(policy.processor, self.model.processor, roles=roles, use=use)

    @torch.no_grad()
    def score_rollout(self, rollout: Rollout) -> list[float]:
        """Return the score of each of the N responses, normalised if `normalise`; move the model to their device."""
        model, prompts = self.model.to(rollout.token_ids.device), rollout.prompts
        prepared, scores = model.prepare(prompts), []
        shown = model.show(prepared, rollout)
        for start in range(0, len(prompts), self.batch):
            chosen = range(start, min(start + self.batch, len(prompts)))
            part = prepared.take(chosen)
            rows = rollout.take(part.prompts, chosen)
            own = None if shown is None else shown.take(rollout.rows(chosen), rows.token_ids.shape[1])
            scores.append(response_scores(model, part, rows.token_ids, rows.valid, own))
        return ((torch.cat(scores) - self.shift) / self.scale).tolist()
