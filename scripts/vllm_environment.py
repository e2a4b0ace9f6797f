"""Makes an environment with vLLM's CPU build importable, and says where it is not; `make vllm` calls it.

torchvision from a package index may be built for CUDA. Beside a CPU build of torch its compiled operators do not load,
and its Python code then looks for two that nobody declared. This script declares them in every Python process of the
environment (a module in site-packages and a .pth file that imports it): vLLM looks at models in processes of its own.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "ral_torchvision_operators"
MODULE = '''"""Declares two operators of torchvision where its compiled library does not load; written by make vllm."""

import sys


class BeforeTorchvision:
    """Declares the operators when torchvision is looked for first, and steps aside."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(BeforeTorchvision)
            import torch

            BeforeTorchvision.library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                arguments = "Tensor dets, Tensor scores, float iou_threshold"
                BeforeTorchvision.library.define(f"{operator}({arguments}) -> Tensor")
        return None


sys.meta_path.insert(0, BeforeTorchvision)
'''


def imports(module: str) -> str:
    """Import a module in a process of its own; the last line of its error, "" where there is none."""
    done = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def main() -> None:
    """Mend torchvision where it lacks its operators, then check what a rollout by vLLM needs."""
    if "torchvision::nms" in imports("torchvision"):
        folder = Path(sysconfig.get_path("purelib"))
        (folder / f"{NAME}.py").write_text(MODULE)
        (folder / f"{NAME}.pth").write_text(f"import {NAME}\n")
        print("vllm: torchvision is not built for this torch: its operators are declared without code")
    for module in ("torchvision", "vllm", "ral"):
        if error := imports(module):
            sys.exit(f"error: {module} cannot be imported in {sys.prefix}: {error}")


if __name__ == "__main__":
    main()
