"""Merge rules of a state's parts, from the annotations of its class.

A rule is looked up when both changes of a part differ (``state_merge.py``).  Annotations
that cannot be resolved are refused, because a merge function would otherwise be ignored
without notice.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from typing import Annotated, Any, get_args, get_origin

import attrs

from .._util.lazy_classes import frozen
from .._util.user_objects import (
    annotations_of,
    call_or,
    module_names,
    resolve_hint,
)
from ..errors import DefinitionError, did_you_mean
from ..merge import Merge, MergeFunction, Shared
from .state_parts import Key, shape_of


@frozen(eq=False)
class Rule:
    """How one part is merged, and the rules of its own parts."""

    merge: Merge | None = None
    """Merges two changes; None for the default rules."""
    is_shared: bool = False
    """Whether it is passed by reference."""
    hint: object = None
    """Declared type of the part; its annotations give the rules of its own parts."""
    named: Mapping[Key, Rule] = attrs.field(factory=dict)
    """Rules of its parts that do not come from annotations."""

    def of(self, kind: type, key: Key) -> Rule:
        """Return the rule of a part of a value that this rule is for.

        Args:
            kind: the class of the dict or object that has the part.
            key: the part.
        """
        if self.named and key in self.named:
            return self.named[key]
        if not issubclass(kind, dict):
            return rules_of(kind).get(key, DEFAULT)
        if isinstance(self.hint, type) and typing.is_typeddict(self.hint):
            return rules_of(self.hint).get(key, DEFAULT)
        return self._of_values

    @property
    def _of_values(self) -> Rule:
        """The rule of all values of a dict, from ``dict[str, Annotated[int, ...]]``."""
        return DEFAULT if self.hint is None else _rule_of_values(self.hint)


DEFAULT = Rule()


def root_rule(
    hint: object, merge: Mapping[Hashable, Merge | MergeFunction] | None = None
) -> Rule:
    """Return the rule of a whole state.

    Args:
        hint: the state's declared type.
        merge: merge functions by part, besides what is annotated.

    Raises:
        DefinitionError: a function cannot be one, its part is unknown, or an annotation
            cannot be resolved.
    """
    declared: Mapping[Key, Rule] = {}
    if isinstance(hint, type):
        declared = rules_of(hint)
        _check_names(hint, merge or {})
    named = {
        key: Rule(one if isinstance(one, Merge) else Merge(one))
        for key, one in (merge or {}).items()
    }
    return Rule(hint=hint, named={**declared, **named} if named else {})


def _check_names(hint: type, merge: Mapping[Hashable, object]) -> None:
    shape = shape_of(hint)
    if not (shape.is_record or typing.is_typeddict(hint)):
        return
    known = {*_hints_of(hint), *shape.slots}
    for name in merge:
        if name not in known:
            tail = did_you_mean(str(name), map(str, known), "fields")
            msg = f"merge= names '{name}', which is no field of {hint.__name__}.{tail}"
            raise DefinitionError(msg)


def _find_rules(kind: type) -> Mapping[Key, Rule]:
    """Return the rules of a class's attributes, or of the keys of a TypedDict.

    Raises:
        DefinitionError: an annotation with ``Merge`` or ``Shared`` cannot be resolved.
    """
    found = {name: _rule_of(hint) for name, hint in _hints_of(kind).items()}
    return {name: rule for name, rule in found.items() if rule is not DEFAULT}


rules_of: Callable[[Any], Mapping[Key, Rule]] = functools.lru_cache(1024)(_find_rules)


@functools.lru_cache(maxsize=1024)
def _rule_of_values(hint: Hashable) -> Rule:
    arguments = get_args(hint)
    is_mapping = isinstance(get_origin(hint), type) and issubclass(
        get_origin(hint) or object, Mapping
    )
    return _rule_of(arguments[-1]) if is_mapping and arguments else DEFAULT


def _rule_of(hint: object) -> Rule:
    marks: list[object] = []
    while get_origin(hint) in _WRAPPERS:
        if get_origin(hint) is Annotated:
            marks.extend(getattr(hint, "__metadata__", ()))
        hint = get_args(hint)[0]
    merges = [mark for mark in marks if isinstance(mark, Merge)]
    if any(mark is Shared or isinstance(mark, Shared) for mark in marks):
        return Rule(is_shared=True)
    inner = _without_none(hint)
    is_informative = typing.is_typeddict(inner) or bool(get_args(inner))
    if not merges and not is_informative:
        return DEFAULT
    return Rule(merges[0] if merges else None, hint=inner if is_informative else None)


_WRAPPERS = (Annotated, typing.Required, typing.NotRequired, typing.Final)


def _without_none(hint: object) -> object:
    if isinstance(hint, types.UnionType) or get_origin(hint) is typing.Union:
        members = [one for one in get_args(hint) if one is not type(None)]
        return members[0] if len(members) == 1 else hint
    return hint


def _hints_of(kind: type) -> dict[str, Any]:
    fields = getattr(kind, "model_fields", None)
    if fields and shape_of(kind).is_model:  # pydantic has resolved them
        return {
            name: Annotated[field.annotation, *field.metadata]
            if field.metadata
            else field.annotation
            for name, field in fields.items()
        }
    hints = call_or(None, typing.get_type_hints, kind, include_extras=True)
    return _hints_one_by_one(kind) if hints is None else hints


def _hints_one_by_one(kind: type) -> dict[str, Any]:
    """Resolve annotations one by one, so that a failure does not affect the others."""
    found: dict[str, Any] = {}
    for base, name, hint in annotations_of(kind):
        names = module_names(base), dict(vars(base))
        try:
            found[name] = resolve_hint(hint, *names, include_extras=True)
        except Exception as error:  # noqa: BLE001 - an annotation may be any expression
            _check_unresolved(base, name, hint, error)
    return found


def _check_unresolved(kind: type, name: str, hint: object, error: Exception) -> None:
    text = str(hint)
    if re.search(r"\b(Merge|Shared)\b", text):
        msg = (
            f"{kind.__name__}.{name}: the annotation {text} cannot be resolved "
            f"({error}). Define what it names at the top of the module."
        )
        raise DefinitionError(msg) from error
