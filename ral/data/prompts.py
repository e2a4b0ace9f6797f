"""Texts for the model: the prompt of an example, and the response that supervised fine-tuning (SFT) trains on.

Prompts are Jinja templates. Shipped are `think` and `zero` for real models; `short` and `short_zero`, with few words,
for small models; `mini` and `mini_zero`, the question with options as "A red", for the shipped models. "zero" means
without thinking. A template reads `question`, `options` ("A. red", ...) and `problem_type`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta

from ral.data.bad import BadSample
from ral.data.marks import KINDS, REMEDY, marks_in, misfit, split, user_texts
from ral.types import Example, Media, UserError

FOLDER = Path(__file__).parent / "templates"
JINJA = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
LISTED = "{% for option in options %} {{ option }}{% endfor %}"
BUILTIN = ("think", "zero", "short", "short_zero", "mini", "mini_zero")


@lru_cache
def load_template(template: str) -> Template:
    """Return a shipped template by its name, or the template in a .j2 file by its path.

    UserError where there is no such file, where it is not Jinja, or where it does not use `question`.
    """
    path = FOLDER / f"{template}.j2" if template in BUILTIN else Path(template)
    if not path.is_file():
        names = ", ".join(BUILTIN)
        raise UserError(f"prompt template '{template}': no such file; write {names} or the path of a .j2 file")
    try:
        if "question" not in (read := variables(template)):
            named = f" but {', '.join(sorted(read))}" if read else ""
            raise UserError(f"{path}: holds no {{{{ question }}}}{named}, so that prompts ask nothing: write it there")
        return JINJA.from_string(path.read_text(encoding="utf-8"))
    except TemplateSyntaxError as error:
        raise UserError(f"{path}: line {error.lineno} is not Jinja: {error.message}; mend the template") from error


@lru_cache
def variables(template: str) -> frozenset[str]:
    """Return the names of the variables that a template reads. template: as in `load_template`."""
    path = FOLDER / f"{template}.j2" if template in BUILTIN else Path(template)
    return frozenset(meta.find_undeclared_variables(JINJA.parse(path.read_text(encoding="utf-8"))))


def render(example: Example, template: str) -> str:
    """Return the text of the last user turn. Marks in the question stay where they are.

    UserError where the template cannot be read or fails, or leaves out the options of an example that has some.
    """
    load_template(template)
    if example.options and "options" not in variables(template):
        where = example.source or example.uid
        raise UserError(f"prompt template '{template}': reads no options, and {where} has some: write {LISTED} there")
    try:
        return (
            load_template(template)
            .render(question=example.question, options=list(example.options), problem_type=example.problem_type)
            .strip()
        )
    except TemplateError as error:
        known = "question, options and problem_type"
        raise UserError(f"prompt template '{template}': {error}; a template may use {known}") from error


def check_places(example: Example, text: str) -> None:
    """Raise BadSample where marks differ from the example's media in number or kind.

    The marks are those of the user's earlier turns and of `text`, the last user turn.
    """
    if problem := misfit(marks_in(user_texts(example, text)), example.media):
        raise BadSample(example.source or example.uid, f"the prompt has {problem}", f"write {REMEDY}")


def conversation(example: Example, text: str) -> list[dict[str, Any]]:
    """Return the turns of a prompt as chat templates take them. text: the last turn, which is the user's.

    Images and videos stand at their marks; without marks they stand in front of `text`. BadSample where marks and media
    differ in number or kind.
    """
    check_places(example, text)
    media = iter(example.media)
    marked = bool(marks_in(user_texts(example, text)))
    messages = [
        {"role": turn.role, "content": _parts(turn.text, media) if turn.role == "user" else _words(turn.text)}
        for turn in example.turns
    ]
    in_front = [] if marked else [_part(medium) for medium in media]
    return [*messages, {"role": "user", "content": [*in_front, *_parts(text, media)]}]


def _part(medium: Media) -> dict[str, Any]:
    return {"type": medium.kind, medium.kind: str(medium.path)}


def _words(text: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text}]


def _parts(text: str, media: Iterator[Media]) -> list[dict[str, Any]]:
    """Return the parts of a turn: its text, with the next of `media` at each mark; at least one part."""
    parts = [_part(next(media)) if part in KINDS else _words(part)[0] for part in split(text)]
    return parts or _words("")


def target(example: Example, thinking: bool) -> str:
    """Return the response that SFT trains on: a think block and an answer block, or only the latter without `thinking`.

    BadSample for thinking where the example has no thought.
    """
    answer = f"<answer>{example.answer}</answer>"
    if not thinking:
        return answer
    if not example.thought:
        problem = "field 'process': missing, and this run trains thinking"
        write = "write '<think>...</think>', or choose answers alone"
        raise BadSample(example.source or example.uid, problem, write)
    return f"<think>{example.thought}</think>{answer}"
