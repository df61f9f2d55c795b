"""A cattrs converter that believes JSON: ``"5"`` is no integer, ``"abc"`` no list.

Left alone, cattrs calls the wanted type: ``bool("false")`` is True and ``list("abc")``
has three items.  Over data from the outside that hides the mistake it should name.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any, get_origin
from uuid import UUID

import attrs
from cattrs.cols import is_any_set, is_sequence
from cattrs.preconf.json import JsonConverter, make_converter


Hook = Callable[[Any, Any], Any]

KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    list: "a list",
    dict: "an object",
    types.NoneType: "null",
}
"""What JSON calls them."""


def kind_of(value: object) -> str:
    """Return what JSON calls a value."""
    return KINDS.get(type(value), type(value).__name__)


def strict_converter() -> JsonConverter:
    """Return a converter that refuses what JSON did not say, unknown keys included."""
    made = make_converter(forbid_extra_keys=True)
    for plain in (str, bool, int):
        made.register_structure_hook(plain, _exactly(plain))
    made.register_structure_hook(float, _number)
    for spelt in (Decimal, UUID):
        made.register_structure_hook(spelt, _from_text(spelt))
    made.register_structure_hook_func(lambda wanted: wanted is object, _as_it_is)
    _believe_containers(made)
    return made


def _believe_containers(made: JsonConverter) -> None:
    """Let nothing but a list fill a list, and nothing but an object a class."""
    asking: set[Any] = set()

    def guarded(wanted: Any) -> Hook:
        # What cattrs itself would do is what it answers while we are not asked.
        asking.add(wanted)
        try:
            structure = made.get_structure_hook(wanted, cache_result=False)
        finally:
            asking.discard(wanted)
        container = _container(wanted)
        assert container is not None

        def only_containers(value: Any, kind: Any) -> Any:
            return structure(_checked(value, container), kind)

        return only_containers

    made.register_structure_hook_factory(
        lambda wanted: wanted not in asking and _container(wanted) is not None, guarded
    )


def _container(wanted: Any) -> type | None:
    """Return what JSON has to say for a type, if it is a container."""
    plain = get_origin(wanted) or wanted
    if attrs.has(plain) or is_dataclass(plain):
        return dict
    is_many = plain is tuple or is_sequence(wanted) or is_any_set(wanted)
    return list if is_many else None


def _exactly(kind: type) -> Hook:
    return lambda value, _: _checked(value, kind)


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        msg = f"expected {KINDS[kind]} and not {kind_of(value)}"
        raise TypeError(msg)
    return value


def _number(value: Any, _: Any) -> float:
    return float(value if type(value) is int else _checked(value, float))


def _from_text(kind: Callable[[str], Any]) -> Hook:
    return lambda value, _: kind(value if isinstance(value, str) else str(value))


def _as_it_is(value: Any, _: Any) -> Any:
    return value
