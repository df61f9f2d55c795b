"""Context variables and the OpenTelemetry context, as data that can be sent.

A ``ContextVar`` has no unique name to send.  So only variables that are a global of a
module are sent, under the names of the module and the global.  The receiver imports
the module and sets the variable.

Variables of the event loops and of this library mean nothing in another process and are
left out, as are values that cannot be pickled.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from collections.abc import Iterable, Mapping
from contextvars import ContextVar, copy_context
from typing import Any

from .user_objects import call_or


Address = tuple[str, str]
"""A module, and the name of a global in it."""

PortableVariables = tuple[tuple[str, str, bytes], ...]
"""Module, global, and the pickled value of each variable."""

_LOCAL_PACKAGES = frozenset(("anyio", "asyncio", "opentelemetry", "sniffio", "trio"))

_OWN_PREFIX = "justpipe_actors_"
"""Prefix of the names of this library's own variables."""

_addresses: dict[ContextVar[Any], Address | None] = {}


def capture_variables() -> PortableVariables:
    """Return the context variables of the caller that can go to another process."""
    values = copy_context()
    unknown = [variable for variable in values if variable not in _addresses]
    if unknown:
        _find_addresses(unknown)
    found: list[tuple[str, str, bytes]] = []
    for variable, value in values.items():
        address = _addresses[variable]
        if address is None:
            continue
        pickled = call_or(None, pickle.dumps, value)
        if pickled is not None:
            found.append((*address, pickled))
    return tuple(found)


def restore_variables(variables: Iterable[tuple[str, str, bytes]]) -> None:
    """Set context variables that were captured elsewhere; unknown ones are left out."""
    for module, name, value in variables:
        call_or(None, _restore_variable, module, name, value)


def _restore_variable(module: str, name: str, value: bytes) -> None:
    variable = getattr(importlib.import_module(module), name)
    variable.set(pickle.loads(value))


def _find_addresses(variables: Iterable[ContextVar[Any]]) -> None:
    """Look through all modules for the globals that are these variables; once each."""
    wanted = {v for v in variables if not v.name.startswith(_OWN_PREFIX)}
    _addresses.update(dict.fromkeys(variables))
    if not wanted:
        return
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _LOCAL_PACKAGES:
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if type(value) is ContextVar and value in wanted:
                _addresses[value] = (name, attribute)


# -- OpenTelemetry


def capture_trace() -> dict[str, str]:
    """Return the current OpenTelemetry context; nothing when the program uses none."""
    if "opentelemetry.propagate" not in sys.modules and not _has_tracing():
        return {}
    carrier: dict[str, str] = {}
    importlib.import_module("opentelemetry.propagate").inject(carrier)
    return carrier


def _has_tracing() -> bool:
    """Tell whether the program has imported the API; its propagators come with it."""
    return "opentelemetry.trace" in sys.modules


def restore_trace(carrier: Mapping[str, str]) -> None:
    """Make an OpenTelemetry context that was captured elsewhere the current one."""
    if not carrier:
        return
    try:
        propagate = importlib.import_module("opentelemetry.propagate")
    except ImportError:
        return
    context = importlib.import_module("opentelemetry.context")
    context.attach(propagate.extract(carrier))
