"""Whether an answer fits the form of its question, a JSON schema.  Pure.

A supervisor checks answers by itself, with the class that the step named.  A dashboard
over a journal alone has only the form; this checks what forms are made of: types, enums,
ranges, properties and items.  What a form has beyond that, the run checks when it reads
the answer, and asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


_TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool)
    ),
}


def problem_of(value: object, form: Mapping[str, Any]) -> str | None:
    """Return the first thing that does not fit, as a sentence; None when all does."""
    return next(_problems(value, form, form, "the answer"), None)


def _problems(
    value: Any, form: Mapping[str, Any], root: Mapping[str, Any], name: str
) -> Iterator[str]:
    form = _resolved(form, root)
    if "anyOf" in form or "oneOf" in form:
        choices = form.get("anyOf") or form["oneOf"]
        if not any(not list(_problems(value, one, root, name)) for one in choices):
            yield f"{name} fits none of its alternatives"
        return
    if "enum" in form and value not in form["enum"]:
        listed = ", ".join(repr(one) for one in form["enum"])
        yield f"{name} must be one of {listed}"
    if "const" in form and value != form["const"]:
        yield f"{name} must be {form['const']!r}"
    kinds = form.get("type")
    names = [kinds] if isinstance(kinds, str) else kinds or []
    if names and not any(_TYPES.get(kind, bool)(value) for kind in names):
        yield f"{name} must be of type {' or '.join(names)}"
        return
    yield from _bounds(value, form, name)
    yield from _parts(value, form, root, name)


def _resolved(form: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference into the definitions of the form."""
    target = form.get("$ref")
    if not isinstance(target, str) or not target.startswith("#/"):
        return form
    found: Any = root
    for part in target[2:].split("/"):
        found = found.get(part, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _bounds(value: Any, form: Mapping[str, Any], name: str) -> Iterator[str]:
    if _TYPES["number"](value):
        if "minimum" in form and value < form["minimum"]:
            yield f"{name} must be at least {form['minimum']}"
        if "maximum" in form and value > form["maximum"]:
            yield f"{name} must be at most {form['maximum']}"
    if isinstance(value, str | list):
        if len(value) < form.get("minLength", form.get("minItems", 0)):
            yield f"{name} is too short"
        if len(value) > form.get("maxLength", form.get("maxItems", len(value))):
            yield f"{name} is too long"


def _parts(
    value: Any, form: Mapping[str, Any], root: Mapping[str, Any], name: str
) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _members(value, form, root)
    elif isinstance(value, list) and isinstance(form.get("items"), dict):
        for index, part in enumerate(value):
            yield from _problems(part, form["items"], root, f"{name}[{index}]")


def _members(
    value: dict[str, Any], form: Mapping[str, Any], root: Mapping[str, Any]
) -> Iterator[str]:
    properties = form.get("properties", {})
    for key in form.get("required", ()):
        if key not in value:
            yield f"{key} is missing"
    for key, part in value.items():
        if key in properties:
            yield from _problems(part, properties[key], root, key)
        elif form.get("additionalProperties") is False:
            yield f"{key} is not asked for"
