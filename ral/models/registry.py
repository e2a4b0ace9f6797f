"""Families by the model_type of config.json: those of `ral.models.families`, and those registered by users."""

from __future__ import annotations

from importlib import import_module

from ral.errors import UserError
from ral.files.pretrained import MODEL_TYPES
from ral.models.family import Family

FAMILIES: dict[str, Family] = {name: import_module(f"ral.models.families.{name}").FAMILY for name in MODEL_TYPES}
"""Known families by model_type."""


def register(family: Family) -> None:
    """Add a family from outside this package. UserError where its model_type is that of another family."""
    if FAMILIES.get(family.model_type, family) is not family:
        raise UserError(f"model_type {family.model_type!r} is that of another family already; write one of its own")
    FAMILIES[family.model_type] = family
    if family.model_type not in MODEL_TYPES:
        MODEL_TYPES.append(family.model_type)


def register_named(path: str | None, key: str = "model.family") -> None:
    """Import and add the family that a dotted path names, such as mine.FAMILY; do nothing where `path` is None.

    key: the setting that holds the path, as messages name it. UserError where the path names no family, or its
    model_type is that of another family.
    """
    if path is not None:
        register(family_named(path, key))


def family_named(path: str, key: str) -> Family:
    """Import and return the family that a dotted path names. UserError, naming `key`, where it names none."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        write = "write module.NAME of a module that Python can import"
        raise UserError(f"{key}={path}: cannot be imported ({error}); {write}") from error
    if not isinstance(found, Family):
        raise UserError(f"{key}={path}: is a {type(found).__name__}; name a ral.models.family.Family")
    return found


def model_type_of(name: str, key: str) -> str:
    """Return the model_type of a family. name: the model_type of a known family, or a dotted path such as mine.FAMILY.

    The family that a path names is imported and registered (`register`). UserError, naming the setting `key`, where
    there is no such family; also where the model_type of a path's family is that of another family.
    """
    if "." in name:
        register(found := family_named(name, key))
        return found.model_type
    if name not in FAMILIES:
        raise UserError(f"{key} {name}: write one of {', '.join(FAMILIES)}, or module.NAME of a family of your own")
    return name
