"""Trajectories of several turns, with pictures shown between them: equal to one plain pass over the same sequence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF, make_pixels
from environments import LookAgain
from hydra import compose, initialize_config_dir
from test_models_shared_prompt import OF_SOME
from torch import Tensor
from transformers import AutoModelForImageTextToText

from ral.assembly.learner import build_terms
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.models.frozen import read
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.registry import FAMILIES
from ral.models.reward import add_head, response_scores
from ral.models.sight import kinds
from ral.models.states import TokenRows
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec, CapturedAttention
from ral.ops.logprobs import policy_logits
from ral.ops.pieces import renormalise
from ral.ops.signals import evaluate, needed
from ral.rollout.engine import Sampling
from ral.rollout.native import NativeEngine
from ral.rollout.noise import Noise
from ral.rollout.turns import assemble, continued, sampled_segments
from ral.types import Example, Media, Pixels, PromptBatch, Rollout, Segment, Trajectory, UserError

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
    return AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()


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


def plain_row(network: Any, model: MLLM, case: Case, n: int) -> tuple[Any, int, int]:
    """Transformers' output for trajectory n after its prompt in one row, the prompt's length and the whole one."""
    prompt = case.prompts.token_ids[n // 2][case.prompts.valid[n // 2]]
    own = torch.tensor([i for s in case.trajectories[n].segments for i in s.token_ids])
    row = torch.cat([prompt, own])[None]
    media, _ = model.processor.family.pixels.tensors(case.media(n, 2), model.processor.patches)
    media["mm_token_type_ids"] = kinds(model.processor, TokenRows(row, torch.ones_like(row), {}))
    taken = FAMILIES[network.config.model_type].facts.inputs
    media = {k: v for k, v in media.items() if k != "frame_counts" and (k not in OF_SOME or k in taken)}
    wanted = {"output_attentions": True, "output_hidden_states": True, "use_cache": False}
    return network(input_ids=row, attention_mask=torch.ones_like(row), **wanted, **media), len(prompt), row.shape[1]


def plain_rows(attention: Tensor, first: int, end: int, prompt: int, length: int, late: bool) -> Tensor:
    """Eq. 2 of the tokens first..end, [C P+C], from the weights [H T T] of a layer; late: from the query before."""
    mean = attention.mean(0)
    values = mean.new_zeros(length, prompt + length)
    for t in range(end - first):
        looks = mean[first + t - late, : first + t]
        values[t, prompt - first : prompt + t] = looks / looks.sum()
    return values


def plain_pass(network: Any, model: MLLM, case: Case, rollout: Rollout, spec: AttentionSpec) -> Plain:
    """One row of ids for each trajectory, through Transformers' model, nothing shared and nothing padded."""
    p, (count, length) = case.prompts.valid.shape[1], rollout.token_ids.shape
    hidden, rows = [], []
    for n in range(count):
        out, first, end = plain_row(network, model, case, n)
        states = out.hidden_states[-1][0, first - 1 : end - 1]
        hidden.append(torch.nn.functional.pad(states, (0, 0, 0, length - (end - first))))
        layers = [out.attentions[layer][0] for layer in spec.resolve_layers(model.depth)]
        found = [plain_rows(layer, first, end, p, length, spec.query == "previous") for layer in layers]
        rows.append(torch.stack(found) * rollout.trainable[n][:, None])
    states, banned = torch.stack(hidden), model.processor.banned
    logits = policy_logits(
        states.flatten(0, 1), lambda h: network.lm_head(h)[:, : len(banned)], temperature=TEMPERATURE, banned=banned
    )
    chosen = logits.log_softmax(-1).gather(-1, rollout.token_ids.flatten()[:, None]).view(count, length)
    prompt = (case.prompts.valid, case.prompts.visual)
    parts = ((), *prompt, rollout.trainable, 1.0, spec, rollout.valid, rollout.shown.visual)
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
    """Log-probs, attention rows, every algorithm's losses and gradients (of the vision tower too), on both paths."""
    folder = model_folder(family)
    network = eager(folder)
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(folder), freeze_vision=False)
        case = a_case(model)
        rollout = assemble(model.processor, case.prompts, case.trajectories)
        assert {len(t.segments) for t in case.trajectories} == {1, 3, 5} and int(rollout.shown.visual.sum()) > 0
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
        largest = max(1.0, *(float(b.detach().abs().max()) for _, b in pairs))
        found[f"gradient {algo}"] = max(gap(a, b) for a, b in pairs) / largest
        tower = [float(b.detach().abs().max()) for name, b in zip(own, wanted, strict=True) if "vis" in name]
        assert max(tower) > 1e-5
    print(type(model).__name__, spec.query, spec.keys, {k: f"{v:.1e}" for k, v in found.items()})
    assert found.pop("states") <= (2e-5 if model.linear else 1e-5)  # of 3.5; chunks of the delta rule begin elsewhere
    assert max(found.values()) <= 1e-5, found


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_engine_goes_on_after_what_was_shown(
    kind: type[MLLM], family: str, model_folder: Callable[..., Path]
) -> None:
    """The log-probs of both turns as sampled are those that the whole trajectories are trained with."""
    model = kind.load(str(model_folder(family)))
    prompts, engine = a_case(model).prompts, NativeEngine(model)
    sampling = Sampling(TEMPERATURE, max_new_tokens=5)
    prepared = model.prepare(prompts)
    first = sampled_segments(engine.generate(prepared, 2, sampling, 3))
    pictures = [[make_pixels("image", n, sides(model, 2 + n, 3))] if n else [] for n in range(len(first))]
    shown = [model.processor.turn("Think" * (n + 1), own) for n, own in enumerate(pictures)]
    begun = [Trajectory(pair, "length") for pair in zip(first, shown, strict=True)]
    longer = continued(model, prepared, begun)
    assert longer.valid.sum(1).tolist() == [
        int(prompts.valid[n // 2].sum()) + len(first[n].token_ids) + len(shown[n].token_ids) for n in range(4)
    ]
    assert torch.equal(longer.visual, model.processor.visual(longer.token_ids, longer.valid))
    second = sampled_segments(engine.generate(longer, 1, sampling, 4))
    whole = [Trajectory((*t.segments, s), "stop", 3) for t, s in zip(begun, second, strict=True)]
    rollout = assemble(model.processor, prompts, whole)
    assert rollout.log_probs is not None and rollout.policy_version == 3 and bool(rollout.finished.all())
    with torch.no_grad():
        view = read(model, prompts, rollout)
        passes = Forward(TEMPERATURE, AttentionSpec())
        trained, _ = passes.log_probs(model, passes.states(view, rollout, attention=False), rollout)
    assert gap(trained, rollout.log_probs) < 2e-5 and float(trained.min()) < -1
    assert int(rollout.trainable.sum()) == sum(len(s.token_ids) for s in (*first, *second))


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_a_reward_model_reads_what_was_shown(kind: type[MLLM], model_folder: Callable[..., Path]) -> None:
    """Its score is of the state after the last token of the whole trajectory."""
    folder = model_folder("qwen3_vl")
    model, network = kind.load(str(folder)), eager(folder)
    add_head(model)
    case = a_case(model)
    rollout = assemble(model.processor, case.prompts, case.trajectories)
    with torch.no_grad():
        view = read(model, case.prompts, rollout)
        found = response_scores(model, view.prepared, rollout.token_ids, rollout.valid, view.shown)
        states = [plain_row(network, model, case, n)[0].hidden_states[-1][0, -1] for n in range(4)]
        want = model.network.reward_head(torch.stack(states)).squeeze(-1)
    assert gap(found, want) < 1e-5 and len({round(v, 4) for v in want.tolist()}) == 4


def parts_of(model: MLLM, case: Case, rollout: Rollout, prompts: int) -> tuple[list[Experience], Forward, Any]:
    """Micro-batches of RAL with a reference, the passes and the objective."""
    objective, passes = objective_of("ral"), Forward(TEMPERATURE, AttentionSpec())
    view, mask = read(model, case.prompts, rollout), rollout.trainable
    advantages = torch.tensor([1.0, -0.5, -1.5, 0.7])
    batch = Experience(view.prepared, rollout, advantages, sequence_mean(mask, counts(mask)), shown=view.shown)
    needs = needed(objective.values())
    parts = freeze(passes, {"reference": view}, batch, needs, portions(view.prepared, rollout, PassSize(prompts)))
    return [remember(p, passes.live(model, p, needs), needs) for p in parts], passes, objective


def ral_loss(model: MLLM, case: Case, rollout: Rollout, prompts: int) -> tuple[float, Tensor]:
    """The loss of an update on other old rows, and its gradient."""
    parts, passes, objective = parts_of(model, case, rollout, prompts)
    total = torch.zeros(())
    for part in parts:
        live = passes.live(model, part, needed(objective.values()))
        old = {"old_rows": part.signals["old_rows"].sqrt(), "old_log_probs": part.signals["old_log_probs"] * 0.9}
        signals = {**live, **part.signals, **old}
        total = total + torch.stack([evaluate(term, signals).value for term in objective.values()]).sum()
    grads = torch.autograd.grad(total, [w for _, w in model.trained_parameters()], allow_unused=True)
    return float(total.detach()), torch.cat([g.flatten() for g in grads if g is not None])


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_micro_batches_and_padding_change_nothing(family: str, load: Callable[..., MLLM]) -> None:
    """One prompt at a time, and other tokens, placeholders even, where nothing is valid."""
    model = load(family)
    case = a_case(model)
    rollout = assemble(model.processor, case.prompts, case.trajectories)
    spoilt = replace(rollout, token_ids=rollout.token_ids.masked_fill(~rollout.valid, model.processor.image_id))
    loss, grads = ral_loss(model, case, rollout, 2)
    for other, prompts in ((rollout, 1), (spoilt, 2)):
        value, found = ral_loss(model, case, other, prompts)
        assert value == pytest.approx(loss, abs=1e-6) and gap(found, grads) < 1e-5
    assert float(grads.abs().max()) > 1e-2


def test_what_cannot_be_assembled_or_shown_is_named(load: Callable[..., MLLM]) -> None:
    model = load()
    case, processor = a_case(model), model.processor
    with pytest.raises(ValueError, match="3 trajectories for 2 prompts: make equally many of each"):
        assemble(processor, case.prompts, case.trajectories[:3])
    mute = [Trajectory((processor.turn("Think"),), "stop")] * 2
    with pytest.raises(ValueError, match="a trajectory has no sampled token"):
        assemble(processor, case.prompts, mute)
    for text, message in (
        ("a <|im_end|> b", "it holds the control token <|im_end|>; take it out"),
        ("a <|image_pad|> b", "it holds the placeholder <|image_pad|>; take it out"),
        ("a <image> b", "a turn that is shown to the policy: the prompt has 1 place <image>, and no picture"),
    ):
        with pytest.raises(UserError, match=re.escape(message)):
            processor.turn(text)
    noisy = Sampling(TEMPERATURE, 3, noise=Noise(1.0, AttentionSpec()))
    with pytest.raises(UserError, match=r"algo\.sampling\.noise: attention under noise is recorded of single answers"):
        sampled_segments(NativeEngine(model).generate(model.prepare(case.prompts), 1, noisy, 0))
    cut = processor.turn("Think", ended=False).token_ids
    assert cut[0] == processor.end_id and cut[1:] == processor.turn("Think").token_ids


def test_segments_keep_their_order_and_their_log_probs(load: Callable[..., MLLM]) -> None:
    model = load()
    case = a_case(model)
    rollout = assemble(model.processor, case.prompts, case.trajectories)
    for n, trajectory in enumerate(case.trajectories):
        ids = [i for s in trajectory.segments for i in s.token_ids]
        own = rollout.valid[n]
        assert rollout.token_ids[n][own].tolist() == ids and int(own.sum()) == len(ids)
        said = [s for s in trajectory.segments if s.sampled]
        assert rollout.token_ids[n][rollout.trainable[n]].tolist() == [i for s in said for i in s.token_ids]
        values = [v for s in said for v in s.log_probs]
        assert rollout.log_probs is not None
        assert rollout.log_probs[n][rollout.trainable[n]].tolist() == pytest.approx(values)
        assert rollout.texts[n] == model.processor.decode([i for s in said for i in s.token_ids])
    silent = [replace(case.trajectories[0], segments=(replace(case.trajectories[0].segments[0], log_probs=()),))] * 2
    assert assemble(model.processor, case.prompts, silent).log_probs is None
    part = rollout.take(case.prompts.take([1]), [1])
    assert part.shown.grids == rollout.shown.grids[2:] and part.shown.media == {} and len(part.texts) == 2


@pytest.mark.parametrize("algo", ["grpo", "ral"])
def test_an_environment_of_two_turns_trains(algo: str, run: Callable[..., Path], small: list[str]) -> None:
    """Ask, show a crop of the picture, ask again: two steps through the real training step, then an evaluation."""
    LookAgain.made.clear()
    reward = "reward.parts.accuracy.function._target_=test_training.short_is_good"
    quiet = ["eval.before=false", "eval.every=0", "eval.prompts=4", "diagnostics.every=1"]
    folder = run(f"algo={algo}", *small, reward, *quiet, "rollout.engine._target_=environments.LookAgain")
    assert [(r.policy_version, r.group_size) for r in LookAgain.made] == [(0, 8), (1, 8), (2, 1)]
    for rollout in LookAgain.made:
        shown = rollout.valid & ~rollout.trainable
        turns = (rollout.trainable[:, 1:] & ~rollout.trainable[:, :-1]).sum(1) + 1
        assert turns.tolist() == [2] * len(rollout.texts) and rollout.shown is not None
        assert rollout.shown.visual.any(1).tolist() == [n % 2 == 1 for n in range(len(rollout.texts))]
        assert bool((rollout.shown.visual <= shown).all())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "train/grad_norm" in line]
    assert len(steps) == 2
    for line, rollout in zip(steps, LookAgain.made[:2], strict=True):
        assert line["train/policy_version"] == rollout.policy_version
        assert line["train/engine_log_prob_gap"] < 1e-4 and line["train/grad_norm"] > 1e-4
        assert line["train/response_length"] == int(rollout.trainable.sum()) / len(rollout.texts)
        assert 0 < line["train/attention_visual_share"] < 1
    assert ("train/attention_divergence" in steps[-1]) == (algo == "ral")
    records = [json.loads(line) for line in (folder / "eval" / "after.jsonl").read_text().splitlines()]
    last = LookAgain.made[2]
    assert [r["tokens"] for r in records] == last.trainable.sum(1).tolist()
    assert [r["response"] for r in records] == list(last.texts) and {r["finished"] for r in records} <= {True, False}
