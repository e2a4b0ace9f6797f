"""The documents as a site: every link leads somewhere, and error texts of docs/troubleshooting.md are the code's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import ROOT

TROUBLES = (ROOT / "docs" / "troubleshooting.md").read_text()
HEADINGS = re.findall(r"^### `(.+)`$", TROUBLES, re.MULTILINE)
VALUE = "\0"
"""Stands for a value in an f-string."""


@cache
def said() -> tuple[str, ...]:
    """All texts of the package, values of f-strings replaced, in the order of its files."""
    nodes = (node for path in sorted((ROOT / "ral").rglob("*.py")) for node in ast.walk(ast.parse(path.read_text())))
    return tuple(text for node in nodes if (text := as_text(node)))


def as_text(node: ast.AST) -> str:
    """A string of the code with VALUE for what is put in; '' for any other node."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(p.value if isinstance(p, ast.Constant) else VALUE for p in node.values)
    return ""


def found(heading: str) -> bool:
    """Tell whether the code says a text: its parts between `...` stand in one string, in order, with values between."""
    parts = [part for part in heading.split("...") if part.strip()]
    parts[0], parts[-1] = parts[0].lstrip(), parts[-1].rstrip()
    pattern = re.compile(f"[^{VALUE}]*{VALUE}.*?".join(re.escape(part) for part in parts), re.DOTALL)
    return any(pattern.search(text) for text in said() if all(part.strip() in text for part in parts))


def test_there_are_headings_and_each_has_a_remedy() -> None:
    assert len(HEADINGS) == len(set(HEADINGS)) > 30
    assert re.findall(r"^### .*\n\n(?=#)", TROUBLES, re.MULTILINE) == []


@pytest.mark.parametrize("heading", HEADINGS)
def test_error_texts_are_those_of_the_code(heading: str) -> None:
    assert len(re.sub(r"[^a-z]", "", heading)) > 12 and found(heading)


def test_a_text_that_nobody_says_is_not_found() -> None:
    assert not found("the moon is made of ... cheese") and found("unknown key ...: write ...")


# --------------------------------------------------------------------------------------------------------- the site


class Links(HTMLParser):
    """Addresses and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links, self.ids = list[str](), set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where a tag leads, and its name."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


def read(page: Path) -> Links:
    links = Links()
    links.feed(page.read_text())
    return links


def dead(site: Path) -> Iterator[str]:
    """Yield the links of a site that lead nowhere, with their pages."""
    pages = {page.resolve(): read(page) for page in site.rglob("*.html")}
    for page, links in pages.items():
        for link in links.links:
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", path) or page.name == "404.html":
                continue
            target = (page.parent / unquote(path)).resolve() if path else page
            if not target.is_file() or (anchor and target in pages and unquote(anchor) not in pages[target].ids):
                yield f"{page.relative_to(site.resolve())}: {link}"


def elsewhere(site: Path) -> Iterator[str]:
    """Yield what pages load from another place: scripts, styles, pictures."""
    loaded = re.compile(
        r'<(?:script|img|iframe)[^>]* src="(https?:[^"]+)|<link[^>]*stylesheet[^>]* href="(https?:[^"]+)'
    )
    for page in site.rglob("*.html"):
        yield from (f"{page.relative_to(site)}: {a or b}" for a, b in loaded.findall(page.read_text()))


def test_the_site_is_built_without_a_dead_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))
    pages = {str(page.relative_to(tmp_path)) for page in tmp_path.rglob("*.html")}
    assert {"index.html", "changelog.html", "troubleshooting.html", "faq.html", "api/ops_objectives.html"} <= pages
    assert list(dead(tmp_path)) == [] and list(elsewhere(tmp_path)) == []
    method = (tmp_path / "method.html").read_text()
    assert "<math" in method and "\\frac" not in method
    assert "group_normalised" in (tmp_path / "api" / "ops_advantages.html").read_text()
    api = " ".join((tmp_path / "api" / "ops_attention.html").read_text().split())
    assert "Divergences are averaged over them. heads:" in api and "<details" not in api, "sentences, no boxes"
    made = [page.read_text() for page in tmp_path.rglob("*.html")]
    assert not any('class="mermaid"' in page for page in made), "its script would be loaded from elsewhere"
    architecture = (tmp_path / "architecture.html").read_text()
    for cell in ("starting, ending, assembly", "PromptBatch: B prompts", "policy.prepare", "conf/algo"):
        assert f"<td>{cell}</td>" in architecture
    assert '<a href="figures/viewer.png"><img' in (tmp_path / "viewer.html").read_text()
    assert "<code>dataset.<wbr>max_<wbr>new_<wbr>tokens</code>" in (tmp_path / "algorithms.html").read_text()


def test_every_page_is_in_the_navigation_and_nothing_is_loaded_from_elsewhere() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert [name for name in sorted(pages) if f" {name}" not in text] == []
    assert "https://" not in text and "font: false" in text
