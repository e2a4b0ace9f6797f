"""The command plan=true: prints a page for a configuration and, as the last line, one JSON object."""

from __future__ import annotations

import json

from ral.planning.device import device_of
from ral.planning.fitting import fitted
from ral.planning.page import page
from ral.planning.plan import Tree, changed, plan_of
from ral.planning.savings import savings


def plan(tree: Tree) -> None:
    """Print the plan of a run. tree: its configuration, checked and resolved.

    No weights are loaded, and no file is written.
    """
    device = device_of(tree)
    if (chosen := fitted(tree, device)) is not None:
        print(chosen)
        tree = changed(tree, chosen.sizes)
    made = plan_of(tree, device)
    print(page(made, savings(tree, made)))
    print(json.dumps(made.summary()), flush=True)
