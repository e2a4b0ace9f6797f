"""Images and videos that a process reads a second: this project's pipeline beside plain decord and Transformers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from ral.benches.measure import range_text, spread
from ral.benches.operators import name_missing_operators
from ral.data.clips import frame_indices
from ral.data.media import MediaReader
from ral.data.sizes import MediaSettings
from ral.errors import UserError
from ral.files.markdown import table
from ral.models.family import PatchSettings
from ral.models.patches import patchify
from ral.types import Media
from ral.worlds.draw import write_frames

SETTINGS = MediaSettings(timeout_s=60.0)
PATCHES = PatchSettings()
MADE = 6  # clips, and pictures, where no folder is given
CLIP_SIDES, CLIP_SECONDS, CLIP_FPS = (640, 360), 8, 24
PICTURE_SIDES = (1280, 960)

Side = Callable[[Path], Any]
Found = dict[str, dict[str, dict[str, float]]]
"""{side: {figure: {min, median, max}}}"""


def texture(sides: tuple[int, int], seed: int) -> Image.Image:
    """Return an image of smooth coloured noise, which is neither flat nor incompressible. sides: width, height."""
    noise = np.random.default_rng(seed).integers(0, 256, (sides[1] // 4, sides[0] // 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(sides).filter(ImageFilter.GaussianBlur(2))


def make(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return files of videos (a moving view) and images, written into `folder` unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = CLIP_SIDES
    for number in range(MADE):
        if not (folder / f"{number}.jpg").exists():
            large = texture((width + 200, height), number)
            boxes = [(n, 0, n + width, height) for n in range(CLIP_SECONDS * CLIP_FPS)]
            write_frames([large.crop(box) for box in boxes], folder / f"{number}.mp4", CLIP_FPS)
            texture(PICTURE_SIDES, number).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.glob("*.mp4")), sorted(folder.glob("*.jpg"))


def ours(kind: str, timeout_s: float | None) -> Side:
    """Return this project's function from a file to patches.

    kind: "image" or "video". timeout_s: seconds that the decoder's process may take; None: videos are decoded here.
    """
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__dataclass_fields__}
    reader = MediaReader(MediaSettings(**values | {"timeout_s": timeout_s}))
    return lambda path: patchify(reader.read(Media(kind, path)), PATCHES)  # type: ignore[arg-type]


def plain_decord(path: Path) -> np.ndarray:
    """Return the frames that this project samples, decoded by decord alone and not resized."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    wanted = int(len(reader) / reader.get_avg_fps() * SETTINGS.fps)
    return reader.get_batch(frame_indices(len(reader), max(2, min(wanted, SETTINGS.max_frames) // 2 * 2))).asnumpy()


def transformers_video() -> Side | None:
    """Return the function that decodes with decord and runs Transformers' video processor.

    None where torchvision cannot be imported.
    """
    if find_spec("torchvision") is None:
        return None
    operators = name_missing_operators()  # hold it: they go with it
    from transformers import Qwen2VLVideoProcessor

    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=False)
    bounds = {"shortest_edge": SETTINGS.video_min_pixels, "longest_edge": SETTINGS.video_max_pixels}

    def read(path: Path, operators: object = operators) -> Any:
        frames = torch.from_numpy(plain_decord(path)).permute(0, 3, 1, 2)
        return processor(videos=[frames], do_sample_frames=False, size=bounds, return_tensors="pt")

    return read


def transformers_picture() -> Side:
    """Return the function that reads with pillow and runs Transformers' image processor."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    bounds = {"shortest_edge": SETTINGS.image_min_pixels, "longest_edge": SETTINGS.image_max_pixels}
    processor = Qwen2VLImageProcessorPil(size=bounds)
    return lambda path: processor(images=[Image.open(path).convert("RGB")], return_tensors="pt")


def clocks() -> np.ndarray:
    """Return [wall time, processor time of this process and its living children] in seconds.

    Children count only where /proc lists them.
    """
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    children = listed.read_text().split() if listed.exists() else []
    fields = [Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split() for number in children]
    ticks = sum(int(value) for field in fields for value in field[11:13])  # in user mode and in the kernel
    return np.array([time.perf_counter(), time.process_time() + ticks / os.sysconf("SC_CLK_TCK")])


def measure(sides: dict[str, Side], files: list[Path], repeats: int, progress: Callable[[], object]) -> Found:
    """Return each side's files a second, and its ratio to the last side in processor time, over `repeats` rounds.

    A round reads each file once with every side; one more round comes first and does not count. a_second: by wall time;
    a_cpu_second: by processor time. progress: called after each round.
    """
    rates: dict[str, list[np.ndarray]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        seconds = {name: np.zeros(2) for name in sides}
        for number, path in enumerate(files):
            for name in list(sides)[:: 1 if number % 2 else -1]:
                started = clocks()
                sides[name](path)
                seconds[name] += clocks() - started
        for name, total in seconds.items() if turn else ():
            rates[name].append(len(files) / total)
        progress()
    last, found = list(rates.values())[-1], {}
    for name, own in rates.items():
        wall, cpu = np.transpose(own).tolist()
        ratios = [mine[1] / other[1] for mine, other in zip(own, last, strict=True)]
        found[name] = {"a_second": spread(wall), "a_cpu_second": spread(cpu), "cpu_ratio": spread(ratios)}
    return found


def markdown(found: dict[str, Found]) -> str:
    """Return a Markdown table for each kind of media."""
    parts = []
    for kind, sides in found.items():
        keys = ("a_second", "a_cpu_second", "cpu_ratio")
        rows = [
            (name, *(range_text(f[key], 2 if key == "cpu_ratio" else 1) for key in keys)) for name, f in sides.items()
        ]
        parts.append(
            table((kind, "a second", "a second of CPU time", f"times `{list(sides)[-1]}`, by CPU time"), rows, left=0)
        )
    return "Median (min to max) per process.\n\n" + "\n".join(parts)


def files_of(clips: Path | None, pictures: Path | None, output: Path) -> dict[str, list[Path]]:
    """Return the files to read, {"clips": videos, "pictures": images}, made below `output` where no folder is given.

    clips, pictures: folders, or None to make files. UserError for an empty folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    made = make(output / "media") if not (clips and pictures) else ([], [])
    files = {}
    for kind, folder, own in (("clips", clips, made[0]), ("pictures", pictures, made[1])):
        files[kind] = sorted(p for p in folder.glob("*") if p.is_file()) if folder else own
        if not files[kind]:
            raise UserError(f"--{kind} {folder}: no files there; name a folder of {kind}")
    return files


def sides() -> dict[str, dict[str, Side]]:
    """Return {"clips" or "pictures": {side: its function from a file to patches}}; ratios are to the last side."""
    video = {"ral": ours("video", 60.0), "ral, no process of its own": ours("video", None)}
    if (theirs := transformers_video()) is not None:
        video["decord and Transformers"] = theirs
    video["decord alone, frames not resized"] = plain_decord
    return {"clips": video, "pictures": {"ral": ours("image", None), "Transformers": transformers_picture()}}
