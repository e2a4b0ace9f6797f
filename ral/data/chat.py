"""The conversation of a user's own entry: turns as in OpenAI and TRL, as in LLaVA and ShareGPT, and Qwen's parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ral.data.fields import Entry, Kind, clean, is_number, shown
from ral.data.lacking import TALKS
from ral.data.located import media_of
from ral.data.marks import MARK
from ral.types import IMAGE_MARK, VIDEO_MARK, Media, Turn

FIELDS = TALKS
FORM = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'
CALLS = ("tool_calls", "function_call")
"""Keys of a turn that call tools."""
TOLD = "a conversation without calls of tools and what they gave"
ROLES = {
    "system": ("system", "developer"),
    "user": ("user", "human"),
    "assistant": ("assistant", "gpt", "chatgpt", "model", "bot"),
}
"""{role: its names in files}.

A turn may have its role under "role" or "from", and its text under "content" or "value".
"""
_ROLES = {name: role for role, names in ROLES.items() for name in names}
PARTS: dict[str, Kind] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
}
MARKS: dict[Kind, str] = {"image": IMAGE_MARK, "video": VIDEO_MARK}
SOURCE = '{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "..."}}'
FILE = '{"type": "image", "image": "a.png"}'
TEXTS = ("text", "input_text", "output_text")
ContentPart = str | tuple[Kind, Media | None]
"""A text, or an image or video at its place, as (kind, medium); (kind, None) where another field names the file."""


@dataclass(frozen=True)
class Chat:
    """A conversation, taken apart: earlier turns, the last user turn, and the assistant turn behind it.

    question, answer: texts of these last two; None where there is no such turn. media: one for each mark in the user's
    turns, the question included, in order; None where the conversation does not name the mark's file.
    """

    turns: tuple[Turn, ...] = ()
    question: str | None = None
    answer: str | None = None
    media: tuple[Media | None, ...] = ()


@dataclass(frozen=True)
class _Said:
    """One turn as read: its text with marks for images and videos, and for each mark its medium, or None."""

    role: str
    text: str
    media: tuple[Media | None, ...]


def chat_field(entry: Entry) -> str | None:
    """Return the field that holds a conversation; None where there is none. BadSample for two such fields."""
    there = [name for name in FIELDS if isinstance(entry.data.get(name), list)]
    there += [name for name in FIELDS[:-1] if entry.data.get(name) is not None and name not in there]
    if len(there) > 1:
        entry.fail(there[1], f"there is {there[0]}, too", "one conversation")
    return there[0] if there else None


def chat_of(entry: Entry) -> Chat:
    """Return the conversation of an entry; without one, a Chat that has at most the system turn of the field `system`.

    BadSample where it is malformed in roles, their order, or contents.
    """
    field = chat_field(entry)
    if field is None:
        return Chat(_system(entry))
    said = _with_clips(entry, _joined([_turn(entry, field, turn) for turn in _turns(entry, field)]))
    _check_order(entry, field, said)
    answer = said.pop().text if said[-1].role == "assistant" else None
    *earlier, asked = said
    turns = tuple(Turn(turn.role, turn.text) for turn in earlier)  # type: ignore[arg-type]
    media = tuple(medium for turn in said for medium in turn.media)
    return Chat(turns, asked.text, answer, media)


def _with_clips(entry: Entry, said: list[_Said]) -> list[_Said]:
    """Return the turns, with <image> read as <video> where an entry has videos and no image.

    LLaVA-Video's files mark their videos so.
    """
    pictures = entry.named(("image", "images")) or any(medium for turn in said for medium in turn.media)
    marked = any(VIDEO_MARK in turn.text for turn in said)
    if pictures or marked or not entry.named(("video", "videos")):
        return said
    return [replace(turn, text=turn.text.replace(IMAGE_MARK, VIDEO_MARK)) for turn in said]


def _system(entry: Entry) -> tuple[Turn, ...]:
    """Return the system turn of an entry without a conversation; () where it has none."""
    content = entry.data.get("system")
    turn = _turn(entry, "system", {"role": "system", "content": content}) if content else None
    return (Turn("system", turn.text),) if turn is not None and turn.text else ()


def _turns(entry: Entry, field: str) -> list[dict[str, Any]]:
    """Return the turns of a field, behind the entry's `system` and before its `completion`, where these are filled."""
    turns = _listed(entry, field)
    system, completion = entry.data.get("system"), entry.data.get("completion")
    if isinstance(system, str) and system.strip():
        turns = [{"role": "system", "content": system}, *turns]
    if completion is not None:
        turns += _listed(entry, "completion") if isinstance(completion, list) else [_assistant(completion)]
    return turns


def _assistant(content: object) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def _listed(entry: Entry, field: str) -> list[dict[str, Any]]:
    turns = entry.data[field]
    if not isinstance(turns, list) or not all(isinstance(t, dict) and ("role" in t or "from" in t) for t in turns):
        entry.fail(field, f"{shown(turns)} is not a list of turns with roles", FORM)
    return list(turns)


def _turn(entry: Entry, field: str, turn: dict[str, Any]) -> _Said:
    """Return one turn: its role, a key of ROLES, its text with marks, and its images and videos."""
    name = turn.get("role", turn.get("from"))
    role = _ROLES.get(name.strip().lower()) if isinstance(name, str) else None
    if role is None:
        entry.fail(field, f"role {shown(name)} is none of system, user and assistant", FORM)
    content = next((turn[key] for key in ("content", "value") if turn.get(key) is not None), None)
    if called := next((key for key in CALLS if turn.get(key)), None):
        entry.fail(field, f"a turn of the {role} calls a tool ({called}), and tools are not read", TOLD)
    parts = [_part(entry, field, raw) for raw in _parts(entry, field, content)]
    if role == "user":
        parts = [piece for part in parts for piece in _split(part)]
    elif any(not isinstance(part, str) or MARK.search(part) for part in parts):
        mark = next((found.group() for part in parts if isinstance(part, str) and (found := MARK.search(part))), "")
        problem = f"a picture or clip in a turn of the {role}{mark and f' ({mark})'}"
        entry.fail(field, problem, "it in a turn of the user")
    text = clean(entry, field, _text(parts))
    if not text and role == "assistant":
        entry.fail(field, "an empty turn of the assistant", FORM)
    return _Said(role, text, tuple(part[1] for part in parts if not isinstance(part, str)))


def answer_of_turn(entry: Entry, field: str, turn: dict[str, Any]) -> str:
    """Return the text of a field that holds one turn of the assistant. The turn's role may be left out.

    BadSample for a turn of another role, and for contents that are no text.
    """
    named = turn if "role" in turn or "from" in turn else {"role": "assistant", **turn}
    content = turn.get("content", turn.get("value"))
    said = _turn(entry, field, {**named, "content": str(content) if is_number(content) else content})
    if said.role != "assistant":
        entry.fail(field, f"a turn of the {said.role}", "the assistant's turn")
    return said.text


def _parts(entry: Entry, field: str, content: object) -> Sequence[Any]:
    """Return a turn's content as a list of parts. A string is one part of text."""
    if isinstance(content, str | dict):
        return [content]
    if isinstance(content, list) and all(isinstance(part, str | dict) for part in content):
        return content
    entry.fail(field, f"content {shown(content)} is neither text nor a list of parts", FORM)


def _part(entry: Entry, field: str, part: str | dict[str, Any]) -> ContentPart:
    """Return one part: a text, or a medium such as {"type": "image", "image": path}, with or without its file."""
    if isinstance(part, str):
        return part
    known = (TEXTS[0], *PARTS)
    kind = part.get("type") or next((key for key in known if part.get(key) is not None), None)
    if kind in TEXTS:
        text = part.get("text")
        if not isinstance(text, str):
            entry.fail(field, f"text {shown(text)} is not text", '{"type": "text", "text": "..."}')
        return text
    if kind not in PARTS:
        entry.fail(field, f"unknown content type {shown(kind)}", '"text", "image" or "video"')
    return PARTS[kind], _medium(entry, field, part, PARTS[kind])


def _medium(entry: Entry, field: str, part: dict[str, Any], kind: Kind) -> Media | None:
    """Return the image or video that a part names; None where it names none."""
    said = {key: value for key, value in part.items() if key not in ("type", "text") and value is not None}
    holders = (*PARTS, "url", "path", "bytes")
    if "source" in said and not any(key in said for key in holders):
        said |= _from_source(entry, field, said.pop("source"))
    return media_of(entry, field, said, kind) if any(key in said for key in holders) else None


def _from_source(entry: Entry, field: str, source: object) -> dict[str, Any]:
    """Return the object of a medium for the `source` of a part of Anthropic's. BadSample for one without base64 or URL.

    Its forms are {"type": "base64", "media_type": ..., "data": ...} and {"type": "url", "url": ...}.
    """
    known = source if isinstance(source, dict) else {}
    if isinstance(known.get("data"), str):
        return {"bytes": known["data"]}
    if isinstance(known.get("url"), str):
        return {"url": known["url"]}
    entry.fail(field, f"source {shown(source)} holds neither base64 nor a URL", f"a part {SOURCE}, or {FILE}")


def _split(part: ContentPart) -> list[ContentPart]:
    """Return a text split at its marks. A mark becomes (kind, None): a place whose file another field names."""
    if not isinstance(part, str):
        return [part]
    kinds: dict[str, Kind] = {mark: kind for kind, mark in MARKS.items()}
    texts, marks = MARK.split(part), MARK.findall(part)
    found: list[ContentPart] = [texts[0]]
    for mark, text in zip(marks, texts[1:], strict=True):
        found += [(kinds[mark], None), text]
    return found


def _text(parts: Sequence[ContentPart]) -> str:
    """Return the text of a turn, with marks for images and videos. Texts with no mark between them become lines."""
    found = ""
    for before, part in zip((None, *parts), parts, strict=False):
        line = "\n" if isinstance(before, str) and isinstance(part, str) else ""
        found += line + (part if isinstance(part, str) else MARKS[part[0]])
    return found


def _joined(said: Sequence[_Said]) -> list[_Said]:
    """Return the turns with consecutive ones of the user, or of the system, joined; empty system turns are dropped."""
    found: list[_Said] = []
    for turn in said:
        if found and found[-1].role == turn.role != "assistant":
            before = found.pop()
            turn = _Said(turn.role, f"{before.text}\n{turn.text}".strip(), before.media + turn.media)
        found.append(turn)
    return [turn for turn in found if turn.text or turn.role != "system"]


def _check_order(entry: Entry, field: str, said: Sequence[_Said]) -> None:
    """Raise BadSample unless a system turn, if any, comes first, and user and assistant then alternate."""
    roles = [turn.role for turn in said]
    if "user" not in roles:
        entry.fail(field, "no turn of the user", FORM)
    if "system" in roles[1:]:
        entry.fail(field, "a system turn after the first turn", "it first")
    talk = roles[1:] if roles[0] == "system" else roles
    for number, role in enumerate(talk):
        if role != ("user", "assistant")[number % 2]:
            problem = "begins with" if number == 0 else "has two turns in a row of"
            entry.fail(field, f"the conversation {problem} the assistant", FORM)
