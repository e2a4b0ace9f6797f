"""The templates of HTML pages, which escape all text that they insert."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ral.report.words import percent, points

TEMPLATES = Path(__file__).parent / "templates"


def templates() -> Environment:
    """Return the Jinja environment of the templates. It escapes always, whatever the ending of a template's file."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, points=points)
    return environment
