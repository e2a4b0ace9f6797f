"""Recipe of a small random model of a family: sizes, keys of its configuration, processor files."""

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
"""Chat template with Qwen's turns, without its default system message, a fifth of a tiny model's prompt."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a random network. hidden, mlp: widths of the decoder's states and of its MLP.

    layers, heads, kv_heads: numbers of decoder layers, of query heads and of key heads; a head's width is hidden /
    heads. vision_hidden, vision_depth, vision_heads: width, number of blocks and number of heads of the vision tower.
    """

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
    """Recipe by which the folder of a family's random model is written (ral.models.fresh.write_model).

    parts: keys of its configuration: "text", "vision", and others of its own. files: (sizes, least and largest area of
    an image in pixels) -> contents of processor files by name. token_ids: config key -> token. named_tokens: attribute
    -> token, for every token that Transformers' processor of the family reads as an attribute of the tokenizer
    (`tokenizer.start_image_token`, its id as `tokenizer.start_image_token_id`); {} where it reads none. chat_template:
    with the family's own placeholders and turns. settle: changes, in place, random weights of a network that
    Transformers draws unfit for training; None where all are fit.
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
