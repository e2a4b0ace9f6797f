"""What mkdocs does with links: the pages are written for GitHub, and their links have to work on the site as well.

The pages are those of docs/, beside them README.md, CONTRIBUTING.md and CHANGELOG.md of the root, and one for each
module of API, made from its docstrings. A link to any other file of the repository leads to a copy of that file.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
MOVED = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages of the root, and what they are called on the site."""
MODULES = """
ops.objectives ops.divergence ops.attention ops.advantages ops.aggregate ops.grounding
rollout.engine models.family learner.task rewards.combine types.examples types.prompts
adapters.trl
"""
API = {f"ral/{name.replace('.', '/')}.py": f"api/{name.replace('.', '_')}.md" for name in MODULES.split()}
"""Modules whose docstrings are a page, and where."""
PLAIN = "    options:\n      docstring_style: null\n"
"""Docstrings of modules have no sections: a line such as "layers: ..." is a sentence, not the title of a box."""
LINK = re.compile(r"(!?\[[^\]\n]*\]\()([^)\s#]+)(#[^)\s]*)?(\))")
NAME, STOP = re.compile(r"<code>([^<\s]{16,})</code>"), re.compile(r"(?<=[._/=])(?=\w)")
PICTURE = re.compile(r'<img [^>]*?src="([^"]+)"[^>]*>')
DIAGRAM = re.compile(r"^```mermaid\nflowchart \w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ARROW = re.compile(r'\s*(.+?)\s+(?:-->(?:\|"?([^|"]*)"?\|)?|-\.(?:\s*(.+?)\s*\.)?->)\s+(.+)')
NODE = re.compile(r'(\w+)(?:\["(.*?)"\])?')
CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not lie in docs/, and copies of files that pages link to."""
    for path, name in MOVED.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    for module, name in API.items():
        dotted = module.removesuffix(".py").replace("/", ".")
        files.append(File.generated(config, name, content=f"# {dotted}\n\n::: {dotted}\n{PLAIN}"))
    for path in sorted(linked(files)):
        files.append(File.generated(config, site_path(path), abs_src_path=str(ROOT / path)))
    return files


def linked(files: Files) -> set[str]:
    """Return the files of the repository outside of docs/ that pages link to and that are no pages."""
    texts = {
        source(page): page.content_string for page in files.documentation_pages() if page.src_uri not in API.values()
    }
    found = {repository_path(link, page) for page, text in texts.items() for _, link, _, _ in LINK.findall(text)}
    outside = {path for path in found if path and not path.startswith("docs/")} - set(MOVED) - set(API)
    return {path for path in outside if (ROOT / path).is_file()}


def source(page: File) -> str:
    """Return the path of a page from the repository's root."""
    return next((path for path, name in MOVED.items() if name == page.src_uri), f"docs/{page.src_uri}")


def repository_path(link: str, page: str) -> str | None:
    """Return where a link of a page leads, from the repository's root; None for an address."""
    return None if re.match(r"[a-z]+:", link) else posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def site_path(path: str) -> str:
    """Return where a file of the repository stands on the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return MOVED.get(path) or API.get(path) or f"files/{path}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to the same things on the site; code is left alone."""
    markdown = DIAGRAM.sub(lambda match: arrows(match[1]), markdown)
    here, folder = source(page.file), posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        path = repository_path(match[2], here)
        if path is None:
            return match[0]
        return f"{match[1]}{posixpath.relpath(site_path(path), folder or '.')}{match[3] or ''}{match[4]}"

    parts = CODE.split(markdown)
    if not any(re.search("^(## |::: )", part, re.MULTILINE) for part in parts[::2]):
        page.meta["hide"] = ["toc"]  # nothing to list: the text gets the room
    return "".join(part if i % 2 else LINK.sub(moved, part) for i, part in enumerate(parts))


def arrows(diagram: str) -> str:
    """Return the arrows of a Mermaid flowchart as a table: what draws such a chart would have to be loaded.

    ValueError for a line that is no arrow.
    """
    names: dict[str, str] = {}
    rows = []
    for line in diagram.splitlines():
        if not (found := ARROW.fullmatch(line)):
            raise ValueError(f"a diagram's line is no arrow: {line.strip()}")
        ends = [[NODE.fullmatch(node) for node in side.split(" & ")] for side in (found[1], found[4])]
        if not all(node for side in ends for node in side):
            raise ValueError(f"a diagram's line names no nodes: {line.strip()}")
        names |= {node[1]: node[2].replace("<br/>", ": ") for side in ends for node in side if node[2]}
        rows.append(([node[1] for node in ends[0]], [node[1] for node in ends[1]], found[2] or found[3] or ""))
    said = [
        (*(", ".join(names.get(node, node) for node in side) for side in (start, end)), by) for start, end, by in rows
    ]
    width = 3 if any(by for *_, by in said) else 2
    table = [["from", "to", "by"][:width], ["---"] * width, *(row[:width] for row in said)]
    return "\n".join("| " + " | ".join(row) + " |" for row in table)


def on_page_content(content: str, **_: Any) -> str:
    """Turn formulas into MathML, which browsers draw by themselves: the site loads nothing from elsewhere.

    A picture leads to its file, where it can be enlarged. Names in code may break behind their stops.
    """
    content = NAME.sub(lambda match: f"<code>{STOP.sub('<wbr>', match[1])}</code>", content)
    content = PICTURE.sub(r'<a href="\1">\g<0></a>', content)
    content = re.sub(
        r'<span class="arithmatex">\\\((.*?)\\\)</span>',
        lambda m: convert(html.unescape(m[1])),
        content,
        flags=re.DOTALL,
    )
    return re.sub(
        r'<div class="arithmatex">\\\[(.*?)\\\]</div>',
        lambda m: convert(html.unescape(m[1]), display="block"),
        content,
        flags=re.DOTALL,
    )
