"""Is this still the same pipeline?  The hash that names it, bit for bit the reference's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from .._definition.steps import StepDef


def fingerprint(name: str, steps: Mapping[str, StepDef]) -> str:
    """Return 16 hex characters over the pipe's name, its steps and static edges."""
    content = {
        "name": name,
        "steps": sorted([step.name, step.kind.value] for step in steps.values()),
        "edges": sorted([src, dst] for src, step in steps.items() for dst in step.to),
    }
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
