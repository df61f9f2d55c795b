"""The version of a pipe that a durable run was stored by.

A version is a hash of the whole description: steps, edges, workers, joins, the declared
types of the state and of items, and the same of the child pipes.  A run may fit several
versions: a different hash only means that ``fitting`` has to check it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any
from weakref import WeakKeyDictionary

from .._plan.plan import MapNode, Node, Plan, SubNode, SwitchNode
from .._util.forms import schema_of
from .._util.user_objects import call_or


_known: WeakKeyDictionary[Plan, str] = WeakKeyDictionary()


def version_of(plan: Plan) -> str:
    """Return a hash of a plan and its child pipes, in 32 hex characters."""
    found = _known.get(plan)
    if found is None:
        text = json.dumps(_describe(plan, ()), sort_keys=True)
        found = _known[plan] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return found


def child_plan(node: Node | None) -> Plan | None:
    """Return the plan of a sub step's pipe; None for other steps."""
    pipe: Any = node.child if isinstance(node, SubNode) else None
    return pipe.plan() if hasattr(pipe, "plan") else None


def _describe(plan: Plan, around: tuple[Plan, ...]) -> dict[str, Any]:
    return {
        "name": plan.name,
        "roots": plan.roots,
        "on_failure": plan.on_failure,
        "isolated": plan.is_isolated,
        "state": _describe_type(plan.state_type),
        "context": _describe_type(plan.context_type),
        "items": {name: _describe_type(one) for name, one in plan.item_types.items()},
        "results": {
            name: _describe_type(one) for name, one in plan.result_types.items()
        },
        "nodes": [
            _describe_node(node, (*around, plan)) for node in plan.nodes.values()
        ],
    }


def _describe_node(node: Node, around: tuple[Plan, ...]) -> dict[str, Any]:
    about: dict[str, Any] = {
        "name": node.name,
        "kind": node.kind.value,
        "to": node.to,
        "parents": node.parents,
        "routes": node.routes_to,
        "join": node.join.value,
        "barrier_timeout": node.barrier_timeout,
    }
    if isinstance(node, MapNode):
        about["each"], about["collect"] = node.each, node.collect
    if isinstance(node, SwitchNode):
        about["default"], about["targets"] = node.default, node.targets
    child = child_plan(node)
    if child is not None:
        is_loop = child in around
        about["child"] = child.name if is_loop else _describe(child, around)
    return about


def _describe_type(hint: object) -> Any:
    """Return the schema of a type, or its fields where JSON has no schema for it."""
    schema = call_or(None, schema_of, hint)
    name = f"{getattr(hint, '__module__', '')}.{getattr(hint, '__qualname__', '')}"
    if schema is not None:
        return [name, schema]
    fields = getattr(hint, "__annotations__", {})
    return [name, {key: _type_text(one) for key, one in fields.items()}]


def _type_text(hint: object) -> str:
    return hint if isinstance(hint, str) else getattr(hint, "__qualname__", str(hint))
