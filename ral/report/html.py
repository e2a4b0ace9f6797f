"""The templates of HTML pages. Everything that they write is escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ral.report.words import percent, points

TEMPLATES = Path(__file__).parent / "templates"


def templates() -> Environment:
    """Return a Jinja environment with escaping always on: file endings such as .j2 do not switch it on."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, points=points)
    return environment
