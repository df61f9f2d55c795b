"""Giving a context that asked for it its ``Meta``."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator, Mapping

from ..errors import DefinitionError
from ..meta import Meta, MetaProxy, RunNotes


def bind_notes(context: object, metadata: Mapping[str, object]) -> RunNotes:
    """Make the notes of a new run, and put a proxy on the context that asks for one.

    The proxy stays the same object over all runs that share the context; whose notes it
    shows is decided at each use.

    Raises:
        DefinitionError: the context asks twice, or cannot be written to.
    """
    notes = RunNotes(metadata)
    if (name := _attribute(context)) is None:
        return notes
    _check_mutable(context, name)
    proxy = getattr(context, name, None)
    if isinstance(proxy, MetaProxy):
        proxy.latest = notes
    else:
        setattr(context, name, MetaProxy(notes))
    return notes


def _attribute(context: object) -> str | None:
    if context is None:
        return None
    kind: type = type(context)
    names = _asking(kind)
    if len(names) > 1:
        msg = (
            f"Only one Meta field is allowed on {type(context).__name__}, "
            f"found {', '.join(names)}."
        )
        raise DefinitionError(msg)
    return names[0] if names else None


@functools.lru_cache(maxsize=256)
def _asking(kind: type) -> tuple[str, ...]:
    """Return the attributes of a type that ask for ``Meta``; resolving hints is slow."""
    return tuple(_find_asking(kind))


def _find_asking(kind: type) -> Iterator[str]:
    try:
        hints = typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 - hints may be any expression
        hints = {}
    for name, hint in hints.items():
        if hint is Meta or (_is_union(hint) and Meta in typing.get_args(hint)):
            yield name


def _is_union(hint: object) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union


def _check_mutable(context: object, name: str) -> None:
    kind = type(context)
    if dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        msg = (
            f"{kind.__name__}.{name} asks for Meta, which needs a mutable context; "
            "remove frozen=True."
        )
        raise DefinitionError(msg)
