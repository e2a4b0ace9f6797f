"""A dataset in Video-R1's format of which a known share is broken, to test scans of datasets and runs on them."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from ral.worlds.draw import write_frames

PLAIN = 64  # different good pictures, and as many clips
ODD_ENTRIES = 20  # of each odd kind
THREE_HOURS = 10800  # seconds
A_FOLDER = 1000  # files


# --- media that are good


def picture(number: int, size: tuple[int, int] = (84, 56)) -> Image.Image:
    """Return an RGB image of size (width, height). Its left and right halves have colours that depend on `number`."""
    image = Image.new("RGB", size, (number * 37 % 256, 60, 200))
    image.paste((250, number * 53 % 256, 20), (size[0] // 2, 0, *size))
    return image


def clip(path: Path, frames: int = 8, fps: int = 1, number: int = 0) -> None:
    """Write a video of 56 x 56 pixels. Frame n has a brightness of about 10 + 10 * n + number, at most 255."""
    write_frames([Image.new("RGB", (56, 56), (min(10 + 10 * n + number, 255),) * 3) for n in range(frames)], path, fps)


def faststart(source: Path, target: Path) -> None:
    """Write a copy of a video with its index before its frames, as web servers need it."""
    with av.open(str(source)) as clip_in, av.open(str(target), "w", options={"movflags": "faststart"}) as clip_out:
        stream = clip_in.streams.video[0]
        copy = clip_out.add_stream_from_template(stream)
        for packet in clip_in.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                clip_out.mux(packet)


# --- damage


def cut(source: Path, target: Path, share: float) -> None:
    """Write the first bytes of a file to `target`. share: how much of the file, in [0, 1]."""
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])


def claim(source: Path, target: Path, seconds: int) -> None:
    """Write a copy of an MP4 whose headers claim a length of `seconds`. Its frames keep their times."""
    content = bytearray(source.read_bytes())
    for name, units, duration in (("mvhd", 16, 20), ("mdhd", 16, 20), ("tkhd", None, 24)):
        at = content.find(name.encode())
        scale = 1000 if units is None else struct.unpack_from(">I", content, at + units)[0]
        struct.pack_into(">I", content, at + duration, seconds * scale)
    target.write_bytes(content)


def without_times(source: Path, target: Path) -> None:
    """Write a copy of an MP4 whose frames all lie at time 0 and whose headers claim no length."""
    claim(source, target, 0)
    content = bytearray(target.read_bytes())
    at = content.find(b"stts")
    for entry in range(struct.unpack_from(">I", content, at + 8)[0]):
        struct.pack_into(">I", content, at + 16 + 8 * entry, 0)
    target.write_bytes(content)


def empty_clip(path: Path) -> None:
    """Write an MP4 with a header and no frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1)
        stream.width = stream.height = 56
        stream.pix_fmt = "yuv420p"
        container.start_encoding()


def audio_only(path: Path) -> None:
    """Write an MP4 without video, with half a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        stream.layout = "mono"
        for number in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, number * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def broken_media(folder: Path) -> dict[str, list[Path]]:
    """Write broken files to `folder`; return {kind of damage: files}.

    Files of the kind "missing file" are not written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clip(folder / "whole.mp4")
    faststart(folder / "whole.mp4", folder / "fast.mp4")
    picture(1, (280, 280)).save(folder / "whole.jpg")
    Image.effect_noise((280, 280), 90).save(folder / "whole.png")
    (folder / "zero.png").touch()
    (folder / "text.jpg").write_text("<html>404 Not Found</html>")
    cut(folder / "whole.jpg", folder / "cut.jpg", 0.6)
    cut(folder / "whole.png", folder / "cut.png", 0.6)
    cut(folder / "whole.mp4", folder / "cut.mp4", 0.5)
    cut(folder / "fast.mp4", folder / "cut_fast.mp4", 0.8)
    audio_only(folder / "audio.mp4")
    empty_clip(folder / "empty.mp4")
    without_times(folder / "whole.mp4", folder / "timeless.mp4")
    names = {
        "missing file": ["gone.png", "gone.mp4"],
        "zero bytes": ["zero.png"],
        "text under a picture's name": ["text.jpg"],
        "truncated picture": ["cut.jpg", "cut.png"],
        "truncated clip": ["cut.mp4", "cut_fast.mp4"],
        "audio without video": ["audio.mp4"],
        "clip without duration": ["empty.mp4", "timeless.mp4"],
    }
    return {kind: [folder / name for name in files] for kind, files in names.items()}


def _exif_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    picture(2, (112, 56)).save(path, exif=exif, quality=95)


def _animated(path: Path) -> None:
    picture(3).save(path, save_all=True, append_images=[picture(4), picture(5)])


def _claims_three_hours(path: Path) -> None:
    whole = path.with_name("eight_seconds.mp4")
    clip(whole)
    claim(whole, path, THREE_HOURS)


def _named_otherwise(path: Path) -> None:
    clip(path.with_suffix(".mp4"))
    path.with_suffix(".mp4").rename(path)


def _transparent() -> Image.Image:
    image = picture(9).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


ODD: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "picture under a clip's name": ("picture.mp4", lambda path: picture(6).save(path, "PNG")),
    "clip under a picture's name": ("clip.jpg", _named_otherwise),
    "clip of one frame": ("one.mp4", lambda path: clip(path, frames=1)),
    "clip that claims three hours": ("hours.mp4", _claims_three_hours),
    "8k picture": ("8k.jpg", lambda path: picture(7, (7680, 4320)).save(path)),
    "CMYK": ("cmyk.jpg", lambda path: picture(8).convert("CMYK").save(path, quality=95)),
    "16 bits": ("sixteen.png", lambda p: Image.fromarray(np.full((56, 84), 257 * 100, np.uint16)).save(p)),
    "palette": ("palette.png", lambda path: picture(9).convert("P").save(path)),
    "alpha": ("alpha.png", lambda path: _transparent().save(path)),
    "rotated by its EXIF": ("rotated.jpg", _exif_rotated),
    "animated": ("animated.gif", _animated),
}
"""{kind of odd but good media: (file name, function that writes the file)}"""


def odd_media(folder: Path) -> dict[str, Path]:
    """Write one file of each kind of ODD to `folder`; return {kind: file}."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, write in ODD.values():
        write(folder / name)
    return {kind: folder / name for kind, (name, _) in ODD.items()}


def good_media(folder: Path) -> list[Path]:
    """Write PLAIN images and PLAIN videos to `folder`; return them, images first."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures, clips = ([folder / f"{n}.{suffix}" for n in range(PLAIN)] for suffix in ("png", "mp4"))
    for number, path in enumerate(pictures):
        picture(number).save(path)
    for number, path in enumerate(clips):
        clip(path, number=number)
    return [*pictures, *clips]


# --- entries

WRONG_TYPES: tuple[dict[str, Any], ...] = (
    {"problem": ["What", "color?"]},
    {"problem": 7},
    {"options": "A. red"},
    {"options": [1, 2]},
    {"path": 3},
    {"solution": {"answer": "B"}},
    {"problem_type": ["OCR"]},
    {"data_type": 1},
)
NO_ANSWER: tuple[dict[str, Any], ...] = (
    {"solution": None},
    {"solution": ""},
    {"solution": "<answer></answer>"},
    {"solution": "<answer>  </answer>"},
)
CHANGES = {"wrong JSON types": WRONG_TYPES, "gold answer missing": NO_ANSWER}
QUESTIONS: tuple[dict[str, Any], ...] = (
    {"problem_type": "multiple choice", "options": ["A. red", "B. blue", "C. green"], "solution": "<answer>B</answer>"},
    {"problem_type": "numerical", "options": [], "solution": "<answer>12.5</answer>"},
    {"problem_type": "OCR", "options": None, "solution": "<answer>Straße 中 5</answer>"},
    {"problem_type": "free-form", "options": [], "solution": "<answer>a blue square on the left</answer>"},
    {"problem_type": "regression", "options": [], "solution": "<answer>0.25</answer>"},
)


def entry(number: int, path: str, kind: str) -> dict[str, Any]:
    """Return a good entry in Video-R1's format. kind: "image" or "video"."""
    question = f"Question {number}: what is seen on the left, and how long? Say what you see first, and why. é"
    base = {"problem_id": 100000 + number, "problem": question, "data_type": kind}
    return base | QUESTIONS[number % len(QUESTIONS)] | {"path": path, "data_source": "made"}


def is_clip(path: Path) -> bool:
    """Tell whether the entry of a file calls it a video.

    The suffix decides, except for two files whose suffix is wrong on purpose.
    """
    return path.name == "clip.jpg" or (path.suffix == ".mp4" and path.name != "picture.mp4")


def plan(entries: int, share: float, seed: int) -> dict[int, str]:
    """Return {position: kind} of the entries that are broken or odd (good, but unusual).

    seed: fixes their positions. round(entries * share) entries are broken, all kinds equally often. Each odd kind has
    ODD_ENTRIES entries; where these are more than a quarter of the rest, the last kinds have fewer or none.
    """
    rng, broken = random.Random(seed), [*BROKEN]
    count, odd = round(entries * share), [kind for kind in ODD for _ in range(ODD_ENTRIES)]
    kinds = [broken[n % len(broken)] for n in range(count)] + odd[: max(0, (entries - count) // 4)]
    return dict(zip(rng.sample(range(entries), len(kinds)), kinds, strict=True))


BROKEN = (
    "missing file",
    "zero bytes",
    "text under a picture's name",
    "truncated picture",
    "truncated clip",
    "audio without video",
    "clip without duration",
    "wrong JSON types",
    "gold answer missing",
)


def make(output: Path, entries: int, share: float, seed: int = 0) -> None:
    """Write data.json, key.jsonl, media/ and sources/ to the folder `output`, which is deleted first.

    key.jsonl has {"index": position, "kind": damage} for each broken entry, and {"index": position, "odd": kind} for
    each good one of a kind in ODD (see `plan`). share: the share of the entries that is broken, in [0, 1].
    """
    shutil.rmtree(output, ignore_errors=True)
    good, odd = good_media(output / "sources" / "good"), odd_media(output / "sources" / "odd")
    broken, kinds = broken_media(output / "sources" / "broken"), plan(entries, share, seed)
    with (output / "data.json").open("w", encoding="utf-8") as file:
        for number, text in enumerate(_entries(output, entries, kinds, good, odd, broken)):
            file.write(("[" if number == 0 else ",") + "\n    " + text)
        file.write("\n]\n")
    with (output / "key.jsonl").open("w", encoding="utf-8") as file:
        for number, kind in sorted(kinds.items()):
            file.write(json.dumps({"index": number, "kind" if kind in BROKEN else "odd": kind}) + "\n")


def _entries(
    output: Path,
    entries: int,
    kinds: dict[int, str],
    good: list[Path],
    odd: dict[str, Path],
    broken: dict[str, list[Path]],
) -> Iterator[str]:
    """Yield every entry as JSON text; its file becomes a hard link below media/."""
    for number in range(entries):
        kind = kinds.get(number, "")
        files = [odd[kind]] if kind in odd else broken.get(kind, good)
        source = files[number % len(files)]
        path = Path("media") / str(number // A_FOLDER) / f"{number}{source.suffix}"
        if source.exists():
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(source, output / path)
        data = entry(number, f"./{path}", "video" if is_clip(source) else "image")
        changes = CHANGES.get(kind, ({},))
        yield json.dumps(data | changes[number % len(changes)], ensure_ascii=False)
