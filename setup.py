"""Puts the configuration and the shipped model into the package when it is built; all else is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("conf", "assets/tiny")
"""Folders of the repository that ral.files.repository looks for: in the package where there is no checkout."""


class WithShipped(build_py):
    """Copies the shipped folders below ral/shipped/; an editable install reads those of the checkout."""

    def run(self) -> None:
        """Build the package."""
        super().run()
        for name in () if self.editable_mode else SHIPPED:
            self.copy_tree(name, str(Path(self.build_lib) / "ral" / "shipped" / name))


setup(cmdclass={"build_py": WithShipped})
