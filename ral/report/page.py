"""The page of a run: `report.html`, one self-contained file made from the files of the run's folder.

Nothing on the page is fetched: images are base64, fonts are the system's, and a content security policy forbids scripts
and every outside address. All text of models and data is escaped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ral.files.pretrained import CONFIG, read_json
from ral.files.repository import find
from ral.report.html import templates
from ral.report.isolation import part
from ral.report.overlay import gradient
from ral.report.panels import Drawn, draw_panels
from ral.report.reading import read_run
from ral.report.records import RunFiles
from ral.report.samples import Card, ReadPixels, make_card
from ral.report.summary import Pair, Row, match, select, table
from ral.report.words import FILE_NOTES, details, headline, label, progress_note, size
from ral.types import UserError

SAMPLES = 8  # questions shown
FILE_NAME = "report.html"
VIEWER_NAME = "explore.html"
MOST_FAILURES = 20  # of what is left out, lines on the page


@dataclass(frozen=True)
class Listed:
    """One line of the page's list of files. name: name of a file or folder.

    size: its size, and a folder's number of files, as text. note: a few words on its content.
    """

    name: str
    size: str
    note: str


def build(run_dir: Path, output: Path | None = None) -> Path:
    """Write the page of the run in `run_dir` and return its path. output: the file; None: report.html in `run_dir`.

    UserError where the folder is no run's, or where the page cannot be written. A missing or damaged file, or a part
    that cannot be drawn, becomes a note on the page; damage and failures give a warning on stderr too.
    """
    run_dir = Path(run_dir)
    path = run_dir / FILE_NAME if output is None else Path(output)
    failures: list[str] = []
    viewer = run_dir / VIEWER_NAME
    link = os.path.relpath(viewer, path.parent) if viewer.is_file() else None
    html = render(read_run(run_dir), failures=failures, viewer=link)
    if failures:
        more = f" ({len(failures)} such, all on the page)" if len(failures) > 1 else ""
        print(f"warning: report: {' '.join(failures[0].split())}{more}", file=sys.stderr, flush=True)
    try:
        path.write_text(html, encoding="utf-8", errors="replace")  # a model may write half a character: U+D800
    except OSError as error:
        raise UserError(f"{path}: the report cannot be written ({error.strerror}); give another --output") from error
    return path


def render(
    run: RunFiles, read: ReadPixels | None = None, failures: list[str] | None = None, viewer: str | None = None
) -> str:
    """Return the HTML of a run's page.

    read: a function from an image or video to its pixels; None: ral.data.media. failures: a list to which a sentence is
    appended for each part that is damaged or could not be drawn; the page shows them too. viewer: address of the run's
    explore.html; None where there is none.
    """
    failures = [] if failures is None else failures
    failures += run.faults
    pairs, unmatched = match(run.before, run.after)
    rows = part("table", lambda: table(pairs), list[Row](), failures)
    whole = rows[0] if rows else None
    cards = part("sampled answers", lambda: _cards(pairs, read, failures), list[Card](), failures)
    panels = part("curves", lambda: draw_panels(run.metrics, failures), list[Drawn](), failures)
    files = part("list of files", lambda: list_files(run.folder), list[Listed](), failures)
    no_title: Mapping[str, str] = dict.fromkeys(("name", "algo", "model", "date"), "")
    title = part("title", lambda: title_of(run), no_title, failures)
    progress = part("length", lambda: progress_note(run.setup.config, run.metrics), None, failures)
    shown = failures[:MOST_FAILURES]
    rest = f"{len(failures) - len(shown)} more things are left out." if len(failures) > len(shown) else None
    notes = (progress, *run.notes, unmatched, *(f"Left out: {line}" for line in shown), rest)
    template = templates().get_template("report.html.j2")
    return template.render(
        title=title,
        headline=headline(whole),
        details=details(whole),
        notes=[note for note in notes if note],
        rows=rows,
        both=run.before is not None and run.after is not None,
        panels=panels,
        cards=cards,
        clips=any(card.item.asked.data_type == "video" for card in cards),
        overlays=any(len(card.strips) > 1 for card in cards),
        gradient=gradient(),
        viewer=viewer,
        command=run.setup.environment.get("command", ""),
        changed=run.setup.changed,
        config_text=run.setup.text,
        environment=run.setup.environment,
        files=files,
        folder=str(run.folder.resolve()),
    )


def _cards(pairs: Sequence[Pair], read: ReadPixels | None, failures: list[str]) -> list[Card]:
    """Return the cards of the chosen questions, each drawn by itself."""
    chosen = select(pairs, SAMPLES)
    if not chosen:
        return []
    reader = _media_reader() if read is None else read
    made = [part(f"answer to {pair.item.uid}", lambda: make_card(pair, reader), None, failures) for pair in chosen]  # noqa: B023
    return [card for card in made if card is not None]


def list_files(folder: Path) -> list[Listed]:
    """Return the visible entries of a run's folder, folders first, each with its size; the page itself comes last."""
    listed = []
    for entry in sorted(folder.iterdir(), key=lambda path: (path.is_file(), path.name)):
        if entry.name.startswith(".") or entry.name == FILE_NAME:
            continue
        note = FILE_NOTES.get(entry.name, "")
        if entry.is_dir():
            sizes = [path.stat().st_size for path in entry.rglob("*") if path.is_file()]
            files = "1 file" if len(sizes) == 1 else f"{len(sizes)} files"
            listed.append(Listed(f"{entry.name}/", f"{files}, {size(sum(sizes))}", note))
        else:
            listed.append(Listed(entry.name, size(entry.stat().st_size), note))
    return [*listed, Listed(FILE_NAME, "", FILE_NOTES[FILE_NAME])]


def title_of(run: RunFiles) -> Mapping[str, str]:
    """Return the parts of a run's title: name, algo, model, date; "" for an unknown one.

    The model's family, from config.json in hf/ or else in the pretrained folder, is added to its name. The date is that
    in environment.json, or else that of the file config.yaml.
    """
    written = datetime.fromtimestamp((run.folder / "config.yaml").stat().st_mtime)
    config: Mapping[str, Any] = run.setup.config
    return {
        "name": str(config.get("name") or run.folder.resolve().name),
        "algo": run.setup.choices.get("algo") or label(config, "algo"),
        "model": " ".join(filter(None, (run.setup.choices.get("model") or label(config, "model"), _family(run)))),
        "date": (run.setup.environment.get("date") or written.isoformat())[:16].replace("T", " "),
    }


def _family(run: RunFiles) -> str:
    """Return the family of the run's model in brackets, "" where nothing says it."""
    pretrained = str((run.setup.config.get("model") or {}).get("pretrained") or "")
    for folder in (run.folder / "hf", Path(find(pretrained))) if pretrained else (run.folder / "hf",):
        if (folder / CONFIG).is_file():
            return f"({read_json(folder / CONFIG, CONFIG).get('model_type')})"
    return ""


def _media_reader() -> ReadPixels:
    # imported here: decoders are loaded only where there is something to show
    from ral.data.media import TOKEN_PIXELS, MediaReader, MediaSettings

    shown = MediaSettings(
        image_min_pixels=TOKEN_PIXELS, image_max_pixels=1024 * TOKEN_PIXELS, video_min_pixels=TOKEN_PIXELS
    )  # near the file's own size: the page enlarges small pictures itself
    return MediaReader(shown, cache_bytes=0).read
