"""Reads the field `messages` (chat format) of a user's own entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ral.data.fields import Entry, Kind, shown

FORM = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


@dataclass(frozen=True)
class Chat:
    """Last user turn, the assistant turn after it, and all media of the user turns as (field, path, kind)."""

    question: str | None = None
    answer: str | None = None
    media: tuple[tuple[str, Any, Kind], ...] = ()


def _parts(entry: Entry, message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message's content as a list of parts; a string is one text part."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return content
    entry.fail("messages", f"content {shown(content)} is neither text nor a list of parts", FORM)


def _text(parts: Sequence[dict[str, Any]]) -> str:
    return "\n".join(str(part.get("text", "")) for part in parts if part.get("type") == "text").strip()


def _media(entry: Entry, parts: Sequence[dict[str, Any]]) -> list[tuple[str, Any, Kind]]:
    """Media parts: {"type": "image", "image": path}, the same for video; "path" is taken too."""
    found: list[tuple[str, Any, Kind]] = []
    for part in parts:
        kind = part.get("type")
        if kind == "image" or kind == "video":
            found.append(("messages", part.get(kind, part.get("path")), "image" if kind == "image" else "video"))
        elif kind != "text":
            entry.fail("messages", f"unknown content type {shown(kind)}", '"text", "image" or "video"')
    return found


def _messages(entry: Entry) -> list[dict[str, Any]]:
    messages = entry.data["messages"]
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "role" in m for m in messages):
        entry.fail("messages", f"{shown(messages)} is not a list of turns with roles", FORM)
    return messages


def chat_of(entry: Entry) -> Chat:
    """What `messages` says; an empty Chat where the entry has none."""
    if entry.data.get("messages") is None:
        return Chat()
    messages = _messages(entry)
    asked = [n for n, message in enumerate(messages) if message["role"] == "user"]
    if not asked:
        entry.fail("messages", "no turn of the user", FORM)
    parts = [_parts(entry, messages[n]) for n in asked]
    answers = [_text(_parts(entry, m)) for m in messages[asked[-1] + 1 :] if m["role"] == "assistant"]
    media = tuple(medium for turn in parts for medium in _media(entry, turn))
    return Chat(_text(parts[-1]), answers[0] if answers else None, media)
