"""RAL's attention term in TRL's GRPOTrainer: the term and gradient of this package, and steps on the shipped model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT, make_prompts

pytest.importorskip("trl")

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from ral.adapters.trl import OLD_ROWS, RALTrainer
from ral.errors import UserError, UserWarned
from ral.models.mllm import MLLM
from ral.ops.attention import AttentionSpec
from ral.ops.objectives import attention_policy

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # TRL's own settings, by their old names
    pytest.mark.filterwarnings("ignore::FutureWarning:trl"),
]

TINY = ROOT / "assets" / "tiny"
QUESTIONS = ["What does the circle look like?", "Which object is alone?", "What does the star look like?", "red"]


def length(completions: list[Any], **_: Any) -> list[float]:
    """A reward that differs within a group."""
    return [len(str(text)) % 7 / 7 for text in completions]


def trainer(folder: Path, settings: Any = None, data: Any = None, **more: Any) -> Any:
    """A trainer on the shipped model and, unless there is other data, questions without pictures."""
    network = AutoModelForImageTextToText.from_pretrained(TINY, dtype=torch.float32)
    own = {"num_iterations": 2, "beta": 0.0, "loss_type": "grpo", "max_steps": 2, "learning_rate": 1e-3}
    args = GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=4,
        num_generations=2,
        max_completion_length=8,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        seed=1,
        **(own | (settings or {})),
    )
    texts = Dataset.from_list([{"prompt": [{"role": "user", "content": text}]} for text in QUESTIONS])
    given = {"train_dataset": data or texts, "processing_class": AutoTokenizer.from_pretrained(TINY)}
    return RALTrainer(model=network, reward_funcs=length, args=args, **(given | more))


def logged(made: Any) -> list[dict[str, float]]:
    return [line for line in made.state.log_history if "entropy" in line]


def test_two_steps_train_and_the_term_moves_the_second(tmp_path: Path) -> None:
    """The first update is at the sampler's weights: no divergence, no gradient. The second is not, and differs."""
    found = {}
    for coef in (0.0, 50.0):
        made = trainer(tmp_path / str(coef), attention_coef=coef)
        made.train()
        found[coef] = (logged(made), {n: p.detach().clone() for n, p in made.model.named_parameters()})
    (first, second), weights = found[50.0]
    assert first["attention_divergence"] == pytest.approx(0, abs=1e-9)
    assert second["attention_divergence"] > 1e-7
    without, others = found[0.0]
    assert without[0]["loss"] == first["loss"] and without[1]["loss"] != second["loss"]
    assert any(not torch.equal(weights[name], others[name]) for name in weights)


def test_adapters_of_peft_are_trained_too(tmp_path: Path) -> None:
    made = trainer(tmp_path, peft_config=LoraConfig(r=4, target_modules=["q_proj", "k_proj"]))
    made.train()
    assert logged(made)[1]["attention_divergence"] > 1e-9


@pytest.mark.slow
def test_pictures_train_with_their_own_processor(tmp_path: Path) -> None:
    """In an environment with torchvision, which Transformers' processors read pictures with: rows look at pictures."""
    pytest.importorskip("torchvision")
    from datasets import Image

    picture, ask = str(ROOT / "notebooks" / "shapes.png"), {"role": "user", "content": QUESTIONS[0]}
    data = Dataset.from_list([{"prompt": [ask], "image": picture}] * 4).cast_column("image", Image())
    made = trainer(tmp_path, attention=AttentionSpec(keys="visual"), data=data, processing_class=None)
    made.train()
    assert logged(made)[1]["attention_divergence"] > 1e-9
    inputs = made._buffered_inputs[0]
    rows = inputs[OLD_ROWS]
    looked = rows.sum(-1)[:, 0][inputs["completion_mask"].bool()]
    assert torch.allclose(looked, torch.ones_like(looked), atol=1e-5)
    assert int(made._tokens(inputs).visual[0].sum()) == 16
    assert not bool(rows[..., inputs["prompt_mask"].shape[1] :].any())


def batch(model: MLLM, texts: tuple[str, ...], group: int, length: int) -> tuple[Any, dict[str, Any]]:
    """Prompts with random responses of several lengths, as this package and as TRL hold them."""
    prepared = model.prepare(make_prompts(model, ((),) * len(texts), texts))
    generator = torch.Generator().manual_seed(5)
    count = group * len(texts)
    ids = torch.randint(10, 60, (count, length), generator=generator)
    lengths = torch.tensor([length - n % 3 for n in range(count)])
    valid = torch.arange(length) < lengths[:, None]
    mask = prepared.valid.repeat_interleave(group, 0)
    theirs = {
        "prompt_ids": prepared.token_ids.repeat_interleave(group, 0).masked_fill(~mask, model.processor.pad_id),
        "prompt_mask": mask.long(),
        "completion_ids": ids.masked_fill(~valid, model.processor.pad_id),
        "completion_mask": valid.long(),
        "advantages": torch.randn(count, generator=generator),
        "num_items_in_batch": valid.sum(),
    }
    return prepared, theirs


OTHER = AttentionSpec((1, -1), (0, 2), "previous", "prompt")


@pytest.mark.parametrize(
    ("loss_type", "spec"),
    [("grpo", AttentionSpec()), ("bnpo", OTHER), ("dr_grpo", AttentionSpec((0,))), ("dapo", OTHER)],
)
def test_the_term_and_its_gradient_are_those_of_this_package(
    tmp_path: Path, loss_type: str, spec: AttentionSpec
) -> None:
    """On padded prompts in groups: rows, term, and the gradient of every weight, by both ways through the network."""
    made = trainer(tmp_path, settings={"loss_type": loss_type}, attention_coef=0.7, attention=spec)
    made.current_gradient_accumulation_steps = 1
    ours = MLLM.load(str(TINY))
    prepared, inputs = batch(ours, ("What does the circle look like?", "red", "What is it?"), group=2, length=6)
    valid = inputs["completion_mask"].bool()
    with torch.no_grad():  # an anchor of other weights: the policy before they moved
        before = MLLM.load(str(TINY))
        for parameter in before.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(9)))
        anchor = before.states(prepared, inputs["completion_ids"], valid, spec).attention.rows()  # type: ignore[union-attr]
        assert torch.allclose(
            made._rows(inputs),
            ours.states(prepared, inputs["completion_ids"], valid, spec).attention.rows(),  # type: ignore[union-attr]
            atol=1e-6,
        )
    made.model.train()
    without = GRPOTrainer._compute_loss(made, made.model, inputs)
    whole = made._compute_loss(made.model, {**inputs, OLD_ROWS: anchor.transpose(0, 1)})
    weights = made._weights(inputs, valid)
    assert without.item() == pytest.approx(-(weights * inputs["advantages"][:, None]).sum().item(), abs=1e-6)
    captured = ours.states(prepared, inputs["completion_ids"], valid, spec).attention
    assert captured is not None
    term = attention_policy(captured, anchor, inputs["advantages"], valid, weights, coef=0.7)
    assert abs(term.value.item()) > 1e-5
    assert (whole - without).item() == pytest.approx(term.value.item(), rel=1e-3, abs=1e-7)
    term.value.backward()
    (whole - without).backward()
    theirs = dict(made.model.named_parameters())
    seen = 0
    for name, parameter in ours.network.named_parameters():
        if parameter.grad is not None and parameter.grad.abs().max() > 1e-6:
            torch.testing.assert_close(theirs[name].grad, parameter.grad, atol=2e-6, rtol=2e-3)
            seen += 1
    assert seen > 5


def test_one_update_on_a_batch_is_told_and_costs_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        made = trainer(tmp_path, settings={"num_iterations": 1, "gradient_accumulation_steps": 1, "max_steps": 1})
    (said,) = [str(w.message) for w in heard if w.category is UserWarned]
    assert "the attention term is zero; write steps_per_generation * num_iterations above" in said
    made.train()
    assert "attention_divergence" not in logged(made)[0]


@pytest.mark.parametrize(
    ("settings", "more", "says"),
    [
        ({"loss_type": "luspo"}, {}, "loss_type='luspo' is not supported: write one of grpo"),
        ({}, {"attention": AttentionSpec((9,))}, "layer 9, but the model has 4 layers"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, settings: Any, more: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        trainer(tmp_path, settings=settings, **more)
