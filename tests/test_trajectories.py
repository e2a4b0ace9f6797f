"""Trajectories of several turns, with pictures shown between them: equal to one plain pass over the same sequence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, make_pixels
from hydra import compose, initialize_config_dir
from torch import Tensor
from transformers import AutoModelForImageTextToText

from ral.assembly.learner import build_terms
from ral.learner.experience import Experience, Forward, read
from ral.models.family import FAMILIES
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.ops.logprobs import policy_logits
from ral.ops.pieces import renormalise
from ral.ops.signals import evaluate
from ral.rollout.assemble import assemble
from ral.types import Example, Media, Pixels, PromptBatch, Rollout, Segment, Trajectory

ALGORITHMS = ("grpo", "ral", "ral_group", "ral_explore", "distill", "ral_distill", "sft")
TEMPERATURE = 0.9


@dataclass(frozen=True)
class Case:
    """Prompts with their pixels, and trajectories of them."""

    prompts: PromptBatch
    pixels: list[list[Pixels]]
    trajectories: list[Trajectory]

    def media(self, n: int, group: int) -> list[Pixels]:
        """Everything that is seen on the way of trajectory n."""
        return [*self.pixels[n // group], *(p for s in self.trajectories[n].segments for p in s.media)]


def sides(model: MLLM, rows: int, columns: int) -> tuple[int, int]:
    """A picture of so many visual tokens."""
    unit = max(model.processor.patches.factor, 28)
    return rows * unit, columns * unit


def a_case(model: MLLM, group: int = 2) -> Case:
    """A picture, a clip; ragged trajectories of one to three turns with pictures, a clip and text between them."""
    generator = torch.Generator().manual_seed(4)
    pixels = [[make_pixels("image", 1, sides(model, 2, 2))], [make_pixels("video", 2, sides(model, 2, 3))]]
    examples = [
        Example(str(n), "q", "red", "free-form", tuple(Media(p.kind, Path("x")) for p in own))
        for n, own in enumerate(pixels)
    ]
    texts = ("What color is the star?", "What color is the star? Think, then answer.")
    prompts = model.processor.batch(examples, texts, pixels)

    def said(count: int) -> Segment:
        ids = torch.randint(5, 250, (count,), generator=generator).tolist()
        return Segment(tuple(ids), sampled=True, log_probs=tuple(-1.0 - 0.1 * n for n in range(count)))

    crop, wide = make_pixels("image", 3, sides(model, 3, 2)), make_pixels("image", 4, sides(model, 2, 4))
    clip, turn = make_pixels("video", 5, sides(model, 2, 2)), model.processor.turn
    ways = [
        (said(5), turn("the star <image> from near", [crop]), said(3)),
        (said(4),),
        (said(2), turn("red and blue"), said(4)),
        (said(3), turn("<video> A. red B. blue <image>", [clip, wide]), said(2), turn("Think"), said(1)),
    ]
    return Case(prompts, pixels, [Trajectory(way, "stop", 7) for way in ways[: 2 * group]])


@cache
def eager(folder: Path) -> Any:
    """Transformers' own model with its plainest attention."""
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager")
    model.model.requires_grad_(False)
    for part in (model.model.language_model, model.lm_head):
        part.requires_grad_(True)
    return model.eval()


@dataclass(frozen=True)
class PlainAttention(CapturedAttention):
    """The attention policy as rows over all earlier keys, [L N C K] with their graph, that the eager model returns."""

    all_rows: Tensor = field(default_factory=lambda: torch.zeros(0))

    def rows(self, chunk: int | None = None) -> Tensor:
        """Restricted to the keys of the specification, and renormalised."""
        own = torch.zeros_like(self.mask) if self.own_visual is None else self.own_visual
        prompt = self.visual if self.spec.keys == "visual" else self.prompt_valid
        own = {"all": torch.ones_like(own), "prompt": torch.zeros_like(own), "visual": own}[self.spec.keys]
        keep = torch.cat([prompt.repeat_interleave(len(own) // len(prompt), 0), own], dim=1)
        return renormalise(self.all_rows, keep[None, :, None].expand_as(self.all_rows))

    def compare(self, anchor: Tensor, measure: Callable[..., Tensor], chunk: int | None = None) -> Tensor:
        """As CapturedAttention's."""
        return measure(self.rows(), anchor).mean(0)


@dataclass
class Plain:
    """What plain passes give, in the layout of a step: hidden [N C D], log-probs [N C], rows [L N C K]."""

    hidden: Tensor
    log_probs: Tensor
    attention: PlainAttention
    tokens: list[int] = field(default_factory=list)


def plain_pass(network: Any, model: MLLM, case: Case, rollout: Rollout, spec: AttentionSpec) -> Plain:
    """One row of ids for each trajectory, through Transformers' model, nothing shared and nothing padded."""
    p, (count, length) = case.prompts.valid.shape[1], rollout.token_ids.shape
    hidden, rows = [], []
    for n in range(count):
        prompt = case.prompts.token_ids[n // 2][case.prompts.valid[n // 2]]
        own = torch.tensor([i for s in case.trajectories[n].segments for i in s.token_ids])
        row, first, end = torch.cat([prompt, own])[None], len(prompt), len(prompt) + len(own)
        media, _ = model.processor.family.media(case.media(n, 2), model.processor.patches)
        media.pop("frame_counts", None)
        if network.config.model_type != "qwen2_5_vl":
            media.pop("second_per_grid_ts", None)
        if network.config.model_type != "internvl":
            media["mm_token_type_ids"] = (row == model.processor.image_id).int() + 2 * (row == model.processor.video_id)
        out = network(
            input_ids=row,
            attention_mask=torch.ones_like(row),
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
            **media,
        )
        states = out.hidden_states[-1][0, first - 1 : end - 1]
        hidden.append(torch.nn.functional.pad(states, (0, 0, 0, length - len(own))))
        late = spec.query == "previous"
        layers = []
        for layer in spec.resolve_layers(model.depth):
            mean = out.attentions[layer][0].mean(0)
            values = mean.new_zeros(length, p + length)
            for t in range(len(own)):
                looks = mean[first + t - late, : first + t]
                values[t, p - first : p + t] = looks / looks.sum()
            layers.append(values * rollout.trainable[n][:, None])
        rows.append(torch.stack(layers))
    states, banned = torch.stack(hidden), model.processor.banned
    logits = policy_logits(
        states.flatten(0, 1), lambda h: network.lm_head(h)[:, : len(banned)], temperature=TEMPERATURE, banned=banned
    )
    chosen = logits.log_softmax(-1).gather(-1, rollout.token_ids.flatten()[:, None]).view(count, length)
    prompt = (case.prompts.valid, case.prompts.visual)
    parts = ((), (), (), *prompt, rollout.trainable, 1.0, spec, rollout.valid, rollout.visual)
    attention = PlainAttention(*parts, all_rows=torch.stack(rows, 1))
    return Plain(states, chosen.masked_fill(~rollout.trainable, 0.0), attention)


def gap(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference."""
    return float((ours.detach() - theirs.detach()).abs().max())


def signals_of(live: dict[str, Any], model: MLLM, generator: torch.Generator) -> dict[str, Any]:
    """Frozen signals of some other policy: the same random numbers whoever asks."""
    rows = live["attention"].rows().detach()
    noise = torch.rand(rows.shape, generator=generator) + 0.1
    other = rows * noise
    other = other / other.sum(-1, keepdim=True).clamp_min(1e-9)
    shift = 0.1 * torch.randn(live["log_probs"].shape, generator=generator)
    log_probs = live["log_probs"].detach() + shift
    hidden = live["hidden"].detach() + 0.1 * torch.randn(live["hidden"].shape, generator=generator)
    frozen = {
        f"{name}_{kind}": value
        for name in ("old", "reference", "ema", "teacher")
        for kind, value in (("log_probs", log_probs), ("rows", other), ("hidden", hidden))
    }
    words = model.network.lm_head.weight.detach()[: model.processor.vocab_size]
    given = {"sampler_rows": other, "sampler_log_probs": log_probs, "teacher_head": lambda h: h @ words.T}
    return {**frozen, **given}


@cache
def objective_of(algo: str) -> dict[str, Any]:
    """The objective that a yaml names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_terms(compose("train", [f"algo={algo}"]).algo)


@pytest.mark.parametrize("family", FAMILIES)
def test_turns_with_pictures_equal_a_plain_pass(family: str, model_folder: Callable[..., Path]) -> None:
    """Log-probs, attention rows, the losses of every algorithm and their gradients, on both paths."""
    folder = model_folder(family)
    network = eager(folder)
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(folder))
        case = a_case(model)
        rollout = assemble(model.processor, case.prompts, case.trajectories)
        assert {len(t.segments) for t in case.trajectories} == {1, 3, 5} and int(rollout.visual.sum()) > 0
        for spec in (AttentionSpec(layers=(0, -1)), AttentionSpec(layers=(-1,), query="previous", keys="visual")):
            compare_with_plain(model, network, case, rollout, spec)


def compare_with_plain(model: MLLM, network: Any, case: Case, rollout: Rollout, spec: AttentionSpec) -> None:
    """The assertions of the test above."""
    view, mask = read(model, case.prompts, rollout), rollout.trainable
    advantages = torch.tensor([1.0, -0.5, -1.5, 0.7])
    weights = sequence_mean(mask, counts(mask))
    part = Experience(view.prepared, rollout, advantages, weights, shown=view.shown)
    theirs = plain_pass(network, model, case, rollout, spec)
    needs = frozenset({"attention"})
    live = Forward(TEMPERATURE, spec).live(model, part, needs)
    found = {
        "log_probs": gap(live["log_probs"], theirs.log_probs),
        "states": gap(live["hidden"][mask], theirs.hidden[mask]),
        "rows": gap(live["attention"].rows(), theirs.attention.rows()),
    }
    assert not bool(live["log_probs"][~mask].any())
    assert not bool(live["attention"].rows()[:, ~mask].any())
    signals = {**live, **signals_of(live, model, torch.Generator().manual_seed(1))}
    plain = {**signals, "log_probs": theirs.log_probs, "attention": theirs.attention, "hidden": theirs.hidden}
    plain["head"] = lambda h: network.lm_head(h)[:, : model.processor.vocab_size]
    own = {n: w for n, w in model.network.named_parameters() if w.requires_grad}
    other = dict(network.named_parameters())
    assert own
    for algo in ALGORITHMS:
        objective = objective_of(algo)
        ours, want = ([evaluate(t, s).value for t in objective.values()] for s in (signals, plain))
        found[f"loss {algo}"] = max(gap(a, b) for a, b in zip(ours, want, strict=True))
        grads = torch.autograd.grad(torch.stack(ours).sum(), own.values(), retain_graph=True, allow_unused=True)
        same = [other[name] for name in own]
        wanted = torch.autograd.grad(torch.stack(want).sum(), same, retain_graph=True, allow_unused=True)
        assert [g is None for g in grads] == [g is None for g in wanted]
        pairs = [(a, b) for a, b in zip(grads, wanted, strict=True) if a is not None]
        assert max(float(b.detach().abs().max()) for _, b in pairs) > 1e-4, f"{algo} has no gradient to compare"
        found[f"gradient {algo}"] = max(gap(a, b) for a, b in pairs)
    print(type(model).__name__, spec.query, spec.keys, {k: f"{v:.1e}" for k, v in found.items()})
    assert max(found.values()) <= 1e-5, found
