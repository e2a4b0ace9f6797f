"""Pictures and clips a second per worker: this project's media pipeline beside plain decord and Transformers.

    python scripts/bench_media.py
    python scripts/bench_media.py --clips /my/clips --pictures /my/pictures
    pip install --no-deps --target tv torchvision==0.28.0 && PYTHONPATH=tv python scripts/bench_media.py

From a file to the tensors of the vision tower (patches of 14 x 14 pixels, normalised). The sides take turns, file by
file. Transformers' video processor takes part where torchvision can be imported; it gets what decord decodes.
The last line is a JSON object.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.measure import machine, progress_bar, publish, range_text, spread, table
from bench.operators import name_missing_operators
from PIL import Image, ImageFilter

from ral.data.clips import MediaSettings, frame_indices
from ral.data.media import MediaReader
from ral.errors import UserError
from ral.models.family import PatchSettings, patchify
from ral.types import Media
from ral.worlds.draw import write_frames

SETTINGS = MediaSettings(timeout_s=60.0)
PATCHES = PatchSettings()
MADE = 6  # clips, and pictures, where no folder is given
CLIP = {"sides": (640, 360), "seconds": 8, "fps": 24}
PICTURE_SIDES = (1280, 960)

Side = Callable[[Path], Any]
Found = dict[str, dict[str, dict[str, float]]]
"""By side: figures, each with min, median and max."""


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
    """pillow and Transformers' picture processor."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    bounds = {"shortest_edge": SETTINGS.image_min_pixels, "longest_edge": SETTINGS.image_max_pixels}
    processor = Qwen2VLImageProcessorPil(size=bounds)
    return lambda path: processor(images=[Image.open(path).convert("RGB")], return_tensors="pt")


def clocks() -> np.ndarray:
    """Seconds of wall time, and of processor time of this process and its living children, where /proc tells."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    children = listed.read_text().split() if listed.exists() else []
    fields = [Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split() for number in children]
    ticks = sum(int(value) for field in fields for value in field[11:13])  # in user mode and in the kernel
    return np.array([time.perf_counter(), time.process_time() + ticks / os.sysconf("SC_CLK_TCK")])


def measure(sides: dict[str, Side], files: list[Path], repeats: int, progress: Callable[[], object]) -> Found:
    """Files a second of each side, over `repeats` rounds after one to warm up, and its ratio to the last, by rounds."""
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
    """A table for each kind of media."""
    parts = []
    for kind, sides in found.items():
        keys = ("a_second", "a_cpu_second", "cpu_ratio")
        rows = [
            (name, *(range_text(f[key], 2 if key == "cpu_ratio" else 1) for key in keys)) for name, f in sides.items()
        ]
        parts.append(table((kind, "a second", "a second of CPU time", f"times `{list(sides)[-1]}`, by CPU time"), rows))
    return "Median (min to max) per process.\n\n" + "\n".join(parts)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, help="folder of clips (default: some are made)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures (default: some are made)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="folder for everything written")
    others = ("--prompt-tokens", "--response-tokens", "--group-size")
    parser.add_argument(*others, dest="unused", help="of the other scripts that `make bench` runs; no use here")
    return parser.parse_args()


def files_of(given: argparse.Namespace) -> dict[str, list[Path]]:
    """Clips and pictures to read; UserError for a folder that has none."""
    given.output.mkdir(parents=True, exist_ok=True)
    made = make(given.output / "media") if not (given.clips and given.pictures) else ([], [])
    files = {}
    for kind, folder, own in (("clips", given.clips, made[0]), ("pictures", given.pictures, made[1])):
        files[kind] = sorted(p for p in folder.glob("*") if p.is_file()) if folder else own
        if not files[kind]:
            raise UserError(f"--{kind} {folder}: no files there; name a folder of {kind}")
    return files


def main() -> None:
    """Measure clips and pictures; one line and exit code 1 where something is wrong."""
    given = arguments()
    torch.set_num_threads(given.threads)
    video = {"ral": ours("video", 60.0), "ral, no process of its own": ours("video", None)}
    if (theirs := transformers_video()) is not None:
        video["decord and Transformers"] = theirs
    video["decord alone, frames not resized"] = plain_decord
    sides = {"clips": video, "pictures": {"ral": ours("image", None), "Transformers": transformers_picture()}}
    try:
        files = files_of(given)
        with progress_bar() as progress:
            task = progress.add_task("measuring", total=len(sides) * (given.repeats + 1))
            found = {k: measure(v, files[k], given.repeats, lambda: progress.advance(task)) for k, v in sides.items()}
    except UserError as error:
        sys.exit(f"error: {error}")
    settings = {"repeats": given.repeats, "files": {kind: len(paths) for kind, paths in files.items()}}
    facts = machine(torch=torch.__version__, threads=str(given.threads))
    publish(given.output / "media", {**found, "settings": settings, "machine": facts}, markdown(found))


if __name__ == "__main__":
    main()
