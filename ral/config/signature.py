"""Checks plain values against annotations, and `_target_` nodes against the signatures of their callables.

A node is a mapping as it comes from yaml. `{_target_: package.module.callable, keyword: value}` is a call that will be
made later; here its name is looked up and its keywords are bound, so that a misspelt keyword fails before any weight is
loaded. Everything works on plain dicts, lists and scalars; a problem raises UserError with the node's dotted key.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ral.config.moved_targets import where_now
from ral.config.number_table import plain, range_of
from ral.errors import UserError

AT_RUN_TIME = "<known at run time>"
"""Stands for a value that exists only inside a run (such as its folder): it fits every annotation."""
SPECIAL_KEYS = frozenset({"_target_", "_partial_", "_args_", "_recursive_", "_convert_"})
"""Keys of a node that direct Hydra's `instantiate` and are not keywords of the callable."""
SEQUENCES = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection)
MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
"""Annotations that ask for a list, and for a mapping, in yaml."""
SIMILAR = 0.65
"""Names less alike than this (difflib's ratio, 0 to 1) are not offered as corrections."""

SHORTEST = 3
"""Letters that a shortened word has at least."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return '; did you mean x?' for names in `known` that `name` shortens (ref_model: reference_model), else for those
    like it; else '; known: ...', '' for none or over 12.
    """
    names = sorted(set(known))
    longer = [other for other in names if _shortens(name, other)][:3]
    close = longer or difflib.get_close_matches(name, names, n=3, cutoff=SIMILAR)
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; known: {', '.join(names)}" if 0 < len(names) <= 12 else ""


def _shortens(name: str, other: str) -> bool:
    """Tell whether each word of `name` is the same word of `other`, or its first SHORTEST letters or more."""
    words, wholes = name.split("_"), other.split("_")
    pairs = list(zip(words, wholes, strict=False))
    whole = len(words) == len(wholes) and all(full.startswith(word) for word, full in pairs)
    return whole and all(len(word) >= SHORTEST or word == full for word, full in pairs)


def is_target(value: object) -> bool:
    """Tell whether a value from yaml is a node with `_target_`: a call that will be made later."""
    return isinstance(value, Mapping) and "_target_" in value


def describe(annotation: Any) -> str:
    """Return an annotation as a user would write it: 'int', 'str or null', "'a' or 'b'"."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(a) for a in args)
    if origin is typing.Literal:
        return " or ".join(repr(a) for a in args)
    if (origin or annotation) in SEQUENCES:
        return f"list of {describe(args[0])}" if args and args[0] is not Any else "list"
    if (origin or annotation) in MAPPINGS:
        return "mapping"
    return getattr(annotation, "__name__", str(annotation))


def fits(value: Any, annotation: Any) -> bool:
    """Tell whether a literal from yaml may stand where `annotation` is asked for.

    An int may stand for a float, a bool for neither. Lists and mappings are checked item by item. A `_target_` node
    fits everywhere, and so does any value where the annotation is none of None, bool, int, float, str, Literal, unions,
    lists, mappings and callables; for a callable only a node fits.
    """
    annotation = getattr(annotation, "__supertype__", annotation)  # NewType
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if is_target(value) or value == AT_RUN_TIME:
        return True
    if origin is typing.Annotated:
        return fits(value, args[0])
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, a) for a in args)
    if origin is typing.Literal:
        return any(type(value) is type(a) and value == a for a in args)
    if (origin or annotation) in SEQUENCES:
        return _fits_sequence(value, origin or annotation, args)
    if (origin or annotation) in MAPPINGS:
        return isinstance(value, Mapping) and (len(args) < 2 or all(fits(v, args[1]) for v in value.values()))
    if (origin or annotation) is abc.Callable:
        return False
    return _fits_scalar(value, annotation)


def _fits_scalar(value: Any, annotation: Any) -> bool:
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if annotation in (bool, int, str):
        return type(value) is annotation
    return True


def _fits_sequence(value: Any, kind: Any, args: tuple[Any, ...]) -> bool:
    if not isinstance(value, list | tuple):
        return False
    if kind is tuple and args and args[-1] is not Ellipsis:
        return len(value) == len(args) and all(map(fits, value, args))
    return not args or all(fits(v, args[0]) for v in value)


def expect(value: Any, annotation: Any, key: str) -> None:
    """Raise UserError unless the value of the dotted key fits its annotation."""
    if not fits(value, annotation):
        whole = isinstance(value, float) and value.is_integer() and fits(int(value), annotation)
        write = f"; write {key}={int(value)}" if whole else ""
        if annotation is bool:
            write = f"; write {key}=true or {key}=false"
        if value is None and (found := range_of(key)) is not None:
            write = f"; write {found}, such as {key}={plain(found.such_as)}"
        typed = "null" if value is None else repr(value)
        raise UserError(f"{key}={typed} has the wrong type: {describe(annotation)} expected{write}")


def locate(path: str, key: str) -> Any:
    """Return the object at a dotted import path. UserError, with the most similar name, if no object is there.

    key: the setting that has the path; messages name it.
    """
    parts = path.split(".")
    found, depth = _import_longest(parts, path, key)
    for name in parts[depth:]:
        if not hasattr(found, name):
            where = getattr(found, "__name__", repr(found))
            likely, elsewhere = did_you_mean(name, _names_in(found)), where_now(path)
            several = " or " in elsewhere and likely.startswith("; did you mean")
            hint = likely if several else elsewhere or likely
            raise UserError(f"{key}: {where} has no {name!r}{hint}")
        found = getattr(found, name)
    return found


def _import_longest(parts: list[str], path: str, key: str) -> tuple[Any, int]:
    """Return the longest prefix of a path that is a module, and how many parts it has."""
    module: Any = None
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise UserError(f"{key}: importing {name} failed: {error}") from error
            if module is None:
                raise UserError(
                    f"{key}: no package {parts[0]!r} is installed, so {path} cannot be found; where it is yours, put"
                    " the folder that holds it on PYTHONPATH"
                ) from error
            return module, depth - 1
        except ImportError as error:
            raise UserError(f"{key}: importing {name} failed: {error}") from error
    return module, len(parts)


def _names_in(found: Any) -> list[str]:
    """Return public attributes of a module or class, submodules included."""
    names = [n for n in dir(found) if not n.startswith("_")]
    if hasattr(found, "__path__"):
        import pkgutil

        names += [m.name for m in pkgutil.iter_modules(found.__path__)]
    return names


def _annotations(target: Any) -> dict[str, Any]:
    """Return resolved annotations of a callable; {} where they name things that exist only for type checkers."""
    source = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(source)
    except (NameError, TypeError, AttributeError):
        return {}


def bind(node: Mapping[str, Any], key: str) -> None:
    """Check one `_target_` node, at dotted key `key`, against the signature of the callable that it names.

    The callable is imported, not called. UserError for a name that cannot be imported or is not callable, for unknown
    keywords, missing ones (unless `_partial_: true`) and literals of the wrong type.
    """
    path = node["_target_"]
    if not isinstance(path, str):
        raise UserError(f"{key}._target_={path!r} has the wrong type: the dotted name of a callable expected")
    target = locate(path, f"{key}._target_")
    if not callable(target):
        raise UserError(f"{key}._target_: {path} is not callable")
    parameters = _parameters(target)
    if parameters is None:
        return
    given = {k: v for k, v in node.items() if k not in SPECIAL_KEYS}
    _reject_unknown(given, parameters, path, key)
    if not node.get("_partial_", False):
        _reject_missing(given, parameters, len(node.get("_args_", ())), path, key)
    hints = _annotations(target)
    for name, value in given.items():
        expect(value, hints.get(name, Any), f"{key}.{name}")


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """Return parameters of a callable; None for the builtins that publish no signature."""
    try:
        return list(inspect.signature(target).parameters.values())
    except ValueError:
        return None


def _reject_unknown(given: Mapping[str, Any], parameters: list[inspect.Parameter], path: str, key: str) -> None:
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in given:
        if name not in known:
            raise UserError(f"{key}.{name}: {path} takes no {name!r}{did_you_mean(name, known)}")


def _reject_missing(
    given: Mapping[str, Any], parameters: list[inspect.Parameter], positional: int, path: str, key: str
) -> None:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    by_order = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    filled = {p.name for p in by_order[:positional]} | set(given)
    missing = [p.name for p in parameters if p.default is p.empty and p.kind not in variable and p.name not in filled]
    if missing:
        later = f", or {key}._partial_=true where the run hands them over"
        way = f"{key}.{missing[0]}=<value>{later if path.startswith('ral.') else ''}"
        raise UserError(f"{key}: {path} needs {', '.join(missing)}; set {way}")


def walk(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a node itself and of all below it, depth first; list items are key[0], key[1]."""
    yield key, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from walk(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from walk(item, f"{key}[{index}]")


def select(tree: Mapping[str, Any], key: str) -> Any:
    """Return the value of `tree` at a dotted key; None where the key is missing."""
    value: Any = tree
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def bind_all(tree: Mapping[str, Any]) -> None:
    """Check every `_target_` node of a tree against its callable (`bind`), nested nodes and those in lists too.

    UserError for a name that cannot be imported or called, and for keywords that are unknown, missing or of the wrong
    type.
    """
    for key, value in walk(tree):
        if is_target(value):
            bind(value, key)
