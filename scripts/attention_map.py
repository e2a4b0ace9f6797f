"""Where a model's answer to one question looks: a PNG of the picture (or of frames of a clip) under its attention.

python scripts/attention_map.py checkpoint=outputs/my_run/hf image=cat.png question="What color is the cat?"

Settings are written key=value:
  checkpoint   folder of a model, such as a run's hf/, or a hub id (default: the shipped model)
  checkpoint2  another one, drawn below on the same scale of heat
  image, video the picture or the clip: one of the two
  question     the question, options included
  template     how it is worded: as_asked, think, zero, mini, ... or a .j2 file (default: as the checkpoint was trained,
               by the config.yaml of its run, checkpoint2's before checkpoint's; as_asked where there is none)
  evidence     x0,y0,x1,y1 as fractions: drawn, and the share of the attention inside it (grounding) is printed
  layer        decoder layer, negative from the last (default: -1, the paper's)
  output       file to write (default: outputs/attention.png, made anew); one that is there needs overwrite=true
  max_new_tokens, max_frames, min_pixels, max_pixels, device
               length limit of the answer (256); frames of a clip, and area of a picture or frame in pixels (as the
               checkpoint was trained; else 128, 784 and 4014080, 100352 for a clip); cpu or cuda (cpu)

The map is the mean over the tokens in the answer block (over the whole response where there is none) of the attention
on the visual tokens, mean over heads, renormalised: what evaluation during training measures.
"""

from __future__ import annotations

import installed  # noqa: F401

import sys
from collections.abc import Sequence
from pathlib import Path

from ral.config.signature import did_you_mean
from ral.errors import UserError


def settings_of(arguments: Sequence[str]) -> dict[str, str]:
    """The settings with their defaults. UserError for what is no setting."""
    from ral.evaluation.attention_map import DEFAULTS, complete

    found = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in DEFAULTS:
            raise UserError(f"{argument!r} is no setting: write key=value{did_you_mean(key, DEFAULTS)}")
        found[key] = value
    return complete(found)


def draw(settings: dict[str, str]) -> Path:
    """Answer, print, write the picture."""
    from ral.evaluation.attention_map import map_answers, output_of, said_of
    from ral.report.sheet import attention_of, plain, sheet, strip

    output = output_of(settings)
    example, pixels, answers = map_answers(settings)
    print("\n".join(line for answer in answers for line in answer.lines))
    print(f"asked with {said_of(settings)}")
    peak = max(max(answer.map["weights"]) for answer in answers)
    maps = [attention_of(answer.map) for answer in answers]
    strips = [strip(m, example.evidence, pixels, peak, a.caption) for m, a in zip(maps, answers, strict=True)]
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet([plain(maps[0], example.evidence, pixels), *strips], peak).save(output)
    return output


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 with the file as the last line, or 1 with one line on stderr."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        output = draw(settings_of(arguments))
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print(f"output: {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
