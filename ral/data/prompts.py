"""What is said to the model about an example, and what SFT wants it to say.

Prompts are Jinja templates. Shipped ones: `think` and `zero` for real models; `short` and `short_zero`, few words, for
small ones; `mini` and `mini_zero`, the question with options as "A red", for the shipped ones. "zero" means without
thinking. A template sees `question`, `options` ("A. red", ...) and `problem_type`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError

from ral.data.bad import BadSample
from ral.types import Example, UserError

FOLDER = Path(__file__).parent / "templates"
BUILTIN = ("think", "zero", "short", "short_zero", "mini", "mini_zero")


@lru_cache
def load_template(template: str) -> Template:
    """A shipped template by name, or a .j2 file by path; UserError where there is none or it is not Jinja."""
    path = FOLDER / f"{template}.j2" if template in BUILTIN else Path(template)
    if not path.is_file():
        names = ", ".join(BUILTIN)
        raise UserError(f"prompt template '{template}': no such file; write {names} or the path of a .j2 file")
    jinja = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    try:
        return jinja.from_string(path.read_text(encoding="utf-8"))
    except TemplateSyntaxError as error:
        raise UserError(f"{path}: line {error.lineno} is not Jinja: {error.message}; mend the template") from error


def render(example: Example, template: str) -> str:
    """The text of the user's turn, beside the media."""
    try:
        return (
            load_template(template)
            .render(question=example.question, options=list(example.options), problem_type=example.problem_type)
            .strip()
        )
    except TemplateError as error:
        known = "question, options and problem_type"
        raise UserError(f"prompt template '{template}': {error}; a template may use {known}") from error


def target(example: Example, thinking: bool) -> str:
    """The response that SFT trains on: a think block and an answer block, or the answer block alone."""
    answer = f"<answer>{example.answer}</answer>"
    if not thinking:
        return answer
    if not example.thought:
        problem = "field 'process': missing, and this run trains thinking"
        write = "write '<think>...</think>', or choose answers alone"
        raise BadSample(example.source or example.uid, problem, write)
    return f"<think>{example.thought}</think>{answer}"
