"""From examples to the tensors that a model reads: chat template, placeholders, pixels, left padding.

Pixels and token ids equal those of Transformers' processors (tests prove it), which are not used because they need
torchvision for videos, which CPU machines may lack. `ral.models.families` has what differs between families.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ral.data.bad import BadSample
from ral.data.marks import MARK
from ral.data.prompts import conversation
from ral.models.family import Family, PatchSettings
from ral.models.network_config import read_config
from ral.models.pixel_files import FILES, TOKENIZER, broken_json, file_of, json_of, pixel_settings
from ral.models.reach import blocks, grid_of, most_positions, reach
from ral.models.registry import FAMILIES
from ral.rewards.format import TAGS
from ral.types import Example, Grid, Media, Pixels, PromptBatch, Segment, Turn, UserError, Wording

ASSISTANT = "-"
"""Text of a stand-in assistant turn, by which the text that the chat template writes after such a turn is found."""
SHOWN = "a turn that is shown to the policy"
"""Name, in messages, of a text that an environment writes."""


class Processor:
    """Tokenizer, chat template, family and patch settings of one model folder.

    end_ids: tokens that end a response. banned [V] bool: ids that no response may contain: placeholders of media, ids
    without a token, and every other special token except end_ids and the format's own tags (ral.rewards.format.TAGS).
    V = vocab_size, one more than the greatest id of the tokenizer. name: the folder or hub id. most_positions: the
    network's positions for prompt and response; None where config.json sets no bound. UserError where the tokenizer
    lacks a token that the family's prompts need.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        family: Family,
        patches: PatchSettings,
        name: str = "model",
        most_positions: int | None = None,
    ) -> None:
        self.most_positions = most_positions
        self.tokenizer, self.family, self.patches, self.name = tokenizer, family, patches, name
        marks = family.placeholders
        self.image_id, self.video_id = self._id(marks.image), self._id(marks.video)
        self.kinds = {self._id(token): kind for token, kind in marks.kinds.items()}
        self._placeholder = re.compile("|".join(map(re.escape, (marks.image, marks.video, *marks.kinds))))
        self.end_id = self._id(family.turns.end)
        ends = [self.end_id, tokenizer.convert_tokens_to_ids(family.turns.text_end)]
        self.end_ids = tuple(dict.fromkeys(i for i in ends if i not in (None, tokenizer.unk_token_id)))
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end_ids[-1]
        known = list(tokenizer.get_vocab().values())
        self.vocab_size = max(known) + 1
        added = tokenizer.added_tokens_decoder.items()
        special = {index: t.content for index, t in added if t.special and t.content not in TAGS}
        self.banned = torch.ones(self.vocab_size, dtype=torch.bool)  # also ids that no token has
        self.banned[known] = False
        self.banned[[*(special.keys() - set(self.end_ids)), self.image_id, self.video_id, *self.kinds]] = True
        self._special = tuple(special.values())

    @classmethod
    def from_folder(cls, folder: str) -> Processor:
        """Read tokenizer and patch settings of a model folder or hub id. UserError names a missing or broken file."""
        config = read_config(folder)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # of the tokenizers library too, which has no class for its errors
            words = (str(error).strip().splitlines() or [type(error).__name__])[0]
            broken = broken_json(folder, TOKENIZER)
            where = f" ({broken} is no JSON; download it again)" if broken else f" ({words})"
            raise UserError(f"model.pretrained={folder}: its tokenizer cannot be read{where}") from error
        if tokenizer.chat_template is None:
            written = file_of(folder, "chat_template.jinja")
            tokenizer.chat_template = written or json_of(folder, "chat_template.json").get("chat_template")
        if tokenizer.chat_template is None:
            raise UserError(f"model.pretrained={folder}: the folder has no chat template (chat_template.jinja)")
        family = FAMILIES[config.model_type]
        settings = pixel_settings(folder, config, family)
        return cls(tokenizer, family, settings, name=folder, most_positions=most_positions(config))

    def _id(self, token: str) -> int:
        index = self.tokenizer.convert_tokens_to_ids(token)
        if index is None or index == self.tokenizer.unk_token_id:
            raise UserError(f"model.pretrained={self.name}: its tokenizer has no {token}, which prompts need")
        return int(index)

    def render(self, example: Example, text: str) -> str:
        """Return the prompt as text: the example's turns, `text` as the user's turn, and the start of the assistant's.

        BadSample where the marks of media do not fit the example's media, or the chat template refuses its turns or
        leaves out its system turn.
        """
        messages = conversation(example, text)
        place = example.source or example.uid
        try:
            rendered = str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        except TemplateError as error:
            problem = f"the chat template of {self.name} refuses its turns ({error})"
            raise BadSample(place, problem, "leave out the system turn or other turns that it does not take") from error
        if any(turn.role == "system" and turn.text not in rendered for turn in example.turns):
            problem = f"the chat template of {self.name} leaves out the system turn"
            raise BadSample(place, problem, "write what it says into the question")
        return rendered

    def _token_ids(self, text: str, media: Sequence[tuple[Pixels, Grid]], source: str) -> list[int]:
        """Return a prompt's ids, each placeholder replaced by its medium's text, with one token for each visual token.

        UserError where placeholders and media differ in number or order. source: name of the entry, with which the
        message begins.
        """
        names = {"image": self.family.placeholders.image, "video": self.family.placeholders.video}
        parts, found = self._placeholder.split(text), self._placeholder.findall(text)
        if len(found) != len(media):
            raise UserError(
                f"{source}: the prompt has {len(found)} placeholders for {len(media)} pictures and clips; take "
                f"{' and '.join(dict.fromkeys(names.values()))} out of the question"
            )
        if found != [names[pixels.kind] for pixels, _ in media]:
            problem = "its chat template puts pictures and clips in another order than the prompt has them"
            raise UserError(f"model.pretrained={self.name}: {problem}; use a template that keeps their places")
        runs: list[int] = []
        for number, (pixels, grid) in enumerate(media, start=1):
            expanded = self.family.pixels.expand(pixels, self.patches)
            count = self._runs(pixels)
            runs += [math.prod(grid) // count] * count
            parts[number] = expanded + parts[number]
        lengths, ids = iter(runs), []
        for index in self.tokenizer("".join(parts), add_special_tokens=False)["input_ids"]:
            ids += [index] * next(lengths) if index in self.kinds else [index]
        return ids

    def batch(
        self, examples: Sequence[Example], texts: Sequence[str], media: Sequence[Sequence[Pixels]]
    ) -> PromptBatch:
        """Collate B prompts from examples, their user texts and their decoded media (in the order of example.media).

        texts: the user's turns. BadSample as in `render`; UserError where placeholders and media differ in number or
        order.
        """
        flat = [pixels for group in media for pixels in group]
        tensors, flat_grids = self.family.pixels.tensors(flat, self.patches)
        rest = iter(flat_grids)
        grids = [tuple(next(rest) for _ in group) for group in media]
        made = [self.prompt(*parts) for parts in zip(examples, texts, media, grids, strict=True)]
        token_ids, valid = left_pad([ids for _, ids in made], self.pad_id)
        return PromptBatch(
            token_ids=token_ids,
            valid=valid,
            visual=self.visual(token_ids, valid),
            media=tensors,
            examples=tuple(examples),
            wordings=tuple(self.wording(text, group) for (text, _), group in zip(made, media, strict=True)),
            grids=tuple(grids),
            evidence=torch.zeros_like(valid),
        )

    def wording(self, text: str, media: Sequence[Pixels]) -> Wording:
        """Return the Wording of a rendered prompt, `text`: its ids have one placeholder for each of `media`."""
        return Wording(text, self.compact_ids(text), tuple(pixels.kind for pixels in media))

    def compact_ids(self, text: str) -> tuple[int, ...]:
        """Return the ids of a rendered prompt in which each image or video is one placeholder."""
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def prompt(
        self, example: Example, text: str, media: Sequence[Pixels], grids: Sequence[Grid]
    ) -> tuple[str, list[int]]:
        """Return the prompt of an example as text, and its token ids with one placeholder for each visual token.

        text: the user's turn. media: the example's decoded media. grids: (T, H, W) of the visual tokens of each.
        Errors: as in `batch`.
        """
        rendered = self.render(example, text)
        return rendered, self._token_ids(rendered, list(zip(media, grids, strict=True)), example.source)

    def turn(self, text: str, media: Sequence[Pixels] = (), *, ended: bool = True) -> Segment:
        """Return the segment between two assistant turns: the end of the first, a user turn with `text`, a new start.

        Images and videos stand at marks in the text (<image>, <video>), or before it where it has none. ended: whether
        the first assistant turn already has its end token, so that the segment begins after it. UserError for a text
        with tokens of media or turns, or whose marks do not fit `media`, and for a chat template that refuses the turns
        or does not end one.
        """
        if found := self.intruder(text):
            raise UserError(f"{SHOWN}: it holds the {found}; take it out")
        shown = tuple(Media(pixels.kind, Path("shown")) for pixels in media)
        turns = (Turn("user", "?"), Turn("assistant", ASSISTANT))
        try:
            example = Example("shown", text, "", "free-form", shown, turns=turns, source=SHOWN)
            rendered = self.render(example, text)
        except BadSample as error:
            raise UserError(str(error)) from error
        end = self.family.turns.end
        rest = rendered.partition(ASSISTANT + end)[2]
        if not rest:
            raise UserError(f"model.pretrained={self.name}: its chat template does not end a turn with {end}")
        grids = [grid_of(pixels, self.patches) for pixels in media]
        ids = self._token_ids(rest, list(zip(media, grids, strict=True)), SHOWN)
        before = () if ended else (self.end_id,)
        return Segment((*before, *ids), False, media=tuple(media), compact_ids=(*before, *self.compact_ids(rest)))

    def positions(self, example: Example, text: str, media: Sequence[Pixels]) -> int:
        """Return the number of positions that the prompt of an example takes, images and videos included.

        text: the user's turn. media: the example's decoded media.
        """
        grids = [grid_of(pixels, self.patches) for pixels in media]
        _, ids = self.prompt(example, text, media, grids)
        if self.family.network.axes == 1:
            return len(ids)
        found = [
            block
            for pixels, grid in zip(media, grids, strict=True)
            for block in blocks(pixels, grid, self._runs(pixels), self.patches)
        ]
        return reach([index in self.kinds for index in ids], found)

    def check_length(
        self, example: Example, text: str, media: Sequence[Pixels], response: int, keys: str = "dataset.media"
    ) -> None:
        """Raise BadSample where prompt and response take more positions than the network has.

        text: the user's turn. response: tokens of the response. keys: the configuration key below which the sizes of
        media are bounded, as messages name it.
        """
        if self.most_positions is None:
            return
        prompt = self.positions(example, text, media)
        if prompt + response > self.most_positions:
            kinds = sorted({pixels.kind for pixels in media})
            fewer = [f"{keys}.{kind}_max_pixels" for kind in kinds] + [f"{keys}.max_frames"] * ("video" in kinds)
            have = f"the network has {self.most_positions}"
            problem = f"prompt and response take {prompt} + {response} positions, and {have}"
            write = " or ".join(["shorter texts", *([f"smaller {', '.join(fewer)}"] if fewer else [])])
            raise BadSample(example.source or example.uid, problem, f"write {write}")

    def _runs(self, pixels: Pixels) -> int:
        """Return the number of runs of visual tokens that an image or video becomes."""
        return len(self._placeholder.findall(self.family.pixels.expand(pixels, self.patches)))

    def visual(self, token_ids: Tensor, valid: Tensor) -> Tensor:
        """Return a mask [B P] of the visual tokens among `token_ids` [B P]. valid [B P]: tokens that are no padding."""
        return torch.isin(token_ids, torch.tensor(list(self.kinds), device=token_ids.device)) & valid

    def intruder(self, text: str, *, response: bool = False) -> str | None:
        """Return, in words, the first forbidden token in a text of the dataset; None where it holds none.

        Forbidden are tokens of media and turns. response: True where the text is a response, in which all other special
        tokens are forbidden, too. In other texts the marks of media (`<image>`, `<video>`) are allowed, even where they
        equal a family's placeholders.
        """
        text = text if response else MARK.sub("", text)
        marks, turns = self.family.placeholders, self.family.turns
        media = (marks.image, marks.video, *marks.kinds)
        control = (*turns.starts, turns.end, turns.text_end, *(self._special if response else ()))
        found = next((token for token in (*media, *control) if token in text), None)
        return found and f"{'placeholder' if found in media else 'control token'} {found}"

    def response_ids(self, text: str) -> list[int]:
        """Return the ids of a given response (an SFT target), with the end token."""
        return [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end_id]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of the response `ids`: end tokens are left out anywhere, other special tokens are kept."""
        return str(self.tokenizer.decode([i for i in ids if i not in self.end_ids], skip_special_tokens=False))

    def char_starts(self, ids: Sequence[int]) -> list[int]:
        """Return the index of each token's first character in the decoded text, if tokens are whole characters."""
        starts, at = [], 0
        for index in ids:
            starts.append(at)
            at += len(self.decode([index]))
        return starts

    def save(self, folder: Path, origin: str) -> None:
        """Write the tokenizer into `folder`, and copy the processor files of `origin`, a folder or hub id."""
        self.tokenizer.save_pretrained(folder)
        for name in FILES:
            if raw := file_of(origin, name):
                (folder / name).write_text(raw)


def left_pad(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Return B lists of ids as tensors padded on the left with `pad`: ids [B P] int64 and valid [B P] bool."""
    length = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (length - len(row)) + list(row) for row in rows])
    valid = torch.tensor([[False] * (length - len(row)) + [True] * len(row) for row in rows])
    return ids, valid
