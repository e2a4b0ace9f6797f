"""Loading of networks, every weight from the files or not at all, and checks that every loaded network passes."""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForImageTextToText, PreTrainedModel

from ral.files.pretrained import KEY, check_folder, read_headers
from ral.files.repository import find
from ral.models.config_fields import deciding, depth
from ral.models.norms import multiplying
from ral.models.stored import pickled_names
from ral.types import UserError

WRAPPERS = r"(?:base_model\.model\.|module\.|_orig_mod\.|_fsdp_wrapped_module\.|_forward_module\.)+"
"""Prefixes that training libraries add to every name: peft, DDP, torch.compile, FSDP, DeepSpeed."""
INSIDE = r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
"""Parts that training libraries insert within names."""
COMPUTED = (".rotary_emb.inv_freq", ".position_ids")
"""Ends of names of tensors that older versions stored though they follow from config.json."""
SHOWN = 3
"""Most names in a message."""
LORA = ".lora_A."
MOST_BESIDE = 4
"""Most weights of other parts, such as a value head, that may stand beside a model whose names all have one prefix."""
LARGEST = 1e8
"""Absolute value above which a weight is refused: products of such weights overflow."""
MOST_EMPTY = 0.5
"""Share of a part's matrices that may be all zeros, as some are at first; files that were never filled have more."""


def load_network(pretrained: str, dtype: torch.dtype) -> PreTrainedModel:
    """Return the network of a folder or hub id, every weight from its files.

    Weights are fp32, or bf16 where that is `dtype` and the dtype of all stored tensors. UserError, one line, where the
    folder is not whole (`check_folder`); the files cannot be read or hold adapters; a weight is missing, left over or
    of another shape; or numbers are unfit (`check_numbers`).
    """
    check_folder(pretrained)
    folder = find(pretrained)
    headers = read_headers(Path(folder)) if Path(folder).is_dir() else {}
    with one_line(pretrained):
        pickled = Path(folder).is_dir() and not headers
        stored = pickled_names(Path(folder), f"{KEY}={pretrained}") if pickled else set(headers)
    if any(LORA in name for name in stored):
        raise UserError(f"{KEY}={pretrained}: its files hold adapters ({first(stored, LORA)}); merge them in first")
    half = dtype == torch.bfloat16 and bool(headers) and {h.dtype for h in headers.values()} == {"BF16"}
    with quiet(), one_line(pretrained):
        network, told = AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype=dtype if half else torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # told of below, all of them, in words
            key_mapping=renamed(stored),
        )
    keep_names(network, renamed(stored) or {})
    check_whole(pretrained, network, told, stored)
    check_numbers(pretrained, numbers_of(network), multiplying(network))
    return network


def first(names: Collection[str], part: str) -> str:
    """Return the first name, in alphabetical order, that contains `part`."""
    return next(name for name in sorted(names) if part in name)


def renamed(stored: Collection[str]) -> dict[str, str] | None:
    """Return {pattern: replacement} that takes a training library's prefixes off names. stored: names in the files.

    None where no name has such a prefix.
    """
    rules = {f"^{WRAPPERS}": ""} if stored and all(re.match(WRAPPERS, name) for name in stored) else {}
    if any(re.search(rf"\.{INSIDE}", name) for name in stored):
        rules[INSIDE] = ""
    return rules or None


def keep_names(network: PreTrainedModel, rules: Collection[str]) -> None:
    """Remove `rules` from the network's renamings, which Transformers would otherwise revert when it saves."""
    known = getattr(network, "_weight_conversions", None) or []
    network._weight_conversions = [rule for rule in known if not set(rule.source_patterns) & set(rules)]


@contextmanager
def named(key: str) -> Iterator[None]:
    """Let UserErrors inside the block name the setting `key` in place of model.pretrained."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"{KEY}=", f"{key}=", 1)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Transformers' warnings inside the block; `check_whole` reports the same as errors."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def one_line(pretrained: str) -> Iterator[None]:
    """Turn errors of reading weights inside the block into a UserError of one line that names the model, pretrained."""
    errors = (OSError, ValueError, RuntimeError, EOFError, KeyError, UnpicklingError, SafetensorError)
    try:
        yield
    except errors as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{KEY}={pretrained}: its weights cannot be read ({words[0]}); download it again") from error


def check_whole(
    pretrained: str, network: PreTrainedModel, told: Mapping[str, Any], stored: Collection[str] = ()
) -> None:
    """Raise UserError unless files and network have the same weights, of the same shapes.

    pretrained: name of the model in messages. told: Transformers' loading info: missing_keys, unexpected_keys and
    mismatched_keys. stored: names in the files. UserError also for a head with weights of its own where config.json
    says that it shares those of the embeddings.
    """
    missing, left = sorted(told["missing_keys"]), [k for k in sorted(told["unexpected_keys"]) if not computed(k)]
    setting = f"{KEY}={pretrained}"
    if told["mismatched_keys"]:
        name, theirs, ours = sorted(told["mismatched_keys"])[0]
        count = some(len(told["mismatched_keys"]), "weight")
        fields = deciding(name, getattr(network, "config", None))
        raise UserError(
            f"{setting}: {count} of another shape than config.json says: {name} has {tuple(theirs)} in the files, and "
            f"should have {tuple(ours)}{f' by {fields}' if fields else ''}; mend the field, or take config.json and "
            "weights from one source"
        )
    if getattr(network, "config", None) is not None and two_heads(network):
        raise UserError(
            f'{setting}: config.json says "tie_word_embeddings": true, and the files have an lm_head.weight with other '
            'numbers than the table of embeddings; write "tie_word_embeddings": false if the head is one of its own, '
            "or take lm_head.weight out of the files"
        )
    if missing == ["lm_head.weight"]:
        raise UserError(
            f"{setting}: lm_head.weight is missing, and config.json says that the head is not the table of embeddings; "
            'write "tie_word_embeddings": true into config.json if it is, or download the weights again'
        )
    if missing:
        total = len(network.state_dict())
        layers = depth(missing, getattr(network, "config", None)) if not left else ""
        said = f" (config.json says {layers})" if layers else ""
        rest = f"; the files have {listed(left)}, which the network does not know" if left else ""
        raise UserError(
            f"{setting}: {len(missing)} of {total} weights are missing: {listed(missing)}{said}{rest}; they would be "
            f"random: {remedy(left, stored, missing)}"
        )
    if left:
        layers = depth(left, getattr(network, "config", None))
        said = f" (which says {layers})" if layers else ""
        raise UserError(
            f"{setting}: the files have {some(len(left), 'weight')} that the network of config.json{said} does not "
            f"know: {listed(left)}; take config.json and weights from one source"
        )


def two_heads(network: PreTrainedModel) -> bool:
    """Tell whether head and embeddings are different tensors, though config.json ties them."""
    tied = bool(getattr(network.config, "tie_word_embeddings", False))
    head, table = network.get_output_embeddings(), network.get_input_embeddings()
    return tied and head is not None and head.weight is not table.weight


def computed(name: str) -> bool:
    """Tell whether a name is that of a tensor that follows from config.json (COMPUTED)."""
    return name.endswith(COMPUTED)


def listed(names: list[str]) -> str:
    """Return, as text, the first SHOWN names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def some(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 weight` or `2 weights`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def remedy(left: list[str], stored: Collection[str], missing: Collection[str] = ()) -> str:
    """Return advice for missing weights: another name for all of them, or other files.

    left: names that the network does not know; stored: names in the files, () where they are not known; missing: names
    that the files lack.
    """
    heads = Counter(map(head_of, stored or left))
    head = max(heads, key=lambda name: heads[name], default="")
    others = sorted(name for name in stored or left if head_of(name) != head)
    foreign = bool(missing) and head not in set(map(head_of, missing)) and len(others) <= MOST_BESIDE
    if left and (len(heads) == 1 or foreign):
        but = f" but {listed(others)}" if others else ""
        beside = ", and what is no part of the model left out" if others else ""
        return f"every name in the files{but} begins with {head!r}, which is to be taken off or mended{beside}"
    return "download the weights again, or save the whole model"


def head_of(name: str) -> str:
    """Return the first part of a name."""
    return name.partition(".")[0]


@dataclass(frozen=True)
class Numbers:
    """Summary of the numbers of a weight, or of a part of it.

    matrix: whether the weight has two axes or more. finite: whether no number is NaN or infinite. greatest: largest
    absolute value. empty: whether all numbers are zero.
    """

    matrix: bool
    finite: bool = True
    greatest: float = 0.0
    empty: bool = True

    def and_of(self, values: torch.Tensor) -> Numbers:
        """Return the summary of the numbers seen so far and the further numbers `values` of the same weight."""
        most = greatest(values)
        whole = self.finite and math.isfinite(most)
        return Numbers(self.matrix, whole, max(self.greatest, most), self.empty and not most)

    def joined(self, other: Numbers) -> Numbers:
        """Return the summary of the weight of which this and `other` are summaries of parts."""
        most = max(self.greatest, other.greatest)
        return Numbers(self.matrix, self.finite and other.finite, most, self.empty and other.empty)


def numbers_of(network: nn.Module) -> dict[str, Numbers]:
    """Return {name of a weight: summary of its numbers}."""
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    return {name: Numbers(weight.ndim > 1).and_of(weight) for name, weight in weights.items()}


def check_numbers(pretrained: str, numbers: Mapping[str, Numbers], norms: Collection[str] = ()) -> None:
    """Raise UserError where the weights of a network hold numbers with which no network works.

    Such are: NaN or infinity; absolute values above LARGEST; a part (`part_of`) with a share of all-zero matrices above
    MOST_EMPTY; a norm whose weight is all zeros. pretrained: name or folder of the network, for the message. numbers:
    {name of a weight: summary of its numbers}. norms: names of the weights of norms.
    """
    if bad := [name for name, known in numbers.items() if not known.finite]:
        raise UserError(
            f"{KEY}={pretrained}: {some(len(bad), 'weight')} with numbers that are not finite (NaN or infinity): "
            f"{listed(bad)}; the run that wrote it went wrong: take an earlier checkpoint of it"
        )
    if wild := [name for name, known in numbers.items() if known.greatest > LARGEST]:
        value = max(known.greatest for known in numbers.values())
        raise UserError(
            f"{KEY}={pretrained}: {some(len(wild), 'weight')} with numbers up to {value:.1e}, which no network works "
            f"with: {listed(wild)}; the run that wrote it went wrong: take an earlier checkpoint of it"
        )
    matrices = {name: known for name, known in numbers.items() if known.matrix}
    empty = [name for name, known in matrices.items() if known.empty]
    sizes, holes = Counter(map(part_of, matrices)), Counter(map(part_of, empty))
    if any(holes[part] > size * MOST_EMPTY for part, size in sizes.items()):
        raise UserError(
            f"{KEY}={pretrained}: {len(empty)} of {len(matrices)} matrices hold nothing but zeros: {listed(empty)}; "
            "such a network neither says nor learns anything: download it again"
        )
    if closed := [name for name in numbers if name in norms and numbers[name].empty]:
        raise UserError(
            f"{KEY}={pretrained}: {some(len(closed), 'norm')} whose weight is nothing but zeros, so that nothing goes "
            f"through: {listed(closed)}; download it again"
        )


def part_of(name: str) -> str:
    """Return the part of a network that a weight belongs to, such as "model.visual"; "embed_tokens" is a part, too."""
    return "embed_tokens" if "embed_tokens" in name else ".".join(name.split(".")[:2])


def greatest(weight: torch.Tensor) -> float:
    """Return the greatest absolute value of a weight; 0 for one without numbers."""
    return float(torch.stack(torch.aminmax(weight)).abs().max()) if weight.numel() else 0.0


def finite(weight: torch.Tensor) -> bool:
    """Tell whether all numbers of a weight are finite."""
    return not weight.numel() or bool(torch.stack(torch.aminmax(weight)).isfinite().all())
