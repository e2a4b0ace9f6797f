"""The command line of `scripts/paper.py`: key=value, each parsed into its type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ral.errors import UserError
from ral.study.command import flag, names, number
from ral.study.paper.make import Ways


@dataclass(frozen=True)
class Settings:
    """Settings of the command line of `scripts/paper.py`.

    stages: names of the stages to run; () for all. output: None for the default folder of the scale. places: {key of
    PLACES: value}, those that were given. plan: whether the plan is only shown. ways: how stages are run. more:
    {program or stage: further settings of it}.
    """

    scale: str = "tiny"
    stages: tuple[str, ...] = ()
    output: Path | None = None
    seed: int = 0
    places: Mapping[str, str] = field(default_factory=dict)
    plan: bool = False
    ways: Ways = field(default_factory=Ways)
    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Return the folder of all stages."""
        return self.output or Path("outputs/paper") / self.scale


PLACES = ("base", "teacher", "data", "benchmarks")
READ: Mapping[str, Callable[[str], Any]] = {
    "scale": str,
    "stages": lambda text: names(text.strip("[]")),
    "output": Path,
    "seed": lambda text: number("seed", text),
    "plan": lambda text: flag("plan", text),
    "keep_checkpoints": lambda text: flag("keep_checkpoints", text),
    "cards": lambda text: max(1, number("cards", text)),
}


def parse(arguments: Sequence[str]) -> Settings:
    """Read the command line; STAGE.KEY=VALUE becomes the setting KEY=VALUE of that stage or program.

    UserError for an unknown key, for a word that is no key=value, and for a value of the wrong type.
    """
    given: dict[str, Any] = {}
    places: dict[str, str] = {}
    more: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        stage, dot, setting = key.lstrip("+").partition(".")
        if not equals or not (key in READ or key in PLACES or (dot and setting)):
            known = ", ".join((*READ, *PLACES))
            write = f"write key=value with one of {known}, or STAGE.KEY=VALUE (--help says more)"
            raise UserError(f"{argument}: unknown; {write}")
        if dot:
            more[stage] = (*more.get(stage, ()), f"{'+' * key.startswith('+')}{setting}={value}")
        elif key in PLACES:
            places[key] = value
        else:
            given[key] = READ[key](value)
    ways = Ways(**{key: given.pop(key) for key in ("keep_checkpoints", "cards") if key in given})
    return Settings(**given, ways=ways, places=places, more=more)
