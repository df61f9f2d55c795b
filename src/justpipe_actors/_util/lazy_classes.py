"""Build the methods of attrs classes and dataclasses when they are first used.

This saves time at the import: attrs and dataclasses write ``__init__``, ``__eq__`` and
the other methods of a class as source text, and compile it, while the module of the
class is imported.  A program with a first run of two steps imports 114 such classes,
uses 40 of them, and compares or prints none.

How it works, for a class ``Row`` with two fields::

    after the import       after the first Row(...)    after the first comparison
      __slots__  id, note    __slots__  id, note         __slots__  id, note
      __init__   placeholder   __init__   function       __init__   function
      __eq__     placeholder   __eq__     placeholder    __eq__     function
      __repr__   placeholder   __repr__   placeholder    __repr__   function

1. The decorator gives the class its slots.  In the place of each method that attrs would
   write, it puts a placeholder that knows the method's name.
2. ``Row(1, "a")`` looks for ``__init__`` and finds the placeholder.  The placeholder lets
   attrs make a second class of the same fields, without the methods that compare and
   print.  It copies all methods of that class into ``Row``, and returns the one that was
   looked for.
3. The first comparison, hash or ``repr`` does the same for those methods.
4. From then on ``Row`` has exactly the methods that the original decorator would have
   given it.  No placeholder is left, so further calls cost what they cost with attrs.

Two cases need care.  A function that uses ``super()`` refers to the class that it was
defined in, so the reference is changed to the class in use (``_point_to_class``).  Two
threads may use a class at the same time, so one lock is held while methods are built.

Type checkers see the original decorators.

Rejected: own methods instead of those of attrs, which are complete and known; plain
    classes with a handwritten ``__init__``, which repeat each field three times; and
    building each method by itself, since half of the time is taken by reading the
    class's fields.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial
from inspect import get_annotations
from threading import RLock
from types import CellType
from typing import TYPE_CHECKING, Any

import attrs


Decorator = Callable[..., Any]
"""An original decorator; with its options it takes a class and returns one."""
Options = Mapping[str, bool]

_NAMES_OF_ATTRS = (
    "__init__",
    "__attrs_attrs__",
    "__match_args__",
    "__getstate__",
    "__setstate__",
)
_NAMES_OF_DATACLASSES = (
    "__init__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__match_args__",
)
_COMPARING = frozenset(
    (
        "__eq__",
        "__ne__",
        "__hash__",
        "__repr__",
        # These two say which methods the class has; ``pprint`` reads the second.
        "__attrs_props__",
        "__dataclass_params__",
    )
)
_WITHOUT_COMPARING: Options = {"eq": False, "repr": False}
_KEPT = frozenset(("__dict__", "__weakref__", "__slots__", "__doc__"))
_building = RLock()
"""One lock for all classes, because building a class may build its bases."""


class _Placeholder:
    """Stands for a method in the namespace of a class until it is built."""

    __slots__ = ("_methods", "_name")

    def __init__(self, methods: _Methods, name: str) -> None:
        self._methods, self._name = methods, name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        method = self._methods.get(self._name)
        bind = getattr(type(method), "__get__", None)
        return method if bind is None else bind(method, instance, owner)


class _Methods:
    """The methods of one class: those that every use needs, and the comparing ones."""

    __slots__ = ("_decorator", "_is_usable", "_namespace", "_options", "_owner")

    def __init__(
        self, namespace: dict[str, Any], decorator: Decorator, options: Options
    ) -> None:
        self._namespace, self._decorator, self._options = namespace, decorator, options
        self._is_usable = False

    def placeholders(self, names: Iterable[str]) -> dict[str, Any]:
        """Return placeholders for the methods that the class does not define itself."""
        own = self._namespace
        found: dict[str, Any] = {
            name: _Placeholder(self, name) for name in names if name not in own
        }
        if "__eq__" in found and "__hash__" not in (*found, *own):
            found["__hash__"] = None  # as for every mutable class
        return found

    def belong_to(self, owner: type) -> None:
        """Name the class, before its first use."""
        self._owner = owner

    def get(self, name: str) -> Any:
        """Build the methods unless that was done; return one of them.

        Raises:
            AttributeError: The original decorator makes no such method.
        """
        owner = self._owner
        with _building:
            if isinstance(vars(owner).get(name), _Placeholder):
                self._build(name)
        try:
            return vars(owner)[name]
        except KeyError:
            raise AttributeError(name, name=name, obj=owner) from None

    def _build(self, name: str) -> None:
        """Build the methods of the group that one of them is in."""
        if not self._is_usable:
            self._take_common(self._second_class(**_WITHOUT_COMPARING))
            self._is_usable = True
        if name in _COMPARING:
            self._take_comparing(self._second_class())

    def _second_class(self, **changed: bool) -> type:
        decorate: Callable[[type], type]
        decorate = self._decorator(**{**self._options, **changed})
        return decorate(_new_class(self._owner, self._namespace))

    def _take_common(self, built: type) -> None:
        """Copy the methods of a class, except those that compare and print."""
        owner, namespace = self._owner, vars(built)
        fields = get_annotations(owner)
        is_slotted = "__slots__" in namespace
        kept = _KEPT | _COMPARING if self._waits_for_comparing() else _KEPT
        for name, value in namespace.items():
            if name in kept or (is_slotted and name in fields):
                continue
            if self._namespace.get(name, built) is not value:
                _point_to_class(value, built, owner)
                setattr(owner, name, value)
        for name, value in [*vars(owner).items()]:
            is_left = isinstance(value, _Placeholder) and name not in _COMPARING
            is_field = name in fields and not is_slotted
            if is_left or (is_field and name not in namespace):
                delattr(owner, name)

    def _waits_for_comparing(self) -> bool:
        own = vars(self._owner)
        return any(isinstance(own.get(name), _Placeholder) for name in _COMPARING)

    def _take_comparing(self, built: type) -> None:
        """Copy the methods that compare and print."""
        for name, value in vars(built).items():
            if name in _COMPARING and self._namespace.get(name, built) is not value:
                setattr(self._owner, name, value)


def _new_class(original: type, namespace: Mapping[str, Any]) -> type:
    return type(original)(original.__name__, original.__bases__, dict(namespace))


def _own_namespace(plain: type) -> dict[str, Any]:
    namespace = dict(vars(plain))
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    return namespace


def _add_slots(
    plain: type, namespace: Mapping[str, Any], more: Mapping[str, Any]
) -> type:
    """Return the class again, with a slot for each of its own fields.

    Args:
        plain: the class.
        namespace: its own attributes.
        more: attributes to add.
    """
    taken = {slot for base in plain.__mro__ for slot in vars(base).get("__slots__", ())}
    annotations: Mapping[str, Any] = namespace.get(
        "__annotations__"
    ) or get_annotations(plain)
    fields = [
        name
        for name, kind in annotations.items()
        if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
    ]
    slots = [name for name in fields if name not in taken]
    if not any(base.__weakrefoffset__ for base in plain.__bases__):
        slots.append("__weakref__")
    body = {name: value for name, value in namespace.items() if name not in fields}
    slotted = _new_class(plain, {**body, **more, "__slots__": tuple(slots)})
    for value in body.values():
        _point_to_class(value, plain, slotted)
    return slotted


def _point_to_class(value: object, old: type, new: type) -> None:
    """Let ``super()`` and ``__class__`` in a function mean the class that is used."""
    function = getattr(value, "__func__", getattr(value, "fget", value))
    cells: tuple[CellType, ...] = getattr(function, "__closure__", None) or ()
    for cell in cells:
        try:
            if cell.cell_contents is old:
                cell.cell_contents = new
        except ValueError:  # the cell is still empty
            continue


def _deferred_names(namespace: Mapping[str, Any], options: Options) -> Iterator[str]:
    """Yield the methods that depend on the options; all others are always made."""
    if sys.version_info >= (3, 13):
        yield "__replace__"
    if options.get("repr", True):
        yield "__repr__"
    is_frozen = options.get("frozen", False)
    if is_frozen:
        yield from ("__setattr__", "__delattr__")
    if options.get("eq", True) and "__eq__" not in namespace:
        yield "__eq__"
        if is_frozen:
            yield "__hash__"


def _define(plain: type | None = None, /, **options: bool) -> Any:
    if plain is None:
        return partial(_define, **options)
    original: Any = attrs.define
    namespace = _own_namespace(plain)
    if any(isinstance(value, cached_property) for value in namespace.values()):
        return original(**options)(plain)  # attrs gives cached values slots as well
    methods = _Methods(namespace, original, options)
    names = (*_deferred_names(namespace, options), *_NAMES_OF_ATTRS)
    slotted = _add_slots(plain, namespace, methods.placeholders(names))
    methods.belong_to(slotted)
    return slotted


def _dataclass(plain: type | None = None, /, **options: bool) -> Any:
    if plain is None:
        return partial(_dataclass, **options)
    namespace = _own_namespace(plain)
    methods = _Methods(namespace, dataclasses.dataclass, options)
    names = (*_deferred_names(namespace, options), *_NAMES_OF_DATACLASSES)
    for name, placeholder in methods.placeholders(names).items():
        setattr(plain, name, placeholder)
    methods.belong_to(plain)
    return plain


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass

    from attrs import define as define, frozen as frozen
else:
    define, frozen, dataclass = _define, partial(_define, frozen=True), _dataclass
