"""Checks, made before training, that models fit each other and that an attention policy fits its models."""

from __future__ import annotations

from collections.abc import Sequence

from ral.models.attention.kinds import FULL, attention_layers, attention_types, layer_types
from ral.models.frozen import FrozenModel
from ral.models.processor import Processor
from ral.ops.attention import AttentionSpec
from ral.types import UserError


def same_tokens(
    ours: Processor, theirs: Processor, *, roles: tuple[str, str] = ("student", "teacher"), use: str = "distillation"
) -> None:
    """Raise UserError unless two models have the same vocabulary and the same visual tokens of an image or video.

    roles: names of `ours` and `theirs` in messages. use: the feature that needs equal tokens, as messages name it.
    """
    both = f"{roles[1]} {theirs.name} and {roles[0]} {ours.name}"
    if ours.tokenizer.get_vocab() != theirs.tokenizer.get_vocab():
        raise UserError(f"{both} have different tokenizers: {use} needs one vocabulary")
    if (ours.patches, ours.family.pixels.expand) != (theirs.patches, theirs.family.pixels.expand):
        raise UserError(f"{both} make different visual tokens of a picture or clip")


NO_LAYER = (
    "no layer of this model can be measured or reinforced: write algo=grpo diagnostics.every=0, which captures none, "
    "or choose another model"
)


def check_spec(spec: AttentionSpec, models: Sequence[FrozenModel]) -> None:
    """Raise UserError where a model lacks a layer or head that the attention policy names.

    UserError also where such a layer has no softmax attention over all earlier tokens, as with a sliding window, and
    for an empty list of heads.
    """
    for model in models:
        kinds = attention_types(model.network.config)
        fit = [layer for layer, kind in enumerate(kinds) if kind == FULL]
        heads = int(model.network.config.get_text_config().num_attention_heads)
        try:
            layers = spec.resolve_layers(model.depth)
        except ValueError as error:
            raise UserError(f"algo.{error}{those_counted(model)}") from error
        for layer in layers:
            if kinds[layer] != FULL:
                write = f"write layers among {fit}" if fit else NO_LAYER
                raise UserError(
                    f"algo.attention_policy.layers names layer {layer} of {model.processor.name}, which is "
                    f"{kinds[layer]}, not softmax attention over all earlier tokens; {write}"
                )
        if not spec.heads:
            raise UserError(f"algo.attention_policy.heads names none: write all, or some of 0 to {heads - 1}")
        if not isinstance(spec.heads, str) and max(spec.heads) >= heads:
            raise UserError(
                f"algo.attention_policy.heads names head {max(spec.heads)}, but the model has {heads}: "
                f"write 0 to {heads - 1}"
            )


def those_counted(model: FrozenModel) -> str:
    """Return, in words, the decoder layers that `attention_policy.layers` counts; "" where these are all layers."""
    there, every = attention_layers(model.network.config), len(layer_types(model.network.config))
    if len(there) == every:
        return ""
    return f"; they alone are counted: decoder layers {', '.join(map(str, there))} of {every}"
