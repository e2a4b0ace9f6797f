"""The generated section of docs/python.md: functions and results of `import ral`, from signatures and docstrings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from ral.errors import UserError
from ral.files.repository import DOCS, ROOT

PAGE = DOCS / "python.md"
BEGIN, END = "<!-- made by scripts/api_page.py -->\n", "<!-- end of what is made -->\n"
WIDEST = 100
"""Longest signature, in characters, that stays on one line."""
SOURCES = ("ral/api/job.py", "ral/evaluation/asking.py", "ral/api/looks.py", "ral/api/runs.py")
FUNCTIONS = ("load", "sample", "attention_rows", "overlay", "compose", "train", "evaluate", "knockout")
RESULTS = ("Asked", "Composed", "Run", "Results")
SECTIONS = {"Args:": "Arguments", "Returns:": "Returns", "Raises:": "Raises"}
Definition = ast.FunctionDef | ast.ClassDef


def definitions() -> dict[str, Definition]:
    """Return {name: syntax node} of every function and class in the API's files (SOURCES)."""
    trees = [ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in SOURCES]
    return {node.name: node for tree in trees for node in tree.body if isinstance(node, Definition)}


def arguments(args: ast.arguments) -> Iterator[str]:
    """Yield each argument in a function's definition with its type and default, and "*" before keyword-only ones."""
    missing = [None] * (len(args.args) - len(args.defaults))
    yield from (argument(*pair) for pair in zip(args.args, [*missing, *args.defaults], strict=True))
    if args.vararg or args.kwonlyargs:
        yield f"*{argument(args.vararg, None)}" if args.vararg else "*"
    yield from (argument(*pair) for pair in zip(args.kwonlyargs, args.kw_defaults, strict=True))


def argument(given: ast.arg, default: ast.expr | None) -> str:
    """Return one argument as its definition writes it. default: None where the argument has none."""
    return ast.unparse(given) + ("" if default is None else f" = {ast.unparse(default)}")


def signature(node: ast.FunctionDef) -> str:
    """Return a function's signature, with `ral.` before its name.

    Above WIDEST characters each argument has its own line.
    """
    given, returns = list(arguments(node.args)), "" if node.returns is None else f" -> {ast.unparse(node.returns)}"
    line = f"ral.{node.name}({', '.join(given)}){returns}"
    if len(line) > WIDEST:
        line = f"ral.{node.name}(\n" + "".join(f"    {one},\n" for one in given) + f"){returns}"
    return line.replace("'", '"')


def described(text: str) -> str:
    """Return a docstring as Markdown: "Args:" and "Raises:" become lists, "Returns:" becomes a paragraph."""
    whole = re.sub(r"\n {8,}", " ", inspect.cleandoc(text))  # what goes on from the line before
    parts = re.split(rf"^({'|'.join(SECTIONS)})\n", whole, flags=re.MULTILINE)
    found = [parts[0].strip()]
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        words = inspect.cleandoc(body.strip("\n"))
        if name != "Returns:":
            words = re.sub(r"^(\w+): ", r"- `\1`: ", words, flags=re.MULTILINE)
        found.append(f"**{SECTIONS[name]}**\n\n{words}")
    return "\n\n".join(found)


def of_function(node: ast.FunctionDef) -> str:
    """Return the part of the page about a function, in Markdown."""
    body = described(ast.get_docstring(node) or "")
    return f"### ral.{node.name}\n\n```python\n{signature(node)}\n```\n\n{body}\n"


def of_result(node: ast.ClassDef) -> str:
    """Return the part of the page about a class, in Markdown: its docstring, then its public methods and properties."""
    rows = [
        f"- `.{part.name}`: {(ast.get_docstring(part) or '').splitlines()[0].removeprefix('Return ')}"
        for part in node.body
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
    ]
    text = described(ast.get_docstring(node) or "")
    return "\n".join([f"### {node.name}\n", text, *(["", *rows] if rows else []), ""])


def section() -> str:
    """Return the generated part of the page, in Markdown: functions, then results."""
    found = definitions()
    parts = [of_function(node) for name in FUNCTIONS if isinstance(node := found[name], ast.FunctionDef)]
    results = [of_result(node) for name in RESULTS if isinstance(node := found[name], ast.ClassDef)]
    return "\n".join([*parts, "## What they return\n", *results])


def written(page: Path = PAGE) -> str:
    """Return the text of the page with a new section between its two marks.

    UserError unless each mark is there once.
    """
    text = page.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise UserError(f"{page}: the lines {BEGIN.strip()} and {END.strip()} must stand there once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section()}\n{END}{rest.split(END)[1]}"
