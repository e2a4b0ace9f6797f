"""Compute everything once: the shared-prompt path equals the plain one, and nothing is computed twice."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from conftest import CONF, MIXED, TEXTS, make_pixels, make_prompts, native
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ral.assembly.learner import build_terms
from ral.benches.naive import NaiveMLLM
from ral.learner.experience import Experience, Forward, PassSize, freeze, portions, remember
from ral.models.attention.kernel import attend_shared
from ral.models.attention.padded import response_mask
from ral.models.checks import check_spec, same_tokens
from ral.models.fresh import write_model
from ral.models.frozen import View
from ral.models.mllm import MLLM
from ral.models.opening import load as load_model
from ral.models.plain import PlainMLLM
from ral.models.recipe import Sizes
from ral.models.registry import FAMILIES
from ral.ops.aggregate import counts, sequence_mean
from ral.ops.attention import AttentionSpec
from ral.ops.signals import evaluate, needed
from ral.rollout import decoding as sampling
from ral.rollout.decoding import draw
from ral.rollout.seeds import prompt_seeds, uniforms
from ral.rollout.single_answers import make_rollout
from ral.types import UserError


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


def test_long_padded_prompts_one_by_one_change_nothing(load, monkeypatch) -> None:
    model, results = load(), []
    ids = torch.randint(5, 250, (8, 5), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(5)[None] < torch.tensor([5, 1, 3, 2, 5, 4, 2, 1])[:, None]
    for threshold in (10**6, 0):
        monkeypatch.setattr("ral.models.attention.padded.APART_FROM", threshold)
        model.zero_grad()
        prepared = model.prepare(make_prompts(model, MIXED))
        states = model.states(prepared, ids, mask, AttentionSpec(layers=(0, -1)))
        (states.hidden[mask].square().sum() + states.attention.rows().square().sum()).backward()
        rollout = native(2, max_new_tokens=5)(model, prepared, 3)
        grads = torch.cat([p.grad.flatten() for _, p in model.trained_parameters() if p.grad is not None])
        results.append((states.hidden[mask].detach(), states.attention.rows().detach(), grads, rollout.token_ids))
    for together, apart in zip(*results, strict=True):
        close(apart.float(), together.float())


def objective_of(algo: str) -> dict:
    """The objective that a yaml names."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return build_terms(compose("train", [f"algo={algo}"]).algo)


def flatter(rows: torch.Tensor) -> torch.Tensor:
    """Other attention rows over the same keys."""
    return rows.sqrt() / rows.sqrt().sum(-1, keepdim=True).clamp_min(1e-9)


def losses_and_gradients(model: MLLM, teacher: MLLM, kinds, group: int, algo: str, tokens: tuple) -> tuple:
    """One update's losses, and the gradient of their sum by parameter, on given responses."""
    objective, (ids, mask), prompts = objective_of(algo), tokens, make_prompts(model, kinds)
    passes, needs = Forward(0.9, AttentionSpec()), needed(objective.values())
    generator = torch.Generator().manual_seed(5)
    rollout = make_rollout(model.processor, model.prepare(prompts), ids, mask, mask.any(1), group)
    advantages = torch.randn(len(ids), generator=generator)
    weights = sequence_mean(mask, counts(mask))
    batch = Experience(model.prepare(prompts), rollout, advantages, weights)
    others = dict.fromkeys(("teacher", "reference"), View(teacher, teacher.prepare(prompts)))
    others = {name: value for name, value in others.items() if any(n.startswith(name) for n in needs)}
    total, shown = 0.0, []
    for part in freeze(passes, others, batch, needs, portions(batch.prepared, rollout, PassSize(2))):
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
        close(ours_grads[name], grad, 2e-5)  # small ones, of answers that nearly cancel: 1.03e-5 was seen


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_the_whole_ral_loss_equal_the_naive_implementation(family, model_folder) -> None:
    """Eager attention, all weights returned, plain autograd: every parameter's gradient of token + KL + attention."""
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
        sampler = native(3, temperature=0.9, max_new_tokens=9, greedy=greedy)
        ours, theirs = (sampler(m, m.prepare(make_prompts(m, MIXED)), 4) for m in (shared, plain))
        assert torch.equal(ours.token_ids, theirs.token_ids)
        torch.testing.assert_close(ours.log_probs, theirs.log_probs, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", [MLLM, PlainMLLM])
def test_finished_responses_leave_and_change_nothing(kind, model_folder, monkeypatch) -> None:
    model = kind.load(str(model_folder()))
    model.processor.end_ids = tuple(range(10, 25))  # often enough for responses of very different lengths
    sampler, places = native(6, temperature=1.5, max_new_tokens=90), []
    decode = model.decode
    monkeypatch.setattr(sampling, "LONGEST", 1e9)  # one batch for all
    monkeypatch.setattr(model, "decode", lambda ids, state: (places.append(len(ids)), decode(ids, state))[1])
    prepared = model.prepare(make_prompts(model, MIXED))
    compacted = sampler(model, prepared, 3)
    assert places[0] == 24 and places[-1] <= 12
    assert len({int(n) for n in compacted.valid.sum(1)}) > 5
    monkeypatch.setattr(sampling, "COMPACT_BELOW", -1.0)
    places.clear()
    whole = sampler(model, prepared, 3)
    assert set(places) == {24}
    assert torch.equal(compacted.token_ids, whole.token_ids)
    torch.testing.assert_close(compacted.log_probs, whole.log_probs, atol=2e-5, rtol=1e-4)


def test_a_prompts_answers_do_not_depend_on_its_batch(load) -> None:
    model = load()
    sampler = native(4, temperature=1.0, max_new_tokens=6)
    prepared = model.prepare(make_prompts(model, MIXED))
    together = sampler(model, prepared, 7)
    for n in range(len(MIXED)):
        alone = sampler(model, prepared.take([n]), 7)
        rows = slice(4 * n, 4 * n + 4)
        assert alone.texts == together.texts[rows]
    assert sampler(model, prepared, 8).texts != together.texts
    assert not torch.equal(*uniforms(prompt_seeds(["a", "a"], 0), 1, 8))


def test_prompts_of_very_different_lengths_are_decoded_apart_and_come_back_in_order(load, monkeypatch) -> None:
    assert sampling.length_buckets([9, 3, 5, 20, 6, 100]) == [[1, 2, 4, 0], [3], [5]]
    model = load()
    sampler = native(3, temperature=1.0, max_new_tokens=6)
    kinds = (("video", "image", "video"), (), ("image",), (), ("image", "video"))
    prepared = model.prepare(make_prompts(model, kinds))
    decoded: list[int] = []
    prefill = model.prefill
    monkeypatch.setattr(model, "prefill", lambda p, *rest: (decoded.append(len(p.prompts)), prefill(p, *rest))[1])
    monkeypatch.setattr(sampling, "LONGEST", 1.5)
    apart = sampler(model, prepared, 5)
    assert len(decoded) > 1 and sum(decoded) == len(kinds)
    monkeypatch.setattr(sampling, "LONGEST", 1e9)
    together = sampler(model, prepared, 5)
    assert decoded[-1] == len(kinds) and together.texts == apart.texts
    assert torch.equal(together.token_ids, apart.token_ids) and torch.equal(together.finished, apart.finished)
    torch.testing.assert_close(together.log_probs, apart.log_probs, atol=2e-5, rtol=1e-4)


def test_lora_adapters_train_through_the_shared_prompt(model_folder) -> None:
    """Adapters of peft, put into the network: the same losses and gradients on both paths, the base untouched."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    tokens = (
        torch.randint(5, 250, (6, 5), generator=torch.Generator().manual_seed(2)),
        torch.ones(6, 5, dtype=torch.bool),
    )
    teacher, results = MLLM.load(str(model_folder())).requires_grad_(False), []
    for kind in (MLLM, PlainMLLM):
        model = kind.load(str(model_folder()))
        torch.manual_seed(3)
        inject_adapter_in_model(config, model.network.model.language_model)
        model.network.lm_head.requires_grad_(False)
        assert {name for name, _ in model.trained_parameters()} and all(
            "lora" in n for n, _ in model.trained_parameters()
        )
        results.append(losses_and_gradients(model, teacher, (("image",), ("video",)), 3, "ral", tokens))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    for name, grad in results[1][2].items():
        close(results[0][2][name], grad)


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
    rollout = native(2, max_new_tokens=6)(model, prepared := model.prepare(make_prompts(model, MIXED)), 0)
    with torch.no_grad():
        states = model.states(prepared, rollout.token_ids, rollout.valid, None)
        log_probs, _ = Forward(0.9, AttentionSpec()).log_probs(model, states, rollout)
    torch.testing.assert_close(log_probs, rollout.log_probs, atol=2e-5, rtol=1e-4)


def test_a_step_encodes_and_prefills_each_prompt_once(run, small, monkeypatch) -> None:
    """RAL + distillation with reference and teacher and four updates: one call of each vision tower, one prefill."""
    seen: list[str] = []
    for name in ("_see", "prefill", "states"):
        method = getattr(MLLM, name)
        monkeypatch.setattr(
            MLLM, name, lambda self, *a, _m=method, _n=name, **k: (seen.append(_n), _m(self, *a, **k))[1]
        )
    run("algo=ral_distill", *small, "max_steps=1", "eval.before=false", "eval.every=0", "eval.prompts=4")
    evaluation = ["_see", "prefill", "states", "states"]  # its looks by producing rows, then by the answer's own
    step = seen[: len(seen) - len(evaluation)]
    assert step.count("_see") == 2  # the policy's (which is the reference's too) and the teacher's
    assert step.count("prefill") == 1
    assert step.count("states") == 2 + 4  # reference and teacher once; the old policy's signals are the first update's


@pytest.mark.parametrize("half", ["autocast", "weights"])
def test_half_precision_keeps_rows_losses_and_log_probs_in_fp32(half, load) -> None:
    exact, model = load(), load(dtype="bfloat16" if half == "weights" else "float32")
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 250, (8, 6), generator=generator)
    mask = torch.arange(6)[None] < torch.randint(1, 7, (8, 1), generator=generator)
    passes, rows, log_probs = Forward(0.9, AttentionSpec()), [], []
    for m in (exact, model):
        prepared = m.prepare(make_prompts(m, MIXED))
        rollout = make_rollout(m.processor, prepared, ids, mask, mask.any(1), 2)
        with torch.autocast("cpu", torch.bfloat16, enabled=m is model and half == "autocast"):
            part = Experience(prepared, rollout, torch.ones(8), sequence_mean(mask, counts(mask)))
            live = passes.live(m, part, frozenset({"attention"}))
            rows.append(live["attention"].rows())
            log_probs.append(live["log_probs"])
            (live["log_probs"].sum() + live["attention"].rows().square().sum()).backward()
        assert all(bool(p.grad.isfinite().all()) for _, p in m.trained_parameters())
    assert rows[1].dtype == log_probs[1].dtype == torch.float32
    torch.testing.assert_close(rows[1], rows[0], atol=1e-2, rtol=0)
    torch.testing.assert_close(rows[1].sum(-1)[0][mask], torch.ones(int(mask.sum())), atol=1e-5, rtol=0)
    torch.testing.assert_close(log_probs[1], log_probs[0], atol=0.1, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        prepared = model.prepare(make_prompts(model, MIXED))
        sampled = native(2, max_new_tokens=5)(model, prepared, 0)
        with torch.no_grad():
            states = model.states(prepared, sampled.token_ids, sampled.valid, None)
            trained, _ = passes.log_probs(model, states, sampled)
    assert float((trained - sampled.log_probs)[sampled.valid].abs().mean()) < 0.03
    assert sampled.log_probs is not None and bool(sampled.log_probs.isfinite().all())


def test_a_teacher_of_another_width_depth_and_head_count_teaches(tmp_path: Path, load) -> None:
    sizes = Sizes(hidden=96, layers=2, heads=3, kv_heads=3, mlp=64, vision_hidden=32, vision_depth=1, vision_heads=2)
    teacher = MLLM.load(str(write_model(tmp_path, TEXTS, sizes=sizes, seed=9, vocab_size=300))).requires_grad_(False)
    student = load()
    same_tokens(student.processor, teacher.processor)
    check_spec(AttentionSpec(), [student, teacher])
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(5, 250, (6, 5), generator=generator), torch.ones(6, 5, dtype=torch.bool)
    objective = objective_of("ral_distill")
    passes, needs = Forward(0.9, AttentionSpec()), needed(objective.values())
    prompts = make_prompts(student, (("image",), ("video",)))
    prepared, seen = student.prepare(prompts), teacher.prepare(prompts)
    rollout = make_rollout(student.processor, prepared, *tokens, tokens[1].any(1), 3)
    batch = Experience(prepared, rollout, torch.linspace(-1, 1, 6), sequence_mean(tokens[1], counts(tokens[1])))
    others = {"teacher": View(teacher, seen), "reference": View(student.frozen_copy(), prepared)}
    (part,) = freeze(passes, others, batch, needs, portions(batch.prepared, rollout, PassSize(2)))
    live = passes.live(student, part, needs)
    part = remember(part, live, needs)
    losses = {
        name: evaluate(t, {**part.signals, **live, "teacher_head": teacher.head}) for name, t in objective.items()
    }
    assert all(float(losses[n].value.detach()) > 0 for n in ("attention_distillation", "token_distillation"))
    for term in ("attention_distillation", "token_distillation"):
        grads = torch.autograd.grad(
            losses[term].value, [p for _, p in student.trained_parameters()], retain_graph=True, allow_unused=True
        )
        assert sum(float(g.abs().sum()) for g in grads if g is not None) > 0


def test_a_rollout_of_another_distribution_stops_the_run(run, small, monkeypatch) -> None:
    """A gap above the bound: the first step says so, and its figures are written."""
    with pytest.raises(UserError, match="max_log_prob_gap"):
        run(
            "algo=grpo",
            *small,
            "max_steps=1",
            "eval.before=false",
            "eval.every=0",
            "diagnostics.max_log_prob_gap=1e-12",
        )


def test_plain_path_and_checkpointing_train_from_the_command_line_alike(run, small) -> None:
    common = ["algo=ral", *small, "max_steps=1", "eval.before=false", "eval.every=0"]
    lines = []
    for name, extra in (
        ("shared", []),
        ("plain", ["hardware.share_prompt=false", "hardware.gradient_checkpointing=true"]),
    ):
        path = run(*common, *extra, folder=name) / "metrics.jsonl"
        lines.append(json.loads(path.read_text().splitlines()[0]))
    shared, plain = lines
    for key in ("train/loss", "train/grad_norm", "train/attention_jsd", "train/kl", "train/response_length"):
        assert plain[key] == pytest.approx(shared[key], rel=1e-3, abs=1e-6), key


def test_evidence_lies_on_the_visual_tokens_of_the_box(load) -> None:
    from dataclasses import replace

    from ral.data.evidence import evidence_mask
    from ral.types import Evidence

    model = load()
    prompts = make_prompts(model, (("image",), ()))
    right = replace(prompts.examples[0], evidence=(Evidence((0.5, 0.0, 1.0, 1.0)),))
    pixels = [[make_pixels("image", 0, (56, 56))], []]
    mask = evidence_mask(replace(prompts, examples=(right, prompts.examples[1])), pixels, 2)
    visual = prompts.visual[0].nonzero().squeeze(-1)
    assert prompts.grids[0][0] == (1, 2, 2)
    assert mask[0, visual].tolist() == [False, True, False, True] and int(mask.sum()) == 2
