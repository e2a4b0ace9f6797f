"""The words of the code: docstrings say what a function does, shapes stand in the signatures of the equations."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

RAL = ROOT / "ral"
ROOMS = [*sorted(path.name for path in RAL.iterdir() if path.is_dir() and path.name != "__pycache__"), ""]
QUESTION = re.compile(r"(What|Whether|Who|Whose|Where|When|Which|How)\b")
"""The first word of a docstring that has to be read three times: it names an answer, not the function."""
UNITS = {0.0, 0.5, 1.0, 2.0, 3.0, 4.0}
"""Sizes of numbers that explain themselves in an equation: signs, halves, squares, axes."""
SHAPES = {"Float", "Bool", "Int", "Num", "Shaped"}

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def definitions(path: Path) -> Iterator[tuple[str, Definition]]:
    """Yield (file:name, node) of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Definition):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'name', 'module')}", node


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_do_not_begin_with_a_question_word(room: str) -> None:
    files = (RAL / room).rglob("*.py") if room else RAL.glob("*.py")
    nodes = [(name, ast.get_docstring(node)) for path in files for name, node in definitions(path)]
    documented = [(name, text) for name, text in nodes if text]
    assert documented
    assert [name for name, text in documented if QUESTION.match(text)] == []


def signatures(path: Path) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield (file:function:argument, annotation) of public functions, methods and fields of public classes."""
    for name, node in definitions(path):
        short = name.rpartition(":")[2]
        if short.startswith("_") and not short.startswith("__"):
            continue
        if isinstance(node, ast.FunctionDef):
            given = node.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])]
            yield from ((f"{name}:{a.arg}", a.annotation) for a in arguments)
            yield f"{name}:return", node.returns
        if isinstance(node, ast.ClassDef):
            fields = (f for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name))
            yield from ((f"{name}:{ast.unparse(f.target)}", f.annotation) for f in fields)


def bare(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation has a Tensor that is not within a shape: Float[Tensor, "N C"]."""
    if annotation is None:
        return False
    shaped = {
        id(inner)
        for node in ast.walk(annotation)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in SHAPES
        for inner in ast.walk(node)
    }
    return any(isinstance(n, ast.Name) and n.id == "Tensor" and id(n) not in shaped for n in ast.walk(annotation))


def test_every_public_tensor_of_the_equations_has_a_shape() -> None:
    found = [pair for path in sorted((RAL / "ops").glob("*.py")) for pair in signatures(path)]
    assert sum("Tensor" in ast.unparse(a) for _, a in found if a is not None) > 60
    assert [name for name, annotation in found if bare(annotation) and not name.endswith("backward:return")] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("Tensor", True), ("tuple[Tensor, ...]", True), ('Float[Tensor, "N C"]', False), ("Tensor | None", True)),
        *(('tuple[Float[Tensor, "N"], Tensor]', True), ('Sequence[Bool[Tensor, "B P"]]', False), ("float", False)),
    ],
)
def test_a_tensor_without_shape_is_found(text: str, expected: bool) -> None:
    assert bare(ast.parse(text, mode="eval").body) == expected


def literals(path: Path) -> Iterator[str]:
    """Yield file:function:number of the numbers in the bodies of functions that do not explain themselves."""
    for name, node in definitions(path):
        body = node.body if isinstance(node, ast.FunctionDef) else []
        constants = (n for statement in body for n in ast.walk(statement) if isinstance(n, ast.Constant))
        numbers = [n.value for n in constants if isinstance(n.value, int | float) and not isinstance(n.value, bool)]
        yield from (f"{name}:{number}" for number in numbers if float(number) not in UNITS)


def test_numbers_of_equations_learner_and_shells_have_names() -> None:
    """Check that a number which is no sign, half or square stands in a constant with a docstring, or in an argument."""
    files = [path for room in ("ops", "learner", "lit") for path in sorted((RAL / room).rglob("*.py"))]
    assert len(files) > 30 and [found for path in files for found in literals(path)] == []


SOURCE = re.compile(r"Eq\.|[Ss]ection|arXiv|Not in the paper")
"""The source of a formula: an equation or a section of a paper, or that it is none's."""


def test_every_formula_names_its_source() -> None:
    """Check terms, advantages, weights and divergences: the formulas that a yaml can name."""
    rooms = {
        "objectives": lambda f: "coef" in {a.arg for a in f.args.kwonlyargs},
        "preferences": lambda f: "coef" in {a.arg for a in f.args.kwonlyargs},
        "advantages": lambda f: "rewards" in {a.arg for a in f.args.args},
        "aggregate": lambda f: "total" in {a.arg for a in f.args.args},
        "divergence": lambda f: [a.arg for a in f.args.args] == ["p", "q"],
    }
    nodes = [
        (node.name, ast.get_docstring(node) or "")
        for room, asked in rooms.items()
        for node in ast.parse((RAL / "ops" / f"{room}.py").read_text()).body
        if isinstance(node, ast.FunctionDef) and asked(node)
    ]
    assert len(nodes) >= 18 and [name for name, text in nodes if not SOURCE.search(text)] == []


MOST_TERMS = 40


def terms() -> list[str]:
    """Return the terms of the glossary, in its order."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    return re.findall(r"^\| ([a-z][\w ,-]*) \| [^|]+ \|$", page, re.MULTILINE)[1:]


def test_the_glossary_has_few_terms_each_once_and_is_linked() -> None:
    found = terms()
    assert 25 < len(found) <= MOST_TERMS and found == sorted(set(found))
    for page, link in (("README.md", "docs/glossary.md"), ("docs/architecture.md", "glossary.md")):
        assert f"({link})" in (ROOT / page).read_text()


def test_the_page_for_contributors_names_each_kind_of_thing() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    kinds = (
        "An algorithm",
        "A term",
        "A dataset",
        "A reward",
        "A rollout engine",
        "A model family",
        "A task",
        "Hardware",
    )
    missing = [kind for kind in (*kinds, "A benchmark", "A callback or logger") if f"**{kind}.**" not in page]
    assert missing == []
    for path in re.findall(
        r"`(conf/\w+/shared|ral/[\w/]+(?:\.py)?|scripts/[\w/]+\.\w+|tests/\w+\.py|docs/\w+\.md)`", page
    ):
        assert (ROOT / path).exists(), path
