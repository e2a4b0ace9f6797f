"""Pictures and clips a second, in one process: this project's media pipeline beside plain decord and Transformers.

    python scripts/bench_media.py
    python scripts/bench_media.py --clips /my/clips --pictures /my/pictures

From a file to the tensors of the vision tower (patches of 14 x 14 pixels, normalised). The sides take turns, file by
file. Transformers' video processor takes part where torchvision can be imported; it gets what decord decodes.
The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.measure import machine, range_text, spread, table
from PIL import Image, ImageFilter

from ral.data.clips import MediaSettings, frame_indices
from ral.data.draw import write_frames
from ral.data.media import MediaReader
from ral.models.family import PatchSettings, patchify
from ral.types import Media

SETTINGS = MediaSettings(timeout_s=60.0)
PATCHES = PatchSettings()
MADE = 6  # clips, and pictures, where no folder is given
CLIP = {"sides": (640, 360), "seconds": 8, "fps": 24}
PICTURE_SIDES = (1280, 960)

Side = Callable[[Path], Any]


def texture(sides: tuple[int, int], seed: int) -> Image.Image:
    """Smooth noise in colours: neither flat nor incompressible."""
    noise = np.random.default_rng(seed).integers(0, 256, (sides[1] // 4, sides[0] // 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(sides).filter(ImageFilter.GaussianBlur(2))


def make(folder: Path) -> tuple[list[Path], list[Path]]:
    """Clips whose picture wanders, and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    width, height = CLIP["sides"]  # type: ignore[misc]
    for number in range(MADE):
        if not (folder / f"{number}.jpg").exists():
            large = texture((width + 200, height), number)
            boxes = [(n, 0, n + width, height) for n in range(CLIP["seconds"] * CLIP["fps"])]  # type: ignore[operator]
            write_frames([large.crop(box) for box in boxes], folder / f"{number}.mp4", CLIP["fps"])  # type: ignore[arg-type]
            texture(PICTURE_SIDES, number).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.glob("*.mp4")), sorted(folder.glob("*.jpg"))


def ours(kind: str, timeout_s: float | None) -> Side:
    """This project's path to patches. timeout_s None: clips are decoded in this process."""
    values = {name: getattr(SETTINGS, name) for name in SETTINGS.__dataclass_fields__}
    reader = MediaReader(MediaSettings(**values | {"timeout_s": timeout_s}))
    return lambda path: patchify(reader.read(Media(kind, path)), PATCHES)  # type: ignore[arg-type]


def plain_decord(path: Path) -> np.ndarray:
    """The same frames of the file's own size, and nothing else."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    wanted = int(len(reader) / reader.get_avg_fps() * SETTINGS.fps)
    return reader.get_batch(frame_indices(len(reader), max(2, min(wanted, SETTINGS.max_frames) // 2 * 2))).asnumpy()


def transformers_video() -> Side | None:
    """decord and Transformers' video processor; None where torchvision cannot be imported."""
    try:
        import torchvision  # noqa: F401
        from transformers import Qwen2VLVideoProcessor
    except (ImportError, RuntimeError):
        return None
    processor = Qwen2VLVideoProcessor(cap_pixels_per_frame=False)
    bounds = {"shortest_edge": SETTINGS.video_min_pixels, "longest_edge": SETTINGS.video_max_pixels}

    def read(path: Path) -> Any:
        frames = torch.from_numpy(plain_decord(path)).permute(0, 3, 1, 2)
        return processor(videos=[frames], do_sample_frames=False, size=bounds, return_tensors="pt")

    return read


def transformers_picture() -> Side:
    """pillow and Transformers' picture processor."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    bounds = {"shortest_edge": SETTINGS.image_min_pixels, "longest_edge": SETTINGS.image_max_pixels}
    processor = Qwen2VLImageProcessorPil(size=bounds)
    return lambda path: processor(images=[Image.open(path).convert("RGB")], return_tensors="pt")


def measure(sides: dict[str, Side], files: list[Path], repeats: int) -> dict[str, dict[str, float]]:
    """Files a second of each side, over `repeats` rounds after one to warm up."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        seconds = dict.fromkeys(sides, 0.0)
        for number, path in enumerate(files):
            for name in list(sides)[:: 1 if number % 2 else -1]:
                started = time.perf_counter()
                sides[name](path)
                seconds[name] += time.perf_counter() - started
        for name, total in seconds.items() if turn else ():
            rates[name].append(len(files) / total)
    return {name: spread(values) for name, values in rates.items()}


def report(title: str, found: dict[str, dict[str, float]]) -> None:
    """A table of one kind of media."""
    print(table((title, "a second (min to max)"), [(name, range_text(values, 1)) for name, values in found.items()]))


def main() -> None:
    """Measure clips and pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips (default: some are made)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: some are made)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench/media"), help="where they are made")
    given = parser.parse_args()
    torch.set_num_threads(1)
    made = make(given.output) if not (given.clips and given.pictures) else ([], [])
    clips = sorted(given.clips.iterdir()) if given.clips else made[0]
    pictures = sorted(given.pictures.iterdir()) if given.pictures else made[1]
    if not clips or not pictures:
        sys.exit("error: --clips or --pictures: the folder is empty")
    video: dict[str, Side] = {"ral": ours("video", 60.0), "ral, in this process": ours("video", None)}
    video |= {"decord alone, unresized frames": plain_decord}
    if (theirs := transformers_video()) is not None:
        video["decord and Transformers"] = theirs
    still = {"ral": ours("image", None), "Transformers": transformers_picture()}
    found = {
        "clips": measure(video, clips, given.repeats),
        "pictures": measure(still, pictures, given.repeats),
    }
    for title, rates in found.items():
        report(title, rates)
    print(json.dumps({"media": found, "machine": machine(torch=torch.__version__)}))


if __name__ == "__main__":
    main()
