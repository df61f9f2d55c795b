"""The JSON schema of a state's type, for forms in which a person enters a state."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, get_origin


def schema_of(hint: Any) -> dict[str, Any] | None:
    """Return the JSON schema of a type; None for a type that JSON cannot represent.

    Models of pydantic and structs of msgspec have schemas of their own.
    """
    if hint is None or hint is type(None) or hint is Any:
        return None
    if hint in (dict, Mapping) or get_origin(hint) is Mapping:
        return {"type": "object"}
    if hint is list:
        return {"type": "array"}
    msgspec = sys.modules.get("msgspec")
    try:
        if msgspec is not None and _is_struct(hint, msgspec.Struct):
            schema: dict[str, Any] = msgspec.json.schema(hint)
            return schema
        from .forms import form_of  # noqa: PLC0415 - for descriptions only

        return form_of(hint).schema
    except Exception:  # noqa: BLE001 - a library may refuse a type in its own words
        return None


def _is_struct(hint: Any, base: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, base)
