"""A worker that repeats one update (forward and backward pass, clipping, optimizer) of GRPO, RAL or naive RAL.

    python -m ral.benches.attention_worker '{"model": ..., "variant": "ral", "prompt_tokens": 4096, ...}'

Only the update is timed, on one prompt with its responses: rollouts, rewards and frozen signals are made beforehand. In
this module `spec` is the argument above, parsed from JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir

from ral.assembly.learner import build_terms
from ral.benches.naive import NaiveMLLM
from ral.benches.worker import Line
from ral.files.repository import CONF
from ral.learner.experience import Experience, Forward, remember
from ral.lit.callbacks.memory import give_back
from ral.models.mllm import MLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import Term, evaluate, needed
from ral.rollout.single_answers import make_rollout
from ral.types import Example, Media, Pixels, VisualStates

MODELS = {"grpo": MLLM, "ral": MLLM, "naive": NaiveMLLM}


def experience(model: MLLM, spec: dict[str, Any]) -> Experience:
    """Return one prompt with an image and its responses, all random.

    Random embeddings stand for the output of the vision tower.
    """
    generator = torch.Generator().manual_seed(0)
    side = model.processor.patches.factor
    picture = Pixels("image", torch.zeros(1, side * 32, side * (spec["prompt_tokens"] // 32), 3, dtype=torch.uint8))
    example = Example("0", "q", "a", "free-form", (Media("image", Path("0.png")),))
    prompts = model.processor.batch([example], ["What is it?"], [[picture]])
    width = model.network.get_input_embeddings().weight.shape[1]
    vision = torch.randn(*prompts.token_ids.shape, width, generator=generator).to(model.device)
    model._see = lambda _: VisualStates(vision, vision.new_empty(0, *vision.shape))  # type: ignore[method-assign, assignment]
    prepared = model.prepare(prompts)
    shape = (spec["group_size"], spec["response_tokens"])
    ids = torch.randint(5, model.processor.vocab_size - 32, shape, generator=generator).to(model.device)
    mask = torch.ones_like(ids, dtype=torch.bool)
    rollout = make_rollout(model.processor, prepared, ids, mask, mask.any(1), spec["group_size"])
    advantages = torch.linspace(-1, 1, spec["group_size"]).to(model.device)
    return Experience(prepared, rollout, advantages, sequence_mean(mask, counts(mask)))


def by_response(whole: Experience) -> list[Experience]:
    """Return the batch as one micro-batch for each response, since eager attention has no memory for more."""
    group = whole.rollout.group_size
    rows = whole.prepared.repeat(group)
    r = whole.rollout
    rollout = replace(r, prompts=rows.prompts, group_size=1)
    return [Experience(rows, rollout, whole.advantages, whole.weights).take([n]) for n in range(group)]


def frozen(passes: Forward, model: MLLM, part: Experience, needs: frozenset[str]) -> Experience:
    """Return the micro-batch with frozen signals: `model` itself as the old policy, and a reference policy close to it.

    needs: names of the signals that the objective asks for.
    """
    with torch.no_grad():
        part = remember(part, passes.live(model, part, needs), needs)
    part.signals["reference_log_probs"] = part.signals["old_log_probs"] + 0.01
    return part


def update(
    passes: Forward, model: MLLM, parts: list[Experience], objective: dict[str, Term], optimizer: torch.optim.Optimizer
) -> None:
    """Make one update as `ral.learner.update` does, without its metrics and checks. parts: the micro-batches."""
    needs = needed(objective.values())
    for part in parts:
        signals = {**part.signals, **passes.live(model, part, needs)}
        torch.stack([evaluate(term, signals).value for term in objective.values()]).sum().backward()
    torch.nn.utils.clip_grad_norm_([p for _, p in model.trained_parameters()], 1.0)
    optimizer.step()
    optimizer.zero_grad()  # the side that waits needs no gradients


def rest(gives_way: bool) -> None:
    """Free memory while this side waits for its turn.

    gives_way: whether to free the GPU memory that PyTorch caches too.
    """
    give_back()
    if gives_way and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def main(spec: dict[str, Any]) -> None:
    """Load the model, then make one update for each request of the parent process; SystemExit when its input ends."""
    line = Line(partial(rest, spec["gives_way"]))
    torch.set_num_threads(spec["threads"])
    device, kind = spec["device"], spec["variant"]
    model = MODELS[kind].load(spec["model"], dtype=spec["dtype"]).to(device)
    if spec["checkpointing"]:
        model.checkpoint_layers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        objective = build_terms(compose("train", [f"algo={'grpo' if kind == 'grpo' else 'ral'}"]).algo)
    passes = Forward(0.9, AttentionSpec())
    whole = experience(model, spec)
    needs = needed(objective.values())
    parts = [frozen(passes, model, p, needs) for p in (by_response(whole) if kind == "naive" else [whole])]
    optimizer = torch.optim.AdamW([p for _, p in model.trained_parameters()], lr=1e-6)
    while True:
        line.next_step()
        update(passes, model, parts, objective, optimizer)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
