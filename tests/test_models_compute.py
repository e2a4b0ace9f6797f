"""Compute everything once: the shared-prompt path equals the plain one, and nothing is computed twice."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from conftest import CONF, MIXED, make_prompts
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ral.lit.experience import Experience, Forward, freeze, remember
from ral.models.family import FAMILIES
from ral.models.kernel import attend_shared
from ral.models.layout import response_mask
from ral.models.mllm import MLLM
from ral.models.plain import PlainMLLM
from ral.models.plain import load as load_model
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.rollout import sampler as sampling
from ral.rollout.sampler import PolicySampler, draw, uniforms
from ral.run import build_objective


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Relative to the largest entry, as gradients are compared."""
    scale = float(theirs.abs().max().clamp_min(1e-12))
    assert float((ours - theirs).abs().max()) <= tolerance * scale + 1e-9


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("heads", [(4, 2), (3, 3), (6, 1)])
def test_merged_kernel_equals_one_masked_softmax(heads: tuple[int, int], padded: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    batch, group, length, prompt, width = 2, 3, 5, 17, 8

    def make(h: int, s: int) -> torch.Tensor:
        return torch.randn(batch, h, s, width, generator=generator, dtype=torch.float64).requires_grad_()

    query, pk, pv = make(heads[0], group * length), make(heads[1], prompt), make(heads[1], prompt)
    ok, ov = make(heads[1], group * length), make(heads[1], group * length)
    valid = torch.ones(batch, prompt, dtype=torch.bool)
    valid[1, : 9 * padded] = False
    out = attend_shared(query, (pk, pv), (ok, ov), valid if padded else None, group, 0.3)
    want = torch.nn.functional.scaled_dot_product_attention(
        query,
        torch.cat([pk, ok], 2),
        torch.cat([pv, ov], 2),
        attn_mask=response_mask(valid, group, length),
        scale=0.3,
        enable_gqa=True,
    )
    torch.testing.assert_close(out, want, atol=1e-12, rtol=1e-10)
    probe = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    inputs = (query, pk, pv, ok, ov)
    for ours, theirs in zip(
        torch.autograd.grad((out * probe).sum(), inputs), torch.autograd.grad((want * probe).sum(), inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-10)


def objective_of(algo: str) -> dict:
    """The objective that a yaml names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_objective(compose("train", [f"algo={algo}"]).algo)


def flatter(rows: torch.Tensor) -> torch.Tensor:
    """Other attention rows over the same keys."""
    return rows.sqrt() / rows.sqrt().sum(-1, keepdim=True).clamp_min(1e-9)


def losses_and_gradients(model: MLLM, teacher: MLLM, kinds, group: int, algo: str, tokens: tuple) -> tuple:
    """One update's losses, and the gradient of their sum by parameter, on given responses."""
    objective, (ids, mask), prompts = objective_of(algo), tokens, make_prompts(model, kinds)
    passes, needs = Forward(0.9, AttentionSpec()), needed(objective.values())
    generator = torch.Generator().manual_seed(5)
    rollout = sampling.make_rollout(model.processor, model("prepare", prompts), ids, mask, mask.any(1), group)
    advantages = torch.randn(len(ids), generator=generator)
    weights = sequence_mean(mask, counts(mask))
    batch = Experience(model("prepare", prompts), rollout, advantages, weights)
    others = {"teacher": (teacher, teacher("prepare", prompts)), "reference": (teacher, teacher("prepare", prompts))}
    others = {name: value for name, value in others.items() if any(n.startswith(name) for n in needs)}
    total, shown = 0.0, []
    for part in freeze(passes, others, batch, needs, prompts=2):
        live = passes.live(model, part, needs)
        part = remember(part, live, needs)
        moved = {
            k: v * 0.9 + 0.01 if k == "old_log_probs" else flatter(v) if k == "old_rows" else v
            for k, v in part.signals.items()
        }  # as if an update had been made
        signals = {**moved, **live, "teacher_head": teacher.head}
        losses = {name: evaluate(term, signals) for name, term in objective.items()}
        total = total + torch.stack([loss.value for loss in losses.values()]).sum()
        shown += [float(m[0]) for loss in losses.values() for m in loss.metrics.values()]
    parameters = dict(model.trained_parameters())
    return (
        float(total.detach()),
        shown,
        dict(zip(parameters, torch.autograd.grad(total, parameters.values()), strict=True)),
    )


KINDS = st.lists(st.sampled_from(((), ("image",), ("video",), ("image", "video", "image"))), min_size=1, max_size=4)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=KINDS, group=st.integers(2, 16), algo=st.sampled_from(("grpo", "ral", "ral_distill")), seed=st.integers(0, 99)
)
def test_shared_path_equals_plain_path(model_folder, kinds, group: int, algo: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    count, length = len(kinds) * group, 5
    ids = torch.randint(5, 250, (count, length), generator=generator)
    mask = torch.arange(length)[None] < torch.randint(1, length + 1, (count, 1), generator=generator)
    folder = str(model_folder())
    results = []
    for kind in (MLLM, PlainMLLM):
        torch.manual_seed(1)
        teacher = kind.load(folder).requires_grad_(False)
        for p in teacher.parameters():
            p.add_(torch.randn_like(p) * 0.05 * p.abs().mean())
        results.append(losses_and_gradients(kind.load(folder), teacher, tuple(kinds), group, algo, (ids, mask)))
    (ours, ours_shown, ours_grads), (theirs, theirs_shown, theirs_grads) = results
    assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-7)
    assert ours_shown == pytest.approx(theirs_shown, rel=1e-5, abs=1e-5)
    for name, grad in theirs_grads.items():
        close(ours_grads[name], grad)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_the_whole_ral_loss_equal_the_naive_implementation(family, model_folder, monkeypatch) -> None:
    """Eager attention, all weights returned, plain autograd: every parameter's gradient of token + KL + attention."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    from bench.naive import NaiveMLLM

    generator = torch.Generator().manual_seed(4)
    ids = torch.randint(5, 250, (3 * len(MIXED), 6), generator=generator)
    mask = torch.arange(6)[None] < torch.randint(1, 7, (len(ids), 1), generator=generator)
    folder = str(model_folder(family))
    teacher = MLLM.load(folder).requires_grad_(False)
    with torch.no_grad():
        for p in teacher.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.05 * p.abs().mean())
    ours, theirs = (
        losses_and_gradients(kind.load(folder), teacher, MIXED, 3, "ral", (ids, mask)) for kind in (MLLM, NaiveMLLM)
    )
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    for name, grad in theirs[2].items():
        close(ours[2][name], grad)


def test_plain_rollouts_are_the_same_tokens(model_folder) -> None:
    shared, plain = (kind.load(str(model_folder())) for kind in (MLLM, PlainMLLM))
    for greedy in (True, False):
        sampler = PolicySampler(3, temperature=0.9, max_new_tokens=9, greedy=greedy)
        ours, theirs = (sampler(m, m("prepare", make_prompts(m, MIXED)), 4) for m in (shared, plain))
        assert torch.equal(ours.response_ids, theirs.response_ids)
        torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_finished_responses_leave_and_change_nothing(kind, model_folder, monkeypatch) -> None:
    model = kind.load(str(model_folder()))
    model.processor.end_ids = tuple(range(10, 25))  # often enough for responses of very different lengths
    sampler, places = PolicySampler(6, temperature=1.5, max_new_tokens=90), []
    decode = model.decode
    monkeypatch.setattr(model, "decode", lambda ids, state: (places.append(len(ids)), decode(ids, state))[1])
    prepared = model("prepare", make_prompts(model, MIXED))
    compacted = sampler(model, prepared, 3)
    assert places[0] == 24 and places[-1] <= 12
    assert len({int(n) for n in compacted.response_mask.sum(1)}) > 5
    monkeypatch.setattr(sampling, "COMPACT_BELOW", -1.0)
    places.clear()
    whole = sampler(model, prepared, 3)
    assert set(places) == {24}
    assert torch.equal(compacted.response_ids, whole.response_ids)
    torch.testing.assert_close(compacted.log_probs, whole.log_probs, atol=2e-5, rtol=1e-4)


def test_a_prompts_answers_do_not_depend_on_its_batch(load) -> None:
    model = load()
    sampler = PolicySampler(4, temperature=1.0, max_new_tokens=6)
    prepared = model("prepare", make_prompts(model, MIXED))
    together = sampler(model, prepared, 7)
    for n in range(len(MIXED)):
        alone = sampler(model, prepared.select(n, n + 1), 7)
        rows = slice(4 * n, 4 * n + 4)
        assert alone.texts == together.texts[rows]
    assert sampler(model, prepared, 8).texts != together.texts
    assert not torch.equal(*uniforms(["a", "a"], 1, 8, seed=0))


def test_draws_follow_the_distribution_and_never_a_banned_token() -> None:
    logits = torch.tensor([-torch.inf, 1.0, 0.0, -torch.inf, 2.0, -torch.inf])
    numbers = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    numbers = torch.cat([torch.tensor([0.0, 1 - 2.0**-53]), numbers])
    drawn = draw(logits.expand(len(numbers), -1), numbers)
    shares = torch.bincount(drawn, minlength=6) / len(numbers)
    torch.testing.assert_close(shares, torch.softmax(logits, -1), atol=5e-5, rtol=0)
    assert drawn[0] == 1 and drawn[1] == 4
    assert draw(logits[None], None) == 4


def test_gradient_checkpointing_changes_no_gradient(model_folder) -> None:
    folder, grads = str(model_folder()), []
    tokens = (
        torch.randint(5, 250, (6, 5), generator=torch.Generator().manual_seed(2)),
        torch.ones(6, 5, dtype=torch.bool),
    )
    teacher = MLLM.load(folder).requires_grad_(False)
    calls: list[bool] = []
    for checkpointing in (False, True):
        model = MLLM.load(folder)
        layer = model.network.model.language_model.layers[0]
        layer.mlp.register_forward_pre_hook(lambda *_, c=checkpointing: calls.append(c))
        if checkpointing:
            model.checkpoint_layers()
        grads.append(losses_and_gradients(model, teacher, (("image",), ("video",)), 3, "ral", tokens)[2])
    assert (calls.count(False), calls.count(True)) == (1, 2)  # recomputed once in the backward pass
    for name, grad in grads[0].items():
        close(grads[1][name], grad, 1e-6)


def test_a_model_with_a_sliding_window_takes_the_plain_path(tmp_path: Path, model_folder, caplog) -> None:
    import json
    import shutil

    folder = shutil.copytree(model_folder(), tmp_path / "sliding")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1}
    config["text_config"]["layer_types"] = ["full_attention", "sliding_attention", "full_attention"]
    (folder / "config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        model = load_model(str(folder))
    assert isinstance(model, PlainMLLM)
    assert len([r for r in caplog.records if "sliding" in r.message]) == 1
    rollout = PolicySampler(2, max_new_tokens=6)(model, prepared := model("prepare", make_prompts(model, MIXED)), 0)
    with torch.no_grad():
        states = model("score", prepared, rollout.response_ids, rollout.response_mask, None)
        log_probs, _ = Forward(0.9, AttentionSpec()).log_probs(model, states, rollout)
    torch.testing.assert_close(log_probs, rollout.log_probs, atol=2e-5, rtol=1e-4)


def test_a_step_encodes_and_prefills_each_prompt_once(run, small, monkeypatch) -> None:
    """RAL + distillation with reference and teacher and four updates: one call of each vision tower, one prefill."""
    seen: list[str] = []
    for name in ("_see", "prefill", "score"):
        method = getattr(MLLM, name)
        monkeypatch.setattr(
            MLLM, name, lambda self, *a, _m=method, _n=name, **k: (seen.append(_n), _m(self, *a, **k))[1]
        )
    run("algo=ral_distill", *small, "max_steps=1", "eval.before=false", "eval.every=0", "eval.prompts=4")
    evaluation = ["_see", "prefill", "score"]
    step = seen[: len(seen) - len(evaluation)]
    assert step.count("_see") == 2  # the policy's (which is the reference's too) and the teacher's
    assert step.count("prefill") == 1
    assert step.count("score") == 2 + 4  # reference and teacher once; the old policy's signals are the first update's
