"""Whether JSON data fit a JSON schema, for the schemas that forms have.

Used where an answer is checked without the form's class: in another process and on the
command line.  Keywords that forms do not use are ignored; the run that receives the
answer validates it again with the class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any


def problem_of(plain: Any, schema: Mapping[str, Any]) -> str | None:
    """Return a sentence that says what does not fit; None if everything fits."""
    return next(_problems(plain, schema, schema, "answer"), None)


_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def _problems(
    plain: Any, schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    if "$ref" in schema:
        yield from _problems(plain, _resolve(schema["$ref"], root), root, path)
    if "enum" in schema and not _is_one_of(plain, schema["enum"]):
        choices = ", ".join(repr(one) for one in schema["enum"])
        yield f"{path} must be one of {choices}, not {plain!r}"
    if "const" in schema and not _is_one_of(plain, [schema["const"]]):
        yield f"{path} must be {schema['const']!r}, not {plain!r}"
    if "anyOf" in schema:
        yield from _any_of(plain, schema["anyOf"], root, path)
    if "type" in schema and not _has_type(plain, schema["type"]):
        yield f"{path} must be of type {schema['type']}, not {plain!r}"
        return
    yield from _limits(plain, schema, path)
    if isinstance(plain, dict):
        yield from _object(plain, schema, root, path)
    elif isinstance(plain, list):
        yield from _array(plain, schema, root, path)


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _is_one_of(plain: Any, values: list[Any]) -> bool:
    return any(type(one) is type(plain) and one == plain for one in values)


def _any_of(
    plain: Any, options: list[Mapping[str, Any]], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    problems = [next(_problems(plain, one, root, path), None) for one in options]
    if None not in problems:
        yield "; or ".join(str(one) for one in problems)


def _has_type(plain: Any, wanted: str | list[str]) -> bool:
    names = [wanted] if isinstance(wanted, str) else wanted
    classes = [cls for name in names for cls in _TYPES.get(name, (object,))]
    # True is an int for Python, and none for JSON.
    return type(plain) in classes or object in classes


def _limits(plain: Any, schema: Mapping[str, Any], path: str) -> Iterator[str]:
    if isinstance(plain, int | float) and not isinstance(plain, bool):
        if plain < schema.get("minimum", plain):
            yield f"{path} must be at least {schema['minimum']}, not {plain!r}"
        if plain > schema.get("maximum", plain):
            yield f"{path} must be at most {schema['maximum']}, not {plain!r}"
    if isinstance(plain, str):
        if len(plain) < schema.get("minLength", 0):
            yield f"{path} must have at least {schema['minLength']} characters"
        if len(plain) > schema.get("maxLength", len(plain)):
            yield f"{path} must have at most {schema['maxLength']} characters"
        if "pattern" in schema and re.search(schema["pattern"], plain) is None:
            yield f"{path} must match {schema['pattern']!r}, not {plain!r}"


def _object(
    plain: dict[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    missing = [name for name in schema.get("required", ()) if name not in plain]
    if missing:
        yield f"{path} lacks {', '.join(missing)}"
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, value in plain.items():
        if name in known:
            yield from _problems(value, known[name], root, f"{path}.{name}")
        elif others is False:
            yield f"{path} has no field {name}; it has {', '.join(known)}"
        elif isinstance(others, Mapping):
            yield from _problems(value, others, root, f"{path}.{name}")


def _array(
    plain: list[Any], schema: Mapping[str, Any], root: Mapping[str, Any], path: str
) -> Iterator[str]:
    if len(plain) < schema.get("minItems", 0):
        yield f"{path} must have at least {schema['minItems']} items"
    if len(plain) > schema.get("maxItems", len(plain)):
        yield f"{path} must have at most {schema['maxItems']} items"
    first = schema.get("prefixItems", [])
    for number, value in enumerate(plain):
        item = first[number] if number < len(first) else schema.get("items", {})
        if isinstance(item, Mapping):
            yield from _problems(value, item, root, f"{path}[{number}]")
