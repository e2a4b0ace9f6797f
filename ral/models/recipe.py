"""The recipe of a small random model of a family: its sizes, its configuration's keys, its processor files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen's turns without its default system message, which would cost a tiny model a fifth of its prompt."""


@dataclass(frozen=True)
class Sizes:
    """Width and depth of a network. Head width is 32; the vision tower's last block sees the whole picture."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    mlp: int = 352
    vision_hidden: int = 64
    vision_depth: int = 2
    vision_heads: int = 2


@dataclass(frozen=True)
class Recipe:
    """The recipe by which a folder of one family is written.

    parts: keys of its configuration: "text" and "vision", and its own. files: processor files by name, from sizes and
    least and largest area of a picture. token_ids: config key -> token. named_tokens: attribute -> token, for every
    token that Transformers' processor of the family asks the tokenizer for (`tokenizer.start_image_token`, and its id
    as `tokenizer.start_image_token_id`); {} where its processor writes its tokens out. chat_template: with the family's
    own placeholders and turns. settle: changes random weights that Transformers draws as no training begins; None for
    none.
    """

    parts: Callable[[Sizes], dict[str, Any]]
    files: Callable[[Sizes, tuple[int, int]], dict[str, dict[str, Any]]]
    token_ids: dict[str, str] = field(
        default_factory=lambda: {
            "image_token_id": "<|image_pad|>",
            "video_token_id": "<|video_pad|>",
            "vision_start_token_id": "<|vision_start|>",
            "vision_end_token_id": "<|vision_end|>",
        }
    )
    named_tokens: dict[str, str] = field(default_factory=dict)
    chat_template: str = CHAT_TEMPLATE
    settle: Callable[[Any], None] | None = None
