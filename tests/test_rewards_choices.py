"""The choices in conf/reward compose, bind and score; parts are added on the command line and from docs/rewards.md."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ral.config.check import check
from ral.rewards.combine import Part, Reward
from ral.types import Example, UserError

PAGE = CONF.parent / "docs" / "rewards.md"
LOOP = "<think>" + "red red red red red red " * 2 + "</think><answer>B</answer>"
EXAMPLE = Example("u", "?", "B", "multiple choice", options=("A. x", "B. y"))


def reward(*overrides: str) -> Reward:
    """The reward of a checked configuration."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides))
    check(cfg)
    made: Any = instantiate(cfg.reward)
    assert isinstance(made, Reward)
    return made


def test_strict_sums_four_parts() -> None:
    scores = reward("reward=strict").score([EXAMPLE], [LOOP])
    words = LOOP.split()
    runs = [tuple(w.lower() for w in words[i : i + 4]) for i in range(len(words) - 3)]
    share = len(set(runs)) / len(runs) - 1
    assert {name: float(v) for name, v in scores.parts.items()} == pytest.approx(
        {"accuracy": 1, "format": 1, "length": 0, "repetition": share}
    )
    assert share < -0.5
    assert float(scores.reward) == pytest.approx(0.9 + 0.1 + 0.2 * share)


def test_the_judge_needs_a_model_and_its_options_are_plain() -> None:
    with pytest.raises(UserError, match=r"reward\.parts\.judge\.function\.model is not set"):
        reward("reward=judge")
    made = reward(
        "reward=judge", "reward.parts.judge.function.model=m", "+reward.parts.judge.function.options.top_p=0.5"
    )
    function: Any = made.parts["judge"].function
    assert function.options == {"temperature": 0.0, "max_tokens": 512, "top_p": 0.5}
    assert sum(part.weight for part in made.parts.values()) == pytest.approx(1)


def test_a_part_is_added_on_the_command_line_as_rules_yaml_says() -> None:
    lines = re.findall(r"^#   (\+.*)$", (CONF / "reward/rules.yaml").read_text(), re.MULTILINE)
    made = reward(*shlex.split(" ".join(lines)))
    assert list(made.parts) == ["accuracy", "format", "repetition"]
    assert float(made.score([EXAMPLE], [LOOP]).parts["repetition"]) < -0.5


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text()
    (code,) = re.findall(r"^```python\n# my_rewards\.py\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (command,) = [c for c in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if "my_rewards" in c]
    (tmp_path / "my_rewards.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        made = reward(*shlex.split(command.replace("\\\n", ""))[2:])
        parts = made.score([EXAMPLE] * 2, ["I am not sure", LOOP]).parts
    finally:
        sys.modules.pop("my_rewards", None)
    assert parts["hedging"].tolist() == [-1.0, 0.0]


class Together:
    """Scores all responses in one call."""

    def __init__(self, values: list[Any]) -> None:
        self.values, self.calls = values, 0

    def __call__(self, example: Example, response: str) -> float:
        raise AssertionError("asked one by one")

    def score_many(self, examples: list[Example], texts: list[str]) -> list[Any]:
        self.calls += 1
        return self.values


def test_a_part_may_score_all_responses_at_once() -> None:
    function = Together([1, 0.5])
    scores = Reward({"mine": Part(function, 2.0)}).score([EXAMPLE] * 2, ["a", "b"])
    assert function.calls == 1
    torch.testing.assert_close(scores.reward, torch.tensor([2.0, 1.0]))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([1.0], "it returned 1 values"),
        ([None, 1], r"failed on 2 responses, entry \(uid u\) to entry \(uid u\)"),
        ([0, float("nan")], "nan"),
    ],
)
def test_what_it_returns_is_checked(values: list[Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Reward({"mine": Part(Together(values), 1.0)}).score([EXAMPLE] * 2, ["a", "b"])
