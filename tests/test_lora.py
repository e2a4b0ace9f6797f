"""LoRA: adapters alone are trained, the reference is the policy without them, and both exports load elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import MIXED, make_prompts
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from ral.models.adapters.files import read_adapters
from ral.models.adapters.lora import Adapters, WithoutAdapters, add_adapters, merged, save_adapters
from ral.models.frozen import FrozenModel
from ral.models.mllm import MLLM
from ral.models.saving import save_network
from ral.ops.attention import AttentionSpec
from ral.types import UserError

TARGETS = ("q_proj", "v_proj", "down_proj")
LORA = ["lora.rank=4", "algo.learning_rate=1e-2"]
SIZE = "{_target_: test_checkpoint.size, _partial_: true}"
SOME_REWARD = f"+reward.parts.size={{_target_: ral.rewards.combine.Part, weight: 1, function: {SIZE}}}"


@pytest.fixture
def adapted_model(load: Callable[..., MLLM]) -> MLLM:
    """Adapters that change the model: both factors random."""
    model = load()
    add_adapters(model, Adapters(4, 8.0, TARGETS))
    torch.manual_seed(0)
    for _, weight in model.trained_parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model


def hidden(model: FrozenModel) -> torch.Tensor:
    """Hidden states of a mixed batch with two responses to each prompt."""
    prepared = model.prepare(make_prompts(model, MIXED))
    ids = torch.randint(5, 200, (2 * len(MIXED), 5), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.states(prepared, ids, torch.ones_like(ids, dtype=torch.bool), AttentionSpec()).hidden


def test_the_reference_is_the_model_before(adapted_model: MLLM, load: Callable[..., MLLM]) -> None:
    before, now = hidden(load()), hidden(adapted_model)
    reference = WithoutAdapters(adapted_model)
    assert torch.equal(hidden(reference), before) and not torch.allclose(now, before, atol=1e-2)
    assert torch.equal(hidden(adapted_model), now)  # on again
    assert not isinstance(reference, torch.nn.Module) and reference.sees_like(adapted_model)


def test_adapters_alone_are_trained(adapted_model: MLLM) -> None:
    names = [name for name, _ in adapted_model.trained_parameters()]
    assert names and all(".lora_" in name for name in names)
    assert len(names) == 2 * len(TARGETS) * adapted_model.depth


def test_adapters_start_from_the_seed_alone(load: Callable[..., MLLM]) -> None:
    starts = []
    for noise, seed in ((1, 0), (2, 0), (2, 5)):
        torch.manual_seed(noise)
        add_adapters(model := load(), Adapters(4, 8.0, TARGETS), seed=seed)
        starts.append({name: weight for name, weight in model.trained_parameters() if "lora_A" in name})
    one, same, other = starts
    assert one and all(torch.equal(one[name], same[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers
def test_both_exports_are_the_adapted_model(
    adapted_model: MLLM, model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    network, state = adapted_model.network, adapted_model.network.state_dict()
    save_network(network, merged(state, network), adapted_model.processor, tmp_path / "hf")
    save_adapters(state, network, str(model_folder()), tmp_path / "adapter")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "hf")
    base = AutoModelForImageTextToText.from_pretrained(model_folder())
    other = PeftModel.from_pretrained(base, tmp_path / "adapter")
    ids = torch.randint(5, 200, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, two = plain(input_ids=ids).logits, other(input_ids=ids).logits
        with other.disable_adapter():
            without = other(input_ids=ids).logits
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    assert (one - without).abs().max() > 0.05
    torch.testing.assert_close(hidden(MLLM.load(str(tmp_path / "hf"))), hidden(adapted_model), rtol=1e-4, atol=1e-4)


def test_unknown_targets_are_named(load: Callable[..., MLLM]) -> None:
    with pytest.raises(UserError, match=r"lora.targets=\['query'\]: no layer is called query; write .*q_proj"):
        add_adapters(load(), Adapters(4, 8.0, ("query",)))


def test_a_target_that_some_decoders_lack_is_not_passed_over(load: Callable[..., MLLM]) -> None:
    """Check that a fused layer's parts, which other networks have apart, are named although the rest is there."""
    targets = ("q_proj", "gate_up_proj", "self_attn.v_proj", "proj")
    with pytest.raises(UserError, match=r"no layer is called gate_up_proj or proj; write lora"):
        add_adapters(load(), Adapters(2, 4, targets))


def metrics(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def test_a_run_trains_exports_and_resumes(
    run: Callable[..., Path], small: list[str], model_folder: Callable[..., Path]
) -> None:
    """KL to the reference is zero before the first update and grows; weights beside the adapters stay."""
    often = [*small, *LORA, SOME_REWARD, "algo=ral", "max_steps=3", "checkpoint.every=1", "checkpoint.keep=9"]
    whole = run(*often, folder="whole")
    assert metrics(whole)[3]["train/kl"] > 0 and metrics(whole)[1]["train/grad_norm"] > 0
    state = torch.load(whole / "checkpoints" / "step_000003" / "state.pt", weights_only=True)
    assert all(".lora_" in name for name in state["weights"]["policy"])
    before, after = load_file(model_folder() / "model.safetensors"), load_file(whole / "hf" / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("_proj" in name and "visual" not in name for name in changed)
    again = run(*often, f"resume={whole / 'checkpoints' / 'step_000001'}", folder="again")
    assert metrics(again)[-1] == metrics(whole)[-1]
    assert (again / "adapter" / "adapter_model.safetensors").read_bytes() == (
        whole / "adapter" / "adapter_model.safetensors"
    ).read_bytes()


def test_no_merged_export_where_none_is_wanted(run: Callable[..., Path], small: list[str]) -> None:
    folder = run(*small, *LORA, "algo=sft", "max_steps=1", "lora.merge=false", "eval.every=0")
    assert (folder / "adapter" / "adapter_config.json").is_file() and not (folder / "hf").exists()


def test_adapters_and_a_trained_tower_exclude_each_other(run: Callable[..., Path], small: list[str]) -> None:
    with pytest.raises(UserError, match=r"model.freeze_vision=false trains the vision tower"):
        run(*small, *LORA, "model.freeze_vision=false", "algo.updates_per_rollout=1", "algo=grpo")


# --- lora.resume


@pytest.fixture
def written(adapted_model: MLLM, model_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """The adapter's folder as a run writes it."""
    save_adapters(adapted_model.network.state_dict(), adapted_model.network, str(model_folder()), tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_goes_on_where_it_was(written: Path, adapted_model: MLLM, load: Callable[..., MLLM]) -> None:
    resumed = read_adapters(str(written), model := load(), rank=4)
    assert resumed.adapters == Adapters(4, 8.0, tuple(sorted(TARGETS)))
    resumed.put(model)
    state = model.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in adapted_model.network.state_dict().items())
    assert [n for n, _ in model.trained_parameters()] == [n for n, _ in adapted_model.trained_parameters()]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_that_peft_wrote_goes_on(
    load: Callable[..., MLLM], model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    base = AutoModelForImageTextToText.from_pretrained(model_folder())
    which = r".*language_model\.layers\.[02]\..*\.(k_proj|o_proj)"  # not every layer
    other = get_peft_model(base, LoraConfig(r=3, lora_alpha=6, target_modules=which, use_rslora=True))
    torch.manual_seed(0)
    for name, weight in other.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight, std=0.2)
    other.save_pretrained(tmp_path)
    resumed = read_adapters(str(tmp_path), model := load())
    assert resumed.adapters.rank == 3 and len(resumed.adapters.targets) == 4
    resumed.put(model)
    ids = torch.randint(5, 200, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.network(input_ids=ids).logits, other(input_ids=ids).logits)


REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "another method": ({"peft_type": "LOHA"}, "says peft_type 'LOHA'"),
    "another rank": ({"r": 8}, "lora.rank=4, and .* says r=8"),
    "DoRA": ({"use_dora": True}, "asks for DoRA"),
    "biases": ({"bias": "all"}, "asks for biases"),
    "tokens that switch it on": ({"alora_invocation_tokens": [5, 6]}, "asks for activated LoRA"),
    "a truncated base": ({"kasa_config": {"beta": 1.0}}, "asks for KaSA"),
    **{
        began: ({"init_lora_weights": began}, f"says init_lora_weights={began}, which changes .* base .*; {write}")
        for began, write in {
            **dict.fromkeys(("pissa", "PiSSA", "pissa_niter_16", "olora", "corda", "lora_ga"), "save it as plain LoRA"),
            "loftq": "merge it into the model it was trained on",
        }.items()
    },
    "an unknown beginning": ({"init_lora_weights": "newer"}, "says init_lora_weights=newer, which is not known here"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_adapters_of_another_kind_are_refused(name: str, written: Path, load: Callable[..., MLLM]) -> None:
    facts, message = REFUSED[name]
    config = json.loads((written / "adapter_config.json").read_text())
    (written / "adapter_config.json").write_text(json.dumps(config | facts))
    with pytest.raises(UserError, match=message):
        read_adapters(str(written), load(), rank=4)


@pytest.mark.filterwarnings(
    *("ignore:`is_gradient_checkpointing`:FutureWarning", "ignore:`init_lora_weights`:UserWarning"),
    *("ignore:lora with eva:UserWarning", "ignore:.*eva.*:UserWarning"),
)
@pytest.mark.parametrize("began", [True, False, "gaussian", "eva", "orthogonal", "pissa", "olora"])
def test_which_beginnings_keep_the_base_is_peft_s_own(
    began: bool | str, load: Callable[..., MLLM], model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """What is accepted equals peft's network, what is refused does not keep the base."""
    base = AutoModelForImageTextToText.from_pretrained(model_folder())
    which = r".*language_model\.layers\.1\..*\.(k_proj|o_proj)"
    weight = base.model.language_model.layers[1].self_attn.k_proj.weight
    before = weight.detach().clone()
    wrapped = get_peft_model(
        base, LoraConfig(r=4, target_modules=which, init_lora_weights=began), low_cpu_mem_usage=False
    )
    after = wrapped.base_model.model.model.language_model.layers[1].self_attn.k_proj.base_layer.weight
    wrapped.save_pretrained(tmp_path)
    if not torch.equal(before, after):
        with pytest.raises(UserError, match=rf"init_lora_weights={began}, which changes the weights of the base"):
            read_adapters(str(tmp_path), load())
        return
    read_adapters(str(tmp_path), model := load()).put(model)
    ids = torch.randint(5, 200, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.network(input_ids=ids).logits, wrapped(input_ids=ids).logits)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning", "ignore:OLoRA changes:UserWarning")
def test_a_converted_adapter_goes_on(
    load: Callable[..., MLLM], model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    base = AutoModelForImageTextToText.from_pretrained(model_folder())
    which = r".*language_model\.layers\.1\..*\.(k_proj|o_proj)"
    wrapped = get_peft_model(base, LoraConfig(r=4, target_modules=which, init_lora_weights="olora"))
    wrapped.peft_config["default"].init_lora_weights = True
    wrapped.save_pretrained(tmp_path / "begun")
    wrapped.peft_config["default"].init_lora_weights = "olora"
    torch.manual_seed(0)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            weight.data += 0.1 * torch.randn_like(weight)
    ids = torch.randint(5, 200, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = wrapped(input_ids=ids).logits
    converted = tmp_path / "converted"
    wrapped.save_pretrained(converted, path_initial_model_for_weight_conversion=str(tmp_path / "begun"))
    read_adapters(str(converted), model := load()).put(model)
    with torch.no_grad():
        torch.testing.assert_close(model.network(input_ids=ids).logits, wanted, rtol=1e-3, atol=1e-4)


def test_factors_that_do_not_fit_are_named(written: Path, load: Callable[..., MLLM], tmp_path: Path) -> None:
    weights = load_file(written / "adapter_model.safetensors")
    name = next(n for n in sorted(weights) if n.endswith("lora_B.weight"))

    def told(changed: dict[str, torch.Tensor]) -> str:
        save_file(changed, written / "adapter_model.safetensors")
        with pytest.raises(UserError) as found:
            read_adapters(str(written), model := load()).put(model)
        return str(found.value)

    assert "lacks layers.0.mlp.down_proj.lora_B.weight" in told({n: w for n, w in weights.items() if n != name})
    assert "has (70, 4), and this model's layer wants (64, 4)" in told(weights | {name: torch.ones(70, 4)})
    for side, shape in ((name, (64, 3)), (name.replace("lora_B", "lora_A"), (7, 64)), (name, (64, 4, 1))):
        wrong = told(weights | {side: torch.ones(shape)})
        assert f"has {shape}, and adapter_config.json beside it says r=4: the two files do not belong" in wrong
        assert "another size" not in wrong
    assert "NaN or infinity" in told(weights | {name: weights[name] * float("nan")})
    far = {n.replace("layers.2", "layers.7"): w for n, w in weights.items()}
    assert "the model's decoder has no layers.7" in told(far)
    tower = {n.replace("language_model.layers", "visual.layers"): w for n, w in weights.items()}
    assert "adapts more than the decoder" in told(tower)
    for own in ("default", "task-2"):
        inner = {n.replace(".weight", f".{own}.weight"): w for n, w in weights.items()}
        assert f"lora_A.{own}.weight" in (wrong := told(inner)) and "save it with peft's save_pretrained" in wrong
    with pytest.raises(UserError, match=f"no adapter: it has no adapter_config.json; write {written}"):
        read_adapters(str(tmp_path), load())


def test_a_run_goes_on_with_an_adapter_on_another_base(
    run: Callable[..., Path],
    small: list[str],
    written: Path,
    model_folder: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Rank, alpha and targets are the adapter's own; that its base has another name is said."""
    other = shutil.copytree(model_folder(), written.parent / "another")
    common = [*small, "algo=sft", "max_steps=1", "eval.every=0", "algo.learning_rate=0", f"lora.resume={written}"]
    folder = run(*common, f"model.pretrained={other}")
    assert [r.message for r in caplog.records if "goes on with" in r.message]
    before, after = (load_file(f / "adapter_model.safetensors") for f in (written, folder / "adapter"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert "rank: 4" in (folder / "config.yaml").read_text()
