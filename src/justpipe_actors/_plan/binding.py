"""From parameters to the arguments of a call, worked out once per function."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..shape import InjectionMetadata, InjectionSource
from .nodes import NO_ITEM, Bind, CallValues, RunValues


_Reader = Callable[[RunValues, CallValues], object]

_READERS: dict[InjectionSource, _Reader] = {
    InjectionSource.STATE: lambda run, _call: run.state,
    InjectionSource.CONTEXT: lambda run, _call: run.context,
    InjectionSource.CANCEL: lambda run, _call: run.token,
    InjectionSource.ERROR: lambda _run, call: call.error,
    InjectionSource.STEP_NAME: lambda _run, call: call.step_name,
}


def bind_parameters(
    injection: InjectionMetadata, supplied: Collection[str] = ()
) -> Bind:
    """Return what collects a function's keyword arguments, specialised where it is common.

    Args:
        injection: where the parameters come from.
        supplied: parameters that somebody else supplies at every call: resources.
    """
    injection = {n: source for n, source in injection.items() if n not in supplied}
    by_source = {source: name for name, source in injection.items()}
    match sorted(source.value for source in injection.values()):
        case []:
            return lambda _run, _call: {}
        case ["state"]:
            only = by_source[InjectionSource.STATE]
            return lambda run, _call: {only: run.state}
        case ["context", "state"]:
            first = by_source[InjectionSource.STATE]
            second = by_source[InjectionSource.CONTEXT]
            return lambda run, _call: {first: run.state, second: run.context}
        case ["state", "unknown"]:
            first = by_source[InjectionSource.STATE]
            return _with_item(first, by_source[InjectionSource.UNKNOWN])
        case _:
            return _general(injection)


def _with_item(state: str, item: str) -> Bind:
    """Return what collects the arguments of most map workers."""

    def bind(run: RunValues, call: CallValues) -> dict[str, object]:
        if call.item is NO_ITEM:
            return {state: run.state}
        return {state: run.state, item: call.item}

    return bind


def _general(injection: InjectionMetadata) -> Bind:
    readers = [
        (name, _READERS[source])
        for name, source in injection.items()
        if source in _READERS
    ]
    item = next(
        (name for name, s in injection.items() if s is InjectionSource.UNKNOWN), None
    )

    def bind(run: RunValues, call: CallValues) -> dict[str, object]:
        arguments = {name: read(run, call) for name, read in readers}
        if item is not None and call.item is not NO_ITEM:
            arguments[item] = call.item
        return arguments

    return bind
