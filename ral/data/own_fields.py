"""Examples as entries of a user's own file, from which `parse_own` reads the same question, answer and media."""

from __future__ import annotations

import base64
from typing import Any

from ral.data.marks import KINDS, marks_in, user_texts
from ral.data.reading import AREA_KEYS, CLIP_KEYS
from ral.types import Example, Media

MARKS = {kind: mark for mark, kind in KINDS.items()}


def fields_of(example: Example) -> dict[str, Any]:
    """Return an example's fields as an entry: id, question or conversation, options, type, answer and media.

    Media are absolute paths. Thought, evidence, steps and preferences are left out.
    """
    return {
        "id": example.uid,
        **_asked(example),
        "options": list(example.options),
        "problem_type": example.problem_type,
        "answer": example.answer,
        **_media(example),
    }


def _asked(example: Example) -> dict[str, Any]:
    """Return the field `question`, or `messages` with the whole conversation, which the question ends."""
    if not example.turns:
        return {"question": example.question}
    marked = marks_in([*user_texts(example, example.question), *example.options])
    in_front = "" if marked else "".join(MARKS[medium.kind] for medium in example.media)
    said = [{"role": turn.role, "content": turn.text} for turn in example.turns]
    return {"messages": [*said, {"role": "user", "content": in_front + example.question}]}


def _media(example: Example) -> dict[str, Any]:
    """Return one field with all media: `images` or `videos` where they are of one kind, else `path`."""
    kinds = {medium.kind for medium in example.media}
    if len(kinds) == 1:
        return {f"{kinds.pop()}s": [_medium(medium) for medium in example.media]}
    if not kinds:
        return {"images": []}
    return {"path": [{medium.kind: _file(medium)} | _reading(medium) for medium in example.media]}


def _medium(medium: Media) -> Any:
    """Return the path of a medium, or an object that has settings for reading beside it."""
    said = _reading(medium)
    return {medium.kind: _file(medium), **said} if said else _file(medium)


def _file(medium: Media) -> str | list[str]:
    if medium.data is not None:
        return f"data:image/*;base64,{base64.b64encode(medium.data).decode()}"
    return [str(frame.absolute()) for frame in medium.frames] or str(medium.path.absolute())


def _reading(medium: Media) -> dict[str, Any]:
    """Return the settings for reading a medium, under the keys of an entry."""
    keys = {key: getattr(medium, name) for key, name in (CLIP_KEYS | AREA_KEYS).items()}
    return {key: value for key, value in keys.items() if value is not None}
