"""Measured figures in the documents say what they come from: command, commit, seeds and machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from test_docs import anchors, git

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURE = re.compile(
    r"\d ?%|\d percent\b|\d points\b|\d (s|seconds|minutes|min|hours|GB|MB|nats|times)\b"  # a number with its unit
    r"|\d \([-+]?[\d.]+ to |\d\.\d, \d+\.\d|\d\.\d+ \| [-+]?\d+\.\d"  # an interval, a list, cells of a table
)
"""What may have been measured."""
SOURCE = re.compile(
    r"`[^`]+`.*\bcommits? ([0-9a-f]{7}\b|below|not recorded).*\b(seeds?:? (\d|not recorded)|no seed).*\bmachine: \S"
    r"|\]\([^)\s]+#[^)\s]+\)"
)
"""Command, commit, seeds and machine; or a link to a section that has them."""
NOT_MEASURED = {
    "benchmarks.md": ("Benchmarks",),
    "data.md": ("Files", "Media", "The disk cache", "visual_path"),
    "evaluation.md": ("How answers are read", "What an evaluation leaves"),
    "method.md": ("Decisions and deviations", "T-GRPO", "The terms", "What the estimates of KL pull to"),
    "results_visual_search.md": ("An earlier look: six runs by hand",),
    "metrics.md": ("The updates",),
    "paper.md": ("Plans", "The graph", "The page"),
    "planning.md": ("Main memory and disk", "Memory"),
    "recipes.md": ("Recipes at the paper's size",),
    "rewards.md": ("How answers are read",),
    "scaling.md": ("From one core to many machines",),
    "sweeps.md": ("What compare.py writes",),
    "tiny.md": ("What they were trained on",),
}
"""Sections whose figures are settings, limits, rules or arithmetic."""

Section = tuple[str, int, str]
"""Heading, its level, and the text up to the next heading."""


def sections(page: str) -> Iterator[Section]:
    """Yield the sections of a page, without the code blocks."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    parts = re.split(r"^(#+) (.*)$", text, flags=re.MULTILINE)
    for marks, heading, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        yield heading, len(marks), body


def sources(body: str) -> list[str]:
    """Return the paragraphs of a section that say where its figures come from, each as one line."""
    return [
        " ".join(p.split())
        for p in re.findall(r"^Measured(?: \([^)]+\))?: .*?(?=\n\n|\Z)", body, re.DOTALL | re.MULTILINE)
    ]


def without_source(page: str) -> list[str]:
    """Return the headings of sections with a figure whose source neither they nor a section around them names."""
    found, around = [], dict[int, bool]()
    for heading, level, body in sections(page):
        around = {k: v for k, v in around.items() if k < level} | {level: any(map(SOURCE.search, sources(body)))}
        if FIGURE.search(re.sub(r"`[^`\n]*`", "", body)) and not any(around.values()):
            found.append(heading)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_measured_figure_has_command_commit_seeds_and_machine(page: Path) -> None:
    left = without_source(page.read_text())
    assert sorted(left) == sorted(NOT_MEASURED.get(page.name, ()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_sources_of_figures_are_complete_and_exist(page: Path) -> None:
    """Check that each is whole, its commits are in the history (where that is all here), and its links lead to one."""
    lines = [line for _, _, body in sections(page.read_text()) for line in sources(body)]
    assert [line for line in lines if not SOURCE.search(line)] == []
    history = git("log", "--all", "--format=%H").split()
    if git("rev-parse", "--is-shallow-repository").strip() == "false":
        named = re.findall(r"(?<![\w-])((?=[a-f]*\d)[0-9a-f]{7})\b", " ".join(lines))
        assert [commit for commit in named if not any(h.startswith(commit) for h in history)] == []
    for name, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", " ".join(lines)):
        assert anchor in anchors((page.parent / name).resolve() if name else page)


WHOLE = "Measured: `python train.py`, commit 0123abc, seed 0, machine: 2 cores."


@pytest.mark.parametrize(
    ("page", "left"),
    [
        ("# A\n\nIt takes 3 s.\n", ["A"]),
        (f"# A\n\nIt takes 3 s.\n\n{WHOLE}\n", []),
        (f"# A\n\n{WHOLE}\n\n## B\n\n| 1.5 | 2.5 |\n", []),
        (f"# A\n\n## B\n\n{WHOLE}\n\n## C\n\nIt rose to 5%.\n", ["C"]),
        ("# A\n\nIt rose to 5%.\n\nMeasured: [there](b.md#c).\n", []),
        ("# A\n\nIt rose to 5%.\n\nMeasured: `python train.py`, seed 0.\n", ["A"]),
        ("# A\n\n`batch=5 s` is set.\n", []),
    ],
)
def test_a_figure_without_source_is_found(page: str, left: list[str]) -> None:
    assert without_source(page) == left
