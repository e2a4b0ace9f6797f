"""The gate: rules that data, teacher and student of `visual_path` have to keep before any claim rests on them.

Only then do differences between methods say something about attention: responses need the evidence, question tokens do
not pass it on, the teacher finds it, and the student errs by looking at wrong places.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ral.data.sources import read_file
from ral.evaluation.attention_map import load_model
from ral.evaluation.steps import StepFigures, step_figures
from ral.files.repository import ROOT

LEAST_LOSS, MOST_LOSS = 0.30, 0.05  # of accuracy, by cutting the evidence from response tokens; by any other cut
TEACHER, STUDENT = (0.95, 1.0), (0.40, 0.70)  # share of right steps, given the right ones so far
WRONG_LOOKS = 0.80  # of the student's wrong steps, at least


@dataclass(frozen=True)
class Cuts:
    """Accuracies of the teacher in [0, 1]: uncut, and with evidence cut from response tokens or from question tokens.

    placebo: with as many other visual tokens cut, from response tokens or from question tokens, the lower of the two.
    """

    whole: float
    response: float
    question: float
    placebo: float


@dataclass(frozen=True)
class Rule:
    """A rule in words, the value found, and the bounds between which it has to lie."""

    text: str
    value: float
    low: float
    high: float

    @property
    def kept(self) -> bool:
        """Tell whether the value lies between the bounds, both included."""
        return self.low <= self.value <= self.high


def rules(teacher: StepFigures, student: StepFigures, cuts: Cuts | None) -> list[Rule]:
    """Return all rules with their values, shares in [0, 1]; cuts None: without those about cuts.

    Where the student has no wrong steps, its share of wrong looks counts as 0.
    """
    looks = student.wrong_looks if student.wrong_looks is not None else 0.0
    steps = [
        Rule("the teacher's next step is right", teacher.right, *TEACHER),
        Rule("the student's next step is right", student.right, *STUDENT),
        Rule("the student's wrong steps look at a wrong place", looks, WRONG_LOOKS, 1.0),
    ]
    return [*steps, *_of_cuts(cuts)] if cuts else steps


def _of_cuts(cuts: Cuts) -> Sequence[Rule]:
    """Return the rules about accuracy that is lost, rounded to a thousandth so that a bound may be met exactly."""
    lost = {name: round(cuts.whole - getattr(cuts, name), 3) for name in ("response", "question", "placebo")}
    return (
        Rule("lost without the evidence for response tokens", lost["response"], LEAST_LOSS, 1.0),
        Rule("lost without the evidence for question tokens", lost["question"], -1.0, MOST_LOSS),
        Rule("lost without as many other visual tokens", lost["placebo"], -1.0, MOST_LOSS),
    )


def page(found: Sequence[Rule]) -> str:
    """Return the rules as lines: value and bounds in percent, and whether each is kept."""
    lines = [
        f"{'kept' if rule.kept else 'BROKEN':7}{100 * rule.value:6.1f}%  {rule.text} "
        f"({100 * rule.low:.0f} to {100 * rule.high:.0f}%)"
        for rule in found
    ]
    return "\n".join(lines)


TEACHER_FOLDER, STUDENT_FOLDER = "assets/path_teacher", "assets/path_student"
GATE = "gate.json"
"""File with the rules and the values that `measure` found."""
CUT = ("cut=[evidence,placebo]", "parts=[response,question]", "draws=1", "threads=1")
"""Settings of the knockout: the cuts that the rules are about, and one placebo for each question."""


@dataclass(frozen=True)
class Gate:
    """A teacher, a student and data that the rules are about. teacher, student: model folders.

    data: {name: {dotted key of the dataset: value}}; each rule is measured on the held-out questions of each, and says
    its name unless that is "". batch: entries that are read at once.
    """

    teacher: str
    student: str
    data: Mapping[str, Mapping[str, Any]]
    batch: int = 64


def measure(gate: Gate, output: Path) -> None:
    """Measure all rules of a gate and write GATE into `output`, unless it is there.

    scripts/knockout.py measures the teacher's cuts, in a process of its own; CalledProcessError where that fails.
    """
    if not (output / GATE).is_file():
        found = [asdict(rule) for name in gate.data for rule in measured(gate, name, output)]
        (output / GATE).write_text(json.dumps(found, indent=1) + "\n")


def measured(gate: Gate, name: str, output: Path) -> list[Rule]:
    """Return all rules with their values on the data called `name`, as measured on them in the folder `output`."""
    settings, folder = gate.data[name], output / name.replace(" ", "_") / "knockout"
    given = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    command = [sys.executable, str(ROOT / "scripts" / "knockout.py"), f"checkpoint={gate.teacher}", *CUT]
    own = [f"batch={gate.batch}", "dataset=visual_path", *given, f"output={folder}"]
    subprocess.run([*command, *own], check=True, cwd=ROOT)
    cuts = cuts_of(json.loads((folder / "results.json").read_text()))
    examples = read_file(ROOT / settings["dataset.path"] / "validation.json")
    models = (load_model(model, "cpu") for model in (gate.teacher, gate.student))
    teacher, student = (step_figures(model, examples, batch=gate.batch) for model in models)
    found = rules(teacher, student, cuts)
    return [replace(rule, text=f"{name}: {rule.text}") for rule in found] if name else found


def cuts_of(found: Mapping[str, float]) -> Cuts:
    """Return the teacher's accuracies, in [0, 1], from the percentages of a knockout's results.json.

    found: the content of results.json. Cuts.placebo is the lower of its `placebo_from_response` and
    `placebo_from_question`.
    """
    placebo = min(found["placebo_from_response"], found["placebo_from_question"])
    each = (found["none"], found["evidence_from_response"], found["evidence_from_question"], placebo)
    return Cuts(*(value / 100 for value in each))


def read_gate(output: Path) -> list[Rule] | None:
    """Return the rules that `measure` wrote; None where it did not."""
    path = output / GATE
    return [Rule(**facts) for facts in json.loads(path.read_text())] if path.is_file() else None
