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


SOURCE = re.compile(
    r"arXiv \d{4}\.\d{5}\W+((section|appendix) [\dA-Z]|Eq\. \d)"
    r"|\bRAL('s|,)? (Eq\.|section) \d"
    r"|\"[^\"]+\", [^\"]{0,60}\b(19|20)\d\d\b"
    r"|[Nn]ot in (the|a) paper"
)
"""Source of a formula: a paper with its section or equation, an older work with its year, or that it is no paper's."""
NO_FORMULAS = {"signals"}
"""Files of ral/ops without a formula: the table of signals."""
ELSEWHERE = {
    "algorithms/bonuses.py": ("passes", "earners"),
    "report/summary.py": ("bootstrap",),
    "rewards/length.py": ("length_bonus", "repetition_penalty"),
    "rewards/texts.py": ("word_error_rate", "rouge"),
    "study/statistics.py": ("interval", "sign_flip_p", "holm"),
}
"""Formulas outside of ral/ops: {file: functions}."""


def formulas() -> Iterator[tuple[str, str]]:
    """Yield (file:name, docstring) of the public functions of ral/ops, its methods that compute rows, and ELSEWHERE."""
    for path in sorted((RAL / "ops").glob("*.py")):
        tree = ast.parse(path.read_text())
        inner = [f for c in tree.body if isinstance(c, ast.ClassDef) and c.name in METHODS for f in c.body]
        for node in (*tree.body, *inner) if path.stem not in NO_FORMULAS else ():
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield f"{path.stem}:{node.name}", " ".join((ast.get_docstring(node) or "").split())
    for file, names in ELSEWHERE.items():
        nodes = [(name.rpartition(":")[2], node) for name, node in definitions(RAL / file)]
        found = [(f"{file}:{name}", ast.get_docstring(node) or "") for name, node in nodes if name in names]
        assert len(found) >= len(names), file
        yield from ((name, " ".join(text.split())) for name, text in found)


METHODS = {"AttentionSpec", "CapturedAttention", "Pieces"}
"""Classes of ral/ops whose public methods are parts of Eq. 2 and 3."""


def test_every_formula_names_its_source() -> None:
    found = list(formulas())
    assert len(found) > 55 and [name for name, text in found if not SOURCE.search(text)] == []


@pytest.mark.parametrize(
    ("text", "sourced"),
    [
        ("Average tokens: DAPO (arXiv 2503.14476), section 3.3, Eq. 12.", True),
        ("Return the rows (RAL, Eq. 2).", True),
        ("Compute half the L1 distance. Not in a paper.", True),
        ('Correct p-values. Holm, "A procedure", Scandinavian Journal of Statistics 6(2), 1979.', True),
        ("Average tokens as DAPO does (arXiv 2503.14476).", False),
        ("Average over the tokens of section 3.", False),
        ("Compute the divergence of Eq. 3.", False),
    ],
)
def test_a_formula_without_source_is_found(text: str, sourced: bool) -> None:
    assert bool(SOURCE.search(text)) == sourced


WORDS = """
accept add analyse answer ask assume attend average ban bind bring call capture catch check choose close collect compare
compose compute copy correct count cut decode describe do draw end enter estimate evaluate explain export feed fill
find fold free gather give go group hand hold import join judge keep kill leave let list load lock log look make mark
measure move name normalise note open penalise pretend print pull put raise read release remove renormalise reorder
replace rest restrict return roll round run sample save say scan score send set shard share show silence split start
step stop subtract sum switch take tell time train turn wait wake warn weight widen word wrap write yield
"""
VERBS = frozenset(WORDS.split())
"""First words of the docstrings of functions: what a function does, as an order. A new one is added here."""
FREER = {"data", "models"}
"""Rooms in which docstrings of functions may also name what is returned."""
ROOMS_OF_VERBS = [room for room in ROOMS if room not in FREER]
ROOMS_OF_THINGS = ("algorithms", "learner", "lit", "ops", "rollout", "types")


def begins_with_a_verb(text: str) -> bool:
    """Tell whether a docstring says what its function does: "Count the tokens", not "Count of tokens"."""
    first, second, *_ = [word.strip(",;:.").lower() for word in (*text.split(), "", "")]
    return first in VERBS and second != "of"


@pytest.mark.parametrize("room", ROOMS_OF_VERBS)
def test_docstrings_of_functions_begin_with_a_verb(room: str) -> None:
    files = (RAL / room).rglob("*.py") if room else RAL.glob("*.py")
    nodes = [pair for path in sorted(files) for pair in definitions(path)]
    functions = [(name, ast.get_docstring(node)) for name, node in nodes if isinstance(node, ast.FunctionDef)]
    documented = [(name, text) for name, text in functions if text]
    assert documented and [name for name, text in documented if not begins_with_a_verb(text)] == []


THING = re.compile(r"(?!\w+:)[A-Z]")
"""Begin of the docstring of a class: a phrase that says what it is, not the list of its fields."""


@pytest.mark.parametrize("room", ROOMS_OF_THINGS)
def test_docstrings_of_classes_begin_with_what_they_are(room: str) -> None:
    nodes = [pair for path in sorted((RAL / room).rglob("*.py")) for pair in definitions(path)]
    classes = [(name, ast.get_docstring(node) or "") for name, node in nodes if isinstance(node, ast.ClassDef)]
    assert classes and [name for name, text in classes if not THING.match(text)] == []
    assert not any(map(THING.match, ("value: a scalar", "Value: a scalar", "(p, q) -> D", "")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("Return the rows.", True), ("Roll out, score, update.", True), ("Yield: one a token", True)),
        *(("The rows.", False), ("Count of tokens.", False), ("Zeros.", False), ("exp(x) up to `bound`.", False)),
    ],
)
def test_a_docstring_without_a_verb_is_found(text: str, expected: bool) -> None:
    assert begins_with_a_verb(text) == expected


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
