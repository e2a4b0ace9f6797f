"""Memory stays bounded over many samples."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ral.data.media import MediaReader
from ral.data.order import Epochs, Training
from ral.data.samples import Samples
from ral.data.sizes import MediaSettings
from ral.types import Example, Media
from ral.worlds.draw import write_frames

SAMPLES, WARM_UP = 10_000, 1_000
MOST_GROWTH = 48  # MB


def resident(process: int | str = "self") -> float:
    """MB of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


def children(samples: Samples) -> list[int]:
    process = samples.reader._decoder._process
    return [process.pid] if process else []


@pytest.fixture
def files(tmp_path: Path) -> list[Media]:
    """Pictures and clips of many sizes, every one under 50 names, so that no read is of a file known to the reader."""
    rng, found = np.random.default_rng(0), []
    for n in range(30):
        width, height = (int(side) * 2 for side in rng.integers(14, 90, 2))
        noise = [Image.effect_noise((width, height), 50).convert("RGB") for _ in range(1 + n % 12)]
        noise[0].save(tmp_path / f"{n}.png")
        write_frames(noise, tmp_path / f"{n}.mp4")
        for name in range(50):
            for suffix, kind in (("png", "image"), ("mp4", "video")):
                path = tmp_path / f"{n}-{name}.{suffix}"
                os.link(tmp_path / f"{n}.{suffix}", path)
                found.append(Media(kind, path))  # type: ignore[arg-type]
    return found


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("timeout_s", [None, 30.0])
def test_memory_is_bounded(files: list[Media], timeout_s: float | None) -> None:
    """10,000 samples after a warm-up of 1,000: this process and the decoder's grow by less than MOST_GROWTH."""
    settings = MediaSettings(
        image_min_pixels=784, image_max_pixels=100 * 784, video_min_pixels=784, timeout_s=timeout_s
    )
    examples = [Example(str(n), "q", "a", "free-form", (item,)) for n, item in enumerate(files)]
    reader = MediaReader(settings, cache_bytes=2**23)
    samples = Samples(examples, reader, lambda example: None, Training(Epochs(len(examples), 0), 8))
    start, most = 0.0, 0.0
    for place in range(WARM_UP + SAMPLES):
        assert samples[place].sample is not None
        if place % 250 == 0:
            held = resident() + sum(map(resident, children(samples)))
            start, most = (max(start, held), 0.0) if place <= WARM_UP else (start, max(most, held))
    print(f"timeout_s={timeout_s}: {start:.0f} MB after the warm-up, at most {most:.0f} MB after it")
    assert most - start < MOST_GROWTH
