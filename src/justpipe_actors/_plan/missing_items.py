"""Workers of maps that get no item, though their author has most likely meant one.

A parameter with the state's type receives the state, whatever its name.  With ``dict`` as
the state's type, ``def work(row: dict)`` therefore receives the state for each item.  A
worker may well do without its item, so this is a warning, and only where nothing else
explains the parameter: its name is not that of the state, and its type is one of Python's
own, or another parameter receives the state already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .._definition.injection import RESERVED_NAMES, type_text
from .._definition.steps import StepDef
from ..specs import InjectionSource


def missing_items(steps: Mapping[str, StepDef]) -> Iterator[str]:
    """Yield a warning for each worker that does not receive its item."""
    for step in steps.values():
        worker = steps.get(step.each or "")
        parameter = None if worker is None else _suspect(worker)
        if worker is None or parameter is None:
            continue
        kind = type_text(worker.parameter_types[parameter])
        yield (
            f"Worker '{worker.name}' of map '{step.name}' gets no item: its parameter "
            f"'{parameter}' has the state's type {kind} and receives the state. Leave out "
            "the annotation of the item, or name the parameter state."
        )


def _suspect(worker: StepDef) -> str | None:
    """Return the parameter of a worker that was most likely meant for the item."""
    sources = worker.injection
    if InjectionSource.UNKNOWN in sources.values():
        return None
    state = [name for name, one in sources.items() if one is InjectionSource.STATE]
    others = [name for name in state if name not in RESERVED_NAMES]
    for name in others:
        kind = worker.parameter_types.get(name)
        is_pythons = isinstance(kind, type) and kind.__module__ == "builtins"
        if len(state) > 1 or is_pythons:
            return name
    return None
