"""`visual_path`: images and videos in which each step of the reasoning reads a place that the step before names."""

from ral.worlds.visual_path.entries import make as make
from ral.worlds.visual_path.entries import source as source
from ral.worlds.visual_path.named import named_cells as named_cells
