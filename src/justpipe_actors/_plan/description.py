"""Descriptions of a definition as plain data: fingerprint, topology, steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .._definition.registry import Registry
from .._definition.steps import StepDef
from .._util.forms import schema_of
from ..specs import HookSpec, StepInfo, resolve_name
from . import graph


def fingerprint(name: str, steps: Mapping[str, StepDef]) -> str:
    """Return 16 hex characters over the pipe's name, its steps and static edges."""
    content = {
        "name": name,
        "steps": sorted([step.name, step.kind.value] for step in steps.values()),
        "edges": sorted([src, dst] for src, step in steps.items() for dst in step.to),
    }
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


Steps = Mapping[str, StepDef]
"""Steps by name, in order of registration."""


def topology_of(steps: Steps) -> dict[str, list[str]]:
    """Return static successors by step, for the steps that have some."""
    return {name: list(step.to) for name, step in steps.items() if step.to}


def step_infos(steps: Steps) -> Iterator[StepInfo]:
    """Describe the steps in order of registration."""
    for step in steps.values():
        options = step.options
        yield StepInfo(
            name=step.name,
            timeout=options.timeout,
            retries=options.retries,
            barrier_timeout=options.barrier_timeout,
            has_error_handler=options.on_error is not None,
            targets=sorted(step.targets),
            kind=step.kind,
            sub_pipeline_hash=getattr(step.child, "pipeline_hash", None),
        )


def describe(
    name: str, registry: Registry, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a definition as JSON-style data."""
    steps = list(step_infos(registry.steps))
    topology = topology_of(registry.steps)
    schema = schema_of(registry.state_type)
    return {
        "name": name,
        "pipeline_hash": fingerprint(name, registry.steps),
        "nodes": {info.name: _node(info) for info in steps},
        "topology": topology,
        "roots": list(graph.topology_of(registry.steps).roots),
        "metadata": dict(metadata),
        "hooks": _hooks(registry),
        **({} if schema is None else {"state_schema": schema}),
    }


def _node(info: StepInfo) -> dict[str, Any]:
    node: dict[str, Any] = {"kind": info.kind.value, "targets": info.targets}
    if info.timeout is not None:
        node["timeout"] = info.timeout
    if info.retries:
        node["retries"] = info.retries
    if info.barrier_timeout is not None:
        node["barrier_timeout"] = info.barrier_timeout
    if info.has_error_handler:
        node["has_error_handler"] = True
    if info.sub_pipeline_hash:
        node["sub_pipeline_hash"] = info.sub_pipeline_hash
    return node


def _hooks(registry: Registry) -> dict[str, Any]:
    found: dict[str, list[str] | str] = {
        "startup": _names(registry.startup_hooks),
        "shutdown": _names(registry.shutdown_hooks),
        "on_error": _names((registry.error_hook,))[0] if registry.error_hook else "",
    }
    return {role: names for role, names in found.items() if names}


def _names(hooks: tuple[HookSpec, ...]) -> list[str]:
    return [resolve_name(hook.func) for hook in hooks]
