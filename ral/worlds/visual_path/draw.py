"""Drawing of `visual_path` boards: arrows, pairs of numbers, shapes with a small one beside them, discs with an arm."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ral.worlds.draw import RGB, silhouette, write_frames
from ral.worlds.scene import CELL, SLOT_FRAMES
from ral.worlds.visual_path.board import Board, Kind, Place

ARROW, HOLDER, ARM, LOOK, NAMED, FONT = 22, 28, 16, 14, 12, 14  # pixels at a zoom of 1
HALF = CELL // 2
WHITE, INK = (255, 255, 255), (20, 20, 20)
Color = tuple[int, int, int]


def _put(canvas: Image.Image, shape: str, color: Color, size: int, center: tuple[int, int]) -> None:
    """Draw a shape of size x size pixels around a point."""
    canvas.paste(color, (center[0] - size // 2, center[1] - size // 2), silhouette(shape, size))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _arrow(cell: Image.Image, board: Board, place: Place, sign: str, zoom: int) -> None:
    _put(cell, sign, RGB[board.color], ARROW * zoom, (HALF * zoom, HALF * zoom))


def _numbers(cell: Image.Image, board: Board, place: Place, sign: str, zoom: int) -> None:
    """Draw the row in the upper left quarter of the cell, the column in the lower right one."""
    for number, quarter in zip(sign.split(), (1, 3), strict=True):
        center = (quarter * HALF * zoom / 2, quarter * HALF * zoom / 2)
        ImageDraw.Draw(cell).text(center, number, fill=INK, font=_font(FONT * zoom), anchor="mm")


def _shapes(cell: Image.Image, board: Board, place: Place, sign: str, zoom: int) -> None:
    """Draw the cell's own shape in the upper left quarter, the shape that it names in the lower right one."""
    for look, size, quarter in ((board.looks[place], LOOK, 1), (sign, NAMED, 3)):
        color, shape = look.split()
        _put(cell, shape, RGB[color], size * zoom, (quarter * HALF * zoom // 2, quarter * HALF * zoom // 2))


def _holder(cell: Image.Image, board: Board, place: Place, sign: str, zoom: int) -> None:
    """Draw a disc with an arm that points to the next cell."""
    _put(cell, "circle", RGB[board.color], HOLDER * zoom, (HALF * zoom, HALF * zoom))
    _put(cell, sign, WHITE, ARM * zoom, (HALF * zoom, HALF * zoom))


DRAWN: dict[Kind, Callable[[Image.Image, Board, Place, str, int], None]] = {
    "arrows": _arrow,
    "digits": _numbers,
    "looks": _shapes,
    "handed": _holder,
}


def render(board: Board, zoom: int) -> list[Image.Image]:
    """Return an RGB image for each slot, of grid * zoom * 28 pixels a side; a cell has zoom x zoom visual tokens."""
    side = CELL * zoom
    pictures = []
    for signs in board.slots:
        canvas = Image.new("RGB", (board.grid * side, board.grid * side), board.background)
        for place, sign in signs.items():
            cell = Image.new("RGB", (side, side), board.background)
            DRAWN[board.kind](cell, board, place, sign, zoom)
            canvas.paste(cell, (place[1] * side, place[0] * side))
        pictures.append(canvas)
    return pictures


def write(board: Board, zoom: int, path: Path) -> None:
    """Write a board to `path`: a PNG, or for the kind "handed" an MP4 of one frame a second with two frames a slot."""
    slots = render(board, zoom)
    if board.kind == "handed":
        write_frames([slot for slot in slots for _ in range(SLOT_FRAMES)], path)
    else:
        slots[0].save(path, compress_level=1)
