"""Where a switch leads for a value; pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from .._definition.names import resolve_name
from .._failure.texts import repr_of
from .._plan.answers import Answer, Fail, GoTo, Halt
from .._plan.nodes import SwitchNode
from ..errors import NoRouteError
from ..signals import Stop


def choose(node: SwitchNode, value: object) -> Answer:
    """Return where to go, or the error that there is no way."""
    target = _look_up(node, value)
    if target is None and node.default is not None:
        return GoTo(node.default)
    if target is None:
        return Fail(_no_route(node, value))
    if target is Stop or isinstance(target, Stop):
        return Halt()
    return GoTo(resolve_name(target))


def _look_up(node: SwitchNode, value: object) -> object:
    if not isinstance(node.routes, Mapping):
        return node.routes(value)
    return node.routes.get(value)


def _no_route(node: SwitchNode, value: object) -> NoRouteError:
    routes = list(node.routes) if isinstance(node.routes, Mapping) else []
    names = [repr_of(route) for route in routes]
    close = difflib.get_close_matches(repr_of(value), names, n=1, cutoff=0.6)
    hint = f" Did you mean {close[0]}?" if close else ""
    return NoRouteError(node.name, repr_of(value), names, hint)
