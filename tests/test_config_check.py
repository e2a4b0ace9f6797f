"""The configuration check: schemas, rules, and the signatures behind `_target_`."""

from __future__ import annotations

import enum
import itertools
import subprocess
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NewType

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from ral.config import check as config
from ral.config import cli
from ral.config.build import instantiate
from ral.config.numbers import wrong_number
from ral.config.rules import rules
from ral.config.schema import Train
from ral.config.signature import AT_RUN_TIME, bind, describe, did_you_mean, fits, is_target, select, walk
from ral.config.terms import wrong_terms
from ral.config.without_effect import learns_something, settings_without_effect, starts_moving
from ral.errors import UserError

HERE = __name__


@dataclass
class Algo:
    """The part of conf/algo that the rules read."""

    objective: list[str]
    rollouts: bool
    group_size: int
    updates_per_rollout: int
    temperature: float = 1.0
    ema_decay: float = 0.99
    learning_rate: float = 1e-6
    final_learning_rate: float = 0.1
    warmup: int = 0
    prompts_per_step: int = 8
    attention_policy: config.Node = field(default_factory=dict)


@dataclass
class Toy:
    """A schema of the real one's shape, small and without heavy targets."""

    seed: int
    max_steps: int
    name: str
    resume: str | None
    debug: bool
    algo: Algo
    model: config.Node
    dataset: config.Node
    hardware: config.Node
    reward: config.Node
    optim: config.Node = field(default_factory=dict)
    lora: config.Node = field(default_factory=dict)


@pytest.fixture(autouse=True)
def outside_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run has started, whatever other tests of this process have left behind."""
    monkeypatch.setattr(HydraConfig.instance(), "cfg", None)


def check(cfg: DictConfig) -> None:
    """The whole check, against the small schema."""
    config.check(cfg, Toy)


def clip(values: list[float], *, low: float = 0.2, high: float = 0.2, mode: Literal["hard", "soft"] = "hard") -> None:
    """A term: signals by position, numbers by keyword."""


def build(
    path: str, size: tuple[int, int], weights: Mapping[str, float], inner: Callable[[], int] | None = None
) -> None:
    """Something with required keywords."""


def anything(first: int, **rest: object) -> None:
    """Takes every keyword."""


class Base:
    """A class with a constructor and another one beside it."""

    def __init__(self, width: int) -> None:
        self.width = width

    @classmethod
    def from_folder(cls, folder: str | None) -> Base:
        """An alternative constructor."""
        return cls(len(folder or ""))


@dataclass(frozen=True)
class Spec:
    """A dataclass: its fields are its keywords."""

    layers: tuple[int, ...] = (-1,)
    heads: Literal["mean"] | list[int] = "mean"
    extra: dict[str, int] = field(default_factory=dict)


def term(name: str, **keywords: Any) -> dict[str, Any]:
    """A partial `_target_` node for a callable of this file."""
    return {"_target_": f"{HERE}.{name}", "_partial_": True, **keywords}


def light(name: str, **keywords: Any) -> dict[str, Any]:
    """The same for a callable of light_terms.py."""
    return {"_target_": f"light_terms.{name}", "_partial_": True, **keywords}


SAMPLING = {"_target_": f"{HERE}.anything", "first": 1}


def valid(**changes: Any) -> DictConfig:
    """A configuration without a mistake, and then dotted changes to it."""
    algo = {"objective": ["token", "attention"], "rollouts": True, "group_size": 8, "updates_per_rollout": 4}
    nodes: dict[str, Any] = {group: {} for group in ("model", "dataset", "reward")}
    nodes["hardware"] = {"precision": "32-true"}
    terms = {"token": light("token"), "attention": light("look", coef=1.0, against="old")}
    terms |= {"advantage": light("relative"), "sampling": SAMPLING}
    top = {"seed": 0, "max_steps": 60, "name": "x", "resume": None, "debug": False}
    cfg = OmegaConf.create({**top, "algo": {**algo, **terms}, **nodes})
    for key, value in changes.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True)
    return cfg


def message(**changes: Any) -> str:
    """What the check says about a changed configuration: one line."""
    with pytest.raises(UserError) as caught:
        check(valid(**changes))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_valid_configuration_passes() -> None:
    check(valid())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"seed": "abc"}, "seed='abc' has the wrong type: int expected"),
        ({"seed": True}, "seed=True has the wrong type: int expected"),
        ({"seed": 1.0}, "seed=1.0 has the wrong type: int expected; write seed=1"),
        ({"seed": 1e3}, "seed=1000.0 has the wrong type: int expected; write seed=1000"),
        ({"max_steps": 2e1}, "max_steps=20.0 has the wrong type: int expected; write max_steps=20"),
        ({"seed": float("inf")}, "seed=inf has the wrong type: int expected"),
        ({"seed": [1, 2]}, "seed=[1,2] is a list, and one number is read: write seed=1, or -m seed=1,2 for a run each"),
        ({"algo__temperature": [0.9]}, "algo.temperature=[0.9] is a list, and one number is read: write algo.temp"),
        ({"seed": None}, "seed=null has the wrong type: int expected; write 0 to 4398046511103, such as seed=0"),
        ({"debug": "yes"}, "debug='yes' has the wrong type: bool expected; write debug=true or debug=false"),
        ({"resume": 3}, "resume=3 has the wrong type: str or null expected"),
        ({"sead": 3}, "unknown key sead; did you mean seed?"),
        ({"algo__grup_size": 3}, "unknown key algo.grup_size; did you mean group_size?"),
        ({"algo__objective": "token"}, "algo.objective='token' has the wrong type: list of str expected"),
        ({"algo": "ral"}, "algo='ral' has the wrong type: a group of keys expected"),
        ({"model": 3}, "model=3 has the wrong type: mapping expected"),
        ({"dataset__path": "???"}, "dataset.path is not set: write dataset.path=<value>"),
        ({"dataset__parts": [{"path": "???"}]}, "dataset.parts[0].path is not set"),
        ({"dataset__path": "${model.nowhere}"}, "dataset.path: Interpolation key 'model.nowhere' not found"),
    ],
)
def test_schema(changes: dict[str, Any], expected: str) -> None:
    assert message(**changes).startswith(expected)


@pytest.mark.parametrize(("ids", "count", "shown"), [([0], 1, "0"), ([1], 1, "1"), ([0, 3], 2, "0,3")])
def test_devices_by_number_are_told_how_to_be_chosen(ids: list[int], count: int, shown: str) -> None:
    with pytest.raises(UserError) as caught:
        config.check_single({"hardware": {"devices": ids}}, Train)
    way = f"write hardware.devices={count}, how many devices; CUDA_VISIBLE_DEVICES={shown} in front of the command"
    assert str(caught.value) == f"hardware.devices=[{shown}] is a list, and one number is read: {way} says which"


def test_a_deleted_key_is_asked_for() -> None:
    cfg = valid()
    del cfg.algo["group_size"]
    with pytest.raises(UserError, match=r"algo\.group_size is not set: write algo\.group_size=<value>"):
        check(cfg)


def test_a_group_that_is_a_target_answers_to_its_callable_and_keeps_the_schemas_types() -> None:
    @dataclass
    class Eval:
        every: int
        limit: int | None

    config.check_schema({"_target_": "x.y", "limit": 3, "other": 1}, Eval, "eval.")
    with pytest.raises(UserError, match=r"eval\.limit='many' has the wrong type: int or null expected"):
        config.check_schema({"_target_": "x.y", "limit": "many"}, Eval, "eval.")


def test_values_of_the_run_itself_are_unknown_before_it_and_fit_everywhere() -> None:
    cfg = valid(name="${hydra:job.num}", model={"_target_": f"{HERE}.Base", "width": "${hydra:job.num}"})
    check(cfg)
    assert config.plain(cfg)["name"] == AT_RUN_TIME


def test_interpolations_are_resolved_before_types_are_judged() -> None:
    check(valid(algo__updates_per_rollout="${algo.group_size}"))
    assert message(algo__updates_per_rollout="${name}").startswith("algo.updates_per_rollout='x'")


# --- rules ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["max_steps", "algo.group_size", "algo.updates_per_rollout", "dataset.limit"])
def test_counts_start_at_one(key: str) -> None:
    assert message(**{key: 0}).startswith(f"{key}=0 is too small: write 1 or more")


def test_the_smallest_evaluation_is_named() -> None:
    words = "write 1 or more (eval.prompts=1 eval.every=0 eval.before=false evaluates one prompt, after the last step)"
    assert wrong_number("eval.prompts", 0) == f"eval.prompts=0 is too small: {words}"


def test_null_counts_mean_all_and_the_temperature_is_positive() -> None:
    check(valid(dataset__limit=None))
    assert message(algo__temperature=0.0).startswith("algo.temperature=0.0 is too small")


def test_a_group_of_one_is_rejected_where_responses_are_compared() -> None:
    assert message(algo__group_size=1).startswith("algo.group_size=1: the advantage compares")
    check(valid(algo__group_size=1, algo__rollouts=False, algo__given=term("anything")))
    check(valid(algo__group_size=1, algo__objective=["guide"], algo__guide=light("likelihood")))
    check(valid(algo__group_size=1, algo__advantage=term("clip")))  # not relative to the group
    renamed = message(algo__group_size=1, algo__objective=["reinforce"], algo__reinforce=light("token"))
    assert renamed.startswith("algo.group_size=1: the advantage compares")


def test_the_objective_names_terms_that_exist() -> None:
    assert "'atention', which is no term of algo; did you mean attention?" in message(algo__objective=["atention"])
    assert message(algo__objective=[]).startswith("algo.objective is empty")


def test_parts_of_the_reward_have_names_of_their_own() -> None:
    part = term("anything", weight=1.0)
    for name in ("kl", "reward", "tokens", "response", "loss_token"):
        assert message(reward={"parts": {name: part}}).startswith(f"reward.parts.{name} has the name of a metric")
    check(valid(reward={"parts": {"accuracy": part, "format": part, "length": part, "hedging": part}}))


TRAP = "leaves the attention term without any signal"


def test_one_update_against_the_old_policy_is_rejected_with_both_ways_out() -> None:
    said = message(algo__updates_per_rollout=1)
    assert TRAP in said
    assert "algo.updates_per_rollout=2" in said
    assert "algo.attention.against=reference or ema" in said


def test_a_renamed_attention_term_is_rejected_too() -> None:
    look = {"algo__objective": ["token", "look"], "algo__look": light("look"), "algo__updates_per_rollout": 1}
    said = message(**look)
    assert "leaves the look term without any signal" in said and "algo.look.against=reference or ema" in said
    check(valid(**look, algo__look__coef=0.0))
    assert "algo.look.against=ema" in message(**look, algo__look__against="ema", algo__ema_decay=0)


@pytest.mark.parametrize(
    ("node", "passes", "said"),
    [
        ("misspelt", None, "asks for the signal 'log_prob', which does not exist; did you mean log_probs"),
        ("number_before_the_star", None, "asks for the signal 'scale', which does not exist; numbers from yaml stand"),
        ("scored", None, "asks for the signal 'scores', which is not among those of this algorithm's passes: advan"),
        ("token", "Passes", "asks for the signal 'log_probs', which is not among those of this algorithm's passes: "),
    ],
)
def test_a_signal_that_the_run_does_not_have_is_named(node: str, passes: str | None, said: str) -> None:
    algo = {"algo__objective": ["x"], "algo__x": light(node)}
    algo |= {} if passes is None else {"algo__passes": {"_target_": f"light_terms.{passes}"}}
    assert message(**algo).startswith(f"algo.x: light_terms.{node} {said}")


def test_signals_that_are_there_pass() -> None:
    check(valid(algo__objective=["x"], algo__x=light("scored"), algo__passes={"_target_": "light_terms.Passes"}))
    check(
        valid(algo__objective=["x"], algo__x=light("misspelt"), algo__passes={"_target_": "light_terms.SilentPasses"})
    )
    check(valid(algo__objective=["x"], algo__x={**light("number_before_the_star"), "scale": 2.0}))


def test_the_table_of_signals_needs_no_torch() -> None:
    code = "import sys, ral.config.check, ral.ops.signals as s; assert 'torch' not in sys.modules and s.SIGNALS"
    subprocess.run([sys.executable, "-c", code], check=True)


SPEC = {"_target_": "builtins.dict"}
"""A node in the place of an attention policy."""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algo__token__coef": 0.0, "algo__attention__coef": 0}, "every term of algo.objective has coef=0"),
        (
            {"algo__attention__against": "ema", "algo__ema_decay": 1.0},
            "algo.ema_decay=1 with algo.attention.against=ema",
        ),
        ({"algo__ema_decay": 1.5}, "algo.ema_decay=1.5 is too large: write 0 to 1"),
        ({"algo__final_learning_rate": 10.0}, "algo.final_learning_rate=10.0 is too large: write 0 to 1"),
        ({"algo__learning_rate": -1e-6}, "algo.learning_rate=-1e-06 is too small"),
        ({"algo__warmup": -1}, "algo.warmup=-1 is too small"),
        ({"optim": {"max_grad_norm": 0.0}}, "optim.max_grad_norm=0.0 is too small: write more than 0"),
        ({"hardware__micro_batch_prompts": 0}, "hardware.micro_batch_prompts=0 is too small"),
        (
            {
                "optim": {"optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, "fused": True}},
                "hardware__shard": {"_target_": "builtins.dict", "_partial_": True},
            },
            "torch.optim.SGD has no fused kernel for sharded weights: write optim.optimizer.fused=false",
        ),
        (
            {"hardware__term_gradients": True, "hardware__shard": {"_target_": "builtins.dict", "_partial_": True}},
            "hardware.term_gradients=true measures whole weights",
        ),
        (
            {"algo__sampling": {**SAMPLING, "temperature": 0.5}, "algo__temperature": 0.9},
            "algo.sampling.temperature=0.5 di",
        ),
        ({"algo__sampling": {**SAMPLING, "greedy": True}}, "algo.sampling.greedy=true makes all responses"),
        (
            {"hardware__devices": 3, "algo__prompts_per_step": 8},
            "algo.prompts_per_step=8 cannot be dealt out evenly to 3",
        ),
        ({"reward": {"parts": {"accuracy": {"weight": 0.0}}}}, "every part of the reward has weight=0"),
        ({"lora": {"rank": 4, "alpha": 0.0, "targets": ["q"]}, "model__freeze_vision": True}, "lora.alpha=0.0 leaves"),
        ({"lora": {"rank": 4, "alpha": 8, "targets": []}, "model__freeze_vision": True}, "lora.targets is empty"),
        ({"algo__attention_policy": {**SPEC, "layers": []}}, "algo.attention_policy.layers=[]: name decoder layers"),
        ({"algo__attention_policy": {**SPEC, "layers": [-1, -1]}}, "algo.attention_policy.layers=[-1, -1]: name"),
        ({"algo__attention_policy": {**SPEC, "heads": []}}, "algo.attention_policy.heads=[]: write mean, or heads"),
        ({"algo__attention_policy": {**SPEC, "heads": [-1]}}, "algo.attention_policy.heads=[-1]: write mean, or heads"),
    ],
)
def test_what_would_train_nothing_or_something_else_is_refused(changes: dict[str, Any], said: str) -> None:
    assert message(**changes).startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algo__task": {"share": 1}}, "unknown key algo.task.share: algo.task is not used here"),
        ({"algo__attention_policy": None}, "algo.attention_policy is not set: add shared/attention_policy"),
    ],
)
def test_a_node_that_an_algorithm_does_without_is_whole_or_null(changes: dict[str, Any], said: str) -> None:
    (found,) = rules(config.plain(valid(**changes)))
    assert found.startswith(said)


def test_the_values_next_to_them_pass() -> None:
    check(valid(algo__ema_decay=1.0, algo__final_learning_rate=1.0, algo__warmup=0, optim={"max_grad_norm": 1e-3}))
    check(
        valid(
            algo__sampling={**SAMPLING, "temperature": 1.0},
            hardware__devices=2,
            algo__prompts_per_step=8,
        )
    )
    check(valid(hardware__term_gradients=True))
    check(valid(algo__token__coef=0.0, reward={"parts": {"a": {"weight": 0.0}, "b": {"weight": -1.0}}}))
    check(
        valid(
            algo__attention_policy={**SPEC, "layers": [0, -1], "heads": [0, 3]},
            lora={"rank": 0, "alpha": 0, "targets": []},
        )
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algo__learning_rate": 0.0}, "algo.learning_rate=0: no weight will move"),
        ({"algo__warmup": 60}, "algo.warmup=60 is not below max_steps=60: the learning rate never reaches its peak"),
        ({"algo__objective": ["attention"]}, "algo.objective=['attention'] compares the policy with its own earlier"),
        ({"algo__token__coef": 0.0}, "algo.objective=['token', 'attention'] compares the policy with its own earlier"),
    ],
)
def test_doubts_are_told_and_the_run_goes_on(
    changes: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check(valid(algo__warmup=59))
    assert capsys.readouterr().err == ""
    check(valid(**changes))
    assert capsys.readouterr().err.startswith(f"warning: {said}")


@pytest.mark.parametrize(
    "changes",
    [
        {"algo__updates_per_rollout": 2},
        {"algo__updates_per_rollout": 1, "algo__attention__against": "reference"},
        {"algo__updates_per_rollout": 1, "algo__attention__against": "ema"},
        {"algo__updates_per_rollout": 1, "algo__attention__coef": 0.0},
        {"algo__updates_per_rollout": 1, "algo__objective": ["token"]},
    ],
)
def test_the_ways_out_of_the_trap_are_open(changes: dict[str, Any]) -> None:
    check(valid(**changes))


def test_the_anchor_is_one_of_three() -> None:
    assert "algo.attention.against='new' is unknown: write algo.attention.against=old" in message(
        algo__attention__against="new"
    )


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (term("clip", lo=0.1), f"x.lo: {HERE}.clip takes no 'lo'; did you mean low?"),
        (term("clip", low="much"), "x.low='much' has the wrong type: float expected"),
        (term("clip", low=True), "x.low=True has the wrong type: float expected"),
        (term("clip", mode="medium"), "x.mode='medium' has the wrong type: 'hard' or 'soft' expected"),
        (term("klip"), "has no 'klip'; did you mean clip?"),
        (term("HERE"), "is not callable"),
        (term("Spec", layers=3), "x.layers=3 has the wrong type: list of int expected"),
        (term("Spec", layers=["last"]), "x.layers=['last'] has the wrong type"),
        (term("Spec", heads="max"), "x.heads='max' has the wrong type: 'mean' or list of int expected"),
        (term("Spec", extra={"a": "b"}), "x.extra={'a': 'b'} has the wrong type: mapping expected"),
        (term("build", size=[1, 2, 3]), "x.size=[1, 2, 3] has the wrong type"),
        (term("build", inner="relu"), "x.inner='relu' has the wrong type: Callable or null expected"),
        (term("Base.from_folder", folder=3), "x.folder=3 has the wrong type: str or null expected"),
        ({"_target_": f"{HERE}.build", "path": "a", "size": [1, 2]}, "needs weights; set x.weights=<value>"),
        ({"_target_": f"{HERE}.Base"}, "needs width; set x.width=<value>"),
        ({"_target_": "no_such_package.f"}, "x._target_: no package 'no_such_package' is installed"),
        ({"_target_": "ral.configg.check"}, "x._target_: ral has no 'configg'; did you mean config?"),
        ({"_target_": 3}, "x._target_=3 has the wrong type"),
    ],
)
def test_a_wrong_call_is_found(node: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        bind(node, "x")
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    "node",
    [
        term("clip", low=0, high=1e-3, mode="soft"),
        term("anything", whatever=1),
        term("Spec", layers=[0, 1], heads=[3], extra={"a": 1}),
        term("build", inner={"_target_": "x.y"}),
        {"_target_": f"{HERE}.build", "_args_": ["a", [1, 2]], "weights": {"a": 1}},
        {"_target_": f"{HERE}.Base.from_folder", "folder": None},
        {"_target_": f"{HERE}.Base", "width": 3, "_convert_": "all", "_recursive_": False},
        {"_target_": "collections.OrderedDict"},
    ],
)
def test_a_right_call_binds(node: dict[str, Any]) -> None:
    bind(node, "x")


def test_targets_are_found_wherever_they_are_nested() -> None:
    wrong = term("clip", lo=1)
    assert message(reward={"parts": [{"a": 1}, {"deep": wrong}]}).startswith("reward.parts[1].deep.lo:")
    assert message(algo__token=term("anything", inner=wrong)).startswith("algo.token.inner.lo:")


def test_a_module_that_fails_to_import_says_why(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ral_needs_other.py").write_text("import ral_no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="importing ral_needs_other failed: No module named 'ral_no_such_dependency'"):
        bind({"_target_": "ral_needs_other.f"}, "x")


class Colour(enum.Enum):
    """An annotation that is not judged."""

    RED = 1


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, float, True),
        (True, float, False),
        (True, int, False),
        (1, bool, False),
        (1.0, int, False),
        ("a", Sequence[str], False),
        (["a"], Sequence[str], True),
        ([1, "a"], list[int | str], True),
        ([None], list[int], False),
        ([], tuple[int, ...], True),
        (True, Literal[1], False),
        (3, Annotated[int, "positive"], True),
        ("a", Annotated[int, "positive"], False),
        ("a", NewType("Seconds", float), False),
        ("RED", Colour, True),
        ("x", Any, True),
        (AT_RUN_TIME, int, True),
        ({"_target_": "a.b"}, int, True),
        ({"a": 1}, list[int], False),
        (None, typing.Optional[int], True),  # noqa: UP045
    ],
)
def test_literals_against_annotations(value: Any, annotation: Any, expected: bool) -> None:
    assert fits(value, annotation) is expected


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
TREES = st.recursive(SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text("ab", min_size=1), t))


@given(SCALARS)
def test_a_scalar_fits_its_own_type_and_every_union_with_it(value: Any) -> None:
    own = None if value is None else type(value)
    assert fits(value, own)
    assert own is None or fits(value, own | list[int])


@given(TREES)
def test_walking_a_tree_meets_every_leaf_once(tree: Any) -> None:
    def leaves(value: Any) -> int:
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 1 if items is None else sum(map(leaves, items))

    visited = list(walk(tree))
    assert sum(not isinstance(value, dict | list) for _, value in visited) == leaves(tree)
    assert len({key for key, _ in visited}) == len(visited)


def test_suggestions_are_the_closest_or_a_short_list() -> None:
    assert did_you_mean("sead", ["seed", "name"]) == "; did you mean seed?"
    assert did_you_mean("zzz", ["seed", "name"]) == "; known: name, seed"
    assert did_you_mean("zzz", map(str, range(100))) == ""


def test_types_are_described_as_a_user_writes_them() -> None:
    assert describe(int | None) == "int or null"
    assert describe(list[str]) == "list of str"
    assert describe(Literal["a", "b"]) == "'a' or 'b'"
    assert describe(dict[str, int]) == "mapping"


# --- the real conf/ ---------------------------------------------------------------------------------------------------

AXES = {
    name: sorted(p.stem for p in (cli.CONF / name).glob("*.yaml"))
    for name in ("algo", "model", "dataset", "hardware", "rollout")
}
PATHS = ["dataset.path=data.json", "model.pretrained=folder", "model.teacher=folder"]

Real = Callable[..., DictConfig]


@pytest.fixture
def real() -> Iterator[Real]:
    """real("algo=ral") -> the configuration that train.py would get."""
    with initialize_config_dir(str(cli.CONF), version_base=cli.VERSION_BASE):
        yield lambda *overrides: compose("train", [*PATHS, *overrides])


@pytest.mark.parametrize("algo", AXES["algo"])
@pytest.mark.slow
def test_every_composition_fits_the_schema_the_rules_and_the_signatures(algo: str, real: Real) -> None:
    """Any two options of two axes compose and resolve together, beside every algorithm."""
    others = [[f"{name}={option}" for option in AXES[name]] for name in AXES if name != "algo"]
    chosen = pairs_of(others)
    for one, other in itertools.combinations(others, 2):
        assert all(any({a, b} <= set(row) for row in chosen) for a, b in itertools.product(one, other))
    all_fit(config.plain(real(f"algo={algo}", *row)) for row in chosen)


def pairs_of(axes: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return rows, an option of each axis in them, in which any two options of two axes meet."""
    rows: list[tuple[str, ...]] = []
    missing = {
        frozenset(pair) for one, other in itertools.combinations(axes, 2) for pair in itertools.product(one, other)
    }
    while missing:
        row = tuple(sorted(min(missing, key=sorted)))
        for axis in (axis for axis in axes if not set(axis) & set(row)):
            row = (*row, max(axis, key=lambda o: sum(frozenset((o, r)) in missing for r in row)))
        rows.append(row)
        missing -= {frozenset(pair) for pair in itertools.combinations(row, 2)}
    return rows


def test_every_choice_of_an_axis_fits_beside_the_defaults(real: Real) -> None:
    all_fit(config.plain(real(f"{name}={option}")) for name, options in AXES.items() for option in options)


def all_fit(trees: Iterable[Mapping[str, Any]]) -> None:
    """Check configurations by the schema, the rules and the signatures; what was bound already is not bound again."""
    bound: set[str] = set()
    for tree in trees:
        config.check_schema(tree, config.Train)
        asked_in_vain = bool(select(tree, "algo.sampling.noise")) and not tree["rollout"].get("noise", True)
        refused = list(rules(tree))
        assert len(refused) == asked_in_vain and all("has no noise on attention" in line for line in refused)
        for key, node in walk(tree):
            if is_target(node) and (call := f"{key} {node}") not in bound:
                bind(node, key)
                bound.add(call)
        assert list(wrong_terms(tree)) == []
    assert len(bound) > 10


def test_k1_in_the_loss_is_refused_with_the_reason(real: Real) -> None:
    with pytest.raises(UserError, match=r"algo\.kl\.estimator=k1 has no gradient in the mean .*\.estimator=k2"):
        config.check(real("algo=grpo", "algo.kl.estimator=k1"))
    with pytest.raises(UserError, match=r"algo\.kl\.estimator=kl has no gradient in the mean .*\.estimator=k2"):
        config.check(real("algo=grpo", "algo.kl.estimator=kl"))
    with pytest.raises(UserError, match=r"algo\.kl\.estimator='k4' has the wrong type: 'k2' or 'k3' expected"):
        config.check(real("algo=grpo", "algo.kl.estimator=k4"))


@pytest.mark.parametrize(("of_verl", "here"), [("mse", "k2"), ("low_var_kl", "k3")])
def test_verls_name_of_an_estimator_is_answered_with_the_name_here(real: Real, of_verl: str, here: str) -> None:
    line = rf"^algo\.kl\.estimator={of_verl} is {here} here: write algo\.kl\.estimator={here}$"
    with pytest.raises(UserError, match=line):
        config.check(real("algo=grpo", f"algo.kl.estimator={of_verl}"))
    config.check(real("algo=grpo", f"algo.kl.estimator={here}"))


def test_a_misspelt_divergence_is_found_before_any_weight_is_loaded(real: Real) -> None:
    with pytest.raises(UserError, match=r"algo\.attention\.divergence='jds' has the wrong type: 'jsd' or 'forward_kl'"):
        config.check(real("algo=ral", "algo.attention.divergence=jds"))


def test_a_misspelt_keyword_of_a_real_partial_node_is_found(real: Real) -> None:
    with pytest.raises(UserError, match=r"algo\.token\.clip_hi: .* did you mean clip_high"):
        config.check(real("algo=ral", "+algo.token.clip_hi=0.3"))


def test_a_wrong_type_in_a_real_partial_node_is_found(real: Real) -> None:
    with pytest.raises(UserError, match=r"algo\.kl\.coef='much' has the wrong type: float expected"):
        config.check(real("algo=grpo", "algo.kl.coef=much"))


def test_what_nodes_make_holds_plain_lists_and_mappings() -> None:
    node = OmegaConf.create({"_target_": "builtins.dict", "layers": [-1, 2], "scale": {"a": [1]}})
    made = instantiate(node, more=3)
    assert type(made["layers"]) is list and type(made["scale"]) is dict and type(made["scale"]["a"]) is list
    assert made["more"] == 3


@pytest.mark.parametrize("name", ["run", "evaluating"])
def test_roots_make_nodes_in_one_way(name: str) -> None:
    assert "from hydra.utils import" not in (Path(cli.__file__).parents[1] / f"{name}.py").read_text()


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(
    "key",
    [
        "algo.learning_rate",
        "algo.temperature",
        "algo.ema_decay",
        "algo.kl.coef",
        "reward.parts.a.weight",
        "dataset.x[1]",
    ],
)
def test_a_number_that_is_not_finite_is_refused(key: str, value: float) -> None:
    name = key.replace(".", "__").removesuffix("[1]")
    assert f"{key}={value} is no finite number" in message(**{name: [1.0, value] if key.endswith("]") else value})


def test_infinity_may_take_a_bound_away() -> None:
    check(valid(optim={"max_grad_norm": float("inf")}))
    assert "optim.max_grad_norm=nan is no finite" in message(optim={"max_grad_norm": float("nan")})
    assert "optim.max_grad_norm=-inf is no finite" in message(optim={"max_grad_norm": float("-inf")})


def test_a_term_stands_once_in_the_objective() -> None:
    assert message(algo__objective=["token", "attention", "token"]).startswith("algo.objective names 'token' twice")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algo=grpo", "lora.alpha=64"], "lora.alpha without effect: lora.rank=0"),
        (["algo=grpo", "lora.targets=[q_proj]", "lora.merge=false"], "lora.targets and lora.merge without effect"),
        (["algo=grpo", "lora.alpha=64", "lora.rank=8"], ""),
        (["algo=grpo", "model.teacher=assets/tiny_teacher"], "model.teacher without effect: no term of"),
        (["algo=grpo", "algo.teacher=assets/tiny_teacher"], "algo.teacher without effect: no term of"),
        (["algo=distill", "model.teacher=assets/tiny_teacher"], ""),
        (["algo=grpo", "algo.teacher=null"], ""),
        (["algo=ral", "algo.attention.coef=0"], "algo.attention.coef=0: the term attention is computed and logged"),
        (["algo=papo", "algo.perception.coef=0.0"], "algo.perception.coef=0: the term perception is computed"),
        (["algo=ral", "algo.attention.coef=0.5"], ""),
        (["algo=grpo"], ""),
    ],
)
def test_settings_that_nothing_reads_are_told(overrides: list[str], said: str) -> None:
    with initialize_config_dir(str(cli.CONF), version_base="1.3"):
        tree = config.plain(compose("train", overrides))
    named = {override.partition("=")[0] for override in overrides}
    told = list(settings_without_effect(tree, named))
    assert len(told) == bool(said) and all(line.startswith(said) and "\n" not in line for line in told)


@pytest.mark.parametrize("overrides", [["algo.objective=[kl]"], ["algo.token.coef=0"]])
def test_kl_to_the_reference_alone_does_not_start(overrides: list[str]) -> None:
    with initialize_config_dir(str(cli.CONF), version_base="1.3"):
        tree, whole = (config.plain(compose("train", ["algo=grpo", *more])) for more in (overrides, []))
    assert "compares the policy with its own earlier self alone" in str(starts_moving(tree))
    assert starts_moving(whole) is None


def composed(*overrides: str) -> config.Node:
    with initialize_config_dir(str(cli.CONF), version_base="1.3"):
        return config.plain(compose("train", list(overrides)))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("ref_log_probs", "; did you mean reference_log_probs?"),
        ("adv", "; did you mean advantages?"),
        ("lo_probs", "; did you mean log_probs or"),  # by its letters
        ("advantage", "; did you mean advantages?"),
        ("re", "; known: "),
    ],
)
def test_a_shortened_name_is_answered_with_the_whole_one(typed: str, said: str) -> None:
    known = ["advantages", "ema_log_probs", "log_probs", "reference_log_probs", "masked", "ref_masked_log"]
    assert did_you_mean(typed, known).startswith(said)


def test_an_advantage_over_the_batch_has_a_batch() -> None:
    one = ["algo=reinforce_pp", "algo.advantage._target_=ral.ops.advantages.batch_normalised", "algo.group_size=1"]
    (line,) = wrong_terms(composed(*one, "algo.prompts_per_step=1"))
    assert line.startswith("algo.group_size=1 with algo.prompts_per_step=1: ") and "\n" not in line
    assert list(wrong_terms(composed(*one, "algo.prompts_per_step=2"))) == []
    assert list(wrong_terms(composed(*one, "algo.prompts_per_step=1", "algo.group_size=2"))) == []


@pytest.mark.parametrize(
    ("overrides", "warned"),
    [
        (["algo=grpo", "algo.objective=[entropy]"], True),
        (["algo=papo", "algo.token.coef=0"], False),  # the masked view tells looking from guessing
        (["algo=distill"], False),
        (["algo=ral_distill"], False),
        (["algo=sft"], False),
        (["algo=reward_model"], False),
        (["algo=evidence_distill"], False),
        (["algo=grpo"], False),
        (["algo=ral"], False),
    ],
)
def test_an_objective_without_reward_or_teacher_is_told(overrides: list[str], warned: bool) -> None:
    told = learns_something(composed(*overrides))
    assert bool(told) == warned and "\n" not in (told or "")
