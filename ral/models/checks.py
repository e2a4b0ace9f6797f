"""Requirements on models that work together, and on attention policies: checked before anything is trained."""

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
    """Raise UserError unless both models read the same ids: `use` hands those of one to the other.

    roles: what the two are called in the message.
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
    """Raise UserError where a model lacks a layer or head that the attention policy names, or a layer cannot serve it.

    Rows are compared over all earlier positions: the layer must have softmax attention without a window.
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
        if not isinstance(spec.heads, str) and max(spec.heads) >= heads:
            raise UserError(
                f"algo.attention_policy.heads names head {max(spec.heads)}, but the model has {heads}: "
                f"write 0 to {heads - 1}"
            )


def those_counted(model: FrozenModel) -> str:
    """Return which decoder layers `attention_policy.layers` counts, in words; "" where it counts all of them."""
    there, every = attention_layers(model.network.config), len(layer_types(model.network.config))
    if len(there) == every:
        return ""
    return f"; they alone are counted: decoder layers {', '.join(map(str, there))} of {every}"
