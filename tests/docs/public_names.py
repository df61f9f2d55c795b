"""The public names of the package, and what a docstring lacks beside its signature."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

import justpipe_actors
from justpipe_actors import abc, visualization
from justpipe_actors.errors import MissingExtraError


OWN = "justpipe_actors"

OF_PYTHON = {"AttributeError", "NotImplementedError", "StopAsyncIteration"}
"""Errors of Python's own protocols."""

RESULT = re.compile(r"\b(returns?|yields?|tells?|whether)\b", re.IGNORECASE)
"""Words with which a docstring describes a result."""


def public_modules() -> Iterator[ModuleType]:
    """Import the package and each module without an underscore; commands are no API."""
    yield justpipe_actors
    for module in pkgutil.walk_packages(justpipe_actors.__path__, f"{OWN}."):
        if "._" not in module.name and not module.name.startswith(f"{OWN}.cli"):
            with suppress(MissingExtraError):  # the tests run without extras, too
                yield importlib.import_module(module.name)


@cache
def public_names() -> dict[str, Any]:
    """Return what each ``__all__`` exports, by the full name."""
    return {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in public_modules()
        for name in getattr(module, "__all__", ())
        if not name.startswith("_")
    }


def public_callables() -> dict[str, Callable[..., Any]]:
    """Return each function and method once, by the first public name that it has.

    Functions come before methods: the default of a field may be a function, and is an
    attribute of its class until the class is completed, at its first use.
    """
    found: dict[Callable[..., Any], str] = {}
    names = sorted(public_names().items(), key=lambda item: inspect.isclass(item[1]))
    for name, thing in names:
        for called, function in callables_of(name, thing):
            if function.__module__.startswith(OWN) and not is_generated(function):
                found.setdefault(function, called)
    return {name: function for function, name in found.items()}


def callables_of(name: str, thing: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield a function, or the public methods of a class."""
    if inspect.isfunction(thing):
        yield name, thing
    if inspect.isclass(thing):
        for attribute, member in vars(thing).items():
            function = getattr(member, "__func__", member)
            is_public = attribute == "__init__" or not attribute.startswith("_")
            if is_public and inspect.isfunction(function):
                yield f"{name}.{attribute}", function


def is_generated(function: Callable[..., Any]) -> bool:
    """Tell whether attrs or dataclasses wrote a method."""
    return function.__code__.co_filename.startswith("<")


def docstring_of(name: str, function: Callable[..., Any]) -> str:
    """Return a function's docstring; the class's for ``__init__``."""
    if name.endswith(".__init__"):
        return inspect.getdoc(public_names()[name.removesuffix(".__init__")]) or ""
    return inspect.getdoc(function) or ""


@cache
def contracts() -> dict[str, list[frozenset[str]]]:
    """Return the parameters of the methods that interfaces explain, by their names.

    An implementation documents only what differs.
    """
    found: dict[str, list[frozenset[str]]] = {}
    for package in (abc, visualization):
        for exported in package.__all__:
            interface = getattr(package, exported)
            for name, function in callables_of(exported, interface):
                if not lacks(function, inspect.getdoc(function) or ""):
                    method = name.rsplit(".", 1)[-1]
                    found.setdefault(method, []).append(parameters_of(function))
    return found


def keeps_a_contract(name: str, function: Callable[..., Any]) -> bool:
    """Tell whether an interface explains a method of this name and these parameters."""
    method = name.rsplit(".", 1)[-1]
    owner = public_names().get(name.rsplit(".", 1)[0])
    bases = owner.__mro__[1:] if inspect.isclass(owner) else ()
    overridden = next(
        (vars(base)[method] for base in bases if method in vars(base)), None
    )
    if inspect.isfunction(overridden) and not lacks(
        overridden, overridden.__doc__ or ""
    ):
        return True
    return any(parameters_of(function) <= one for one in contracts().get(method, ()))


def parameters_of(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters that a caller gives."""
    names = inspect.signature(function).parameters
    return frozenset(
        one for one in names if one not in {"self", "cls"} and not one.startswith("_")
    )


def lacks(function: Callable[..., Any], text: str) -> list[str]:
    """List what a signature has and its docstring does not mention."""
    if not text:
        return ["has no docstring"]
    known = parameters_of(function)
    unnamed = (one for one in sorted(known) if not has_word(text, one))
    raised = sorted(raised_by(function) - OF_PYTHON)
    found = [f"does not name the parameter {one}" for one in unnamed]
    if has_result(function) and not RESULT.search(text):
        found.append("does not describe its result")
    found += [f"does not list {one}" for one in raised if not has_word(text, one)]
    return found + list(wrong_arguments(text, known))


def wrong_arguments(text: str, known: frozenset[str]) -> Iterator[str]:
    """List the lines of the section ``Args:`` that describe no parameter."""
    for line in arguments_of(text):
        described = re.match(r"\*{0,2}(\w+): ", f"{line} ")
        if described is None:
            yield f"has a line that belongs to no argument: {line}"
        elif described[1] not in known:
            yield f"describes {described[1]}, which is no parameter"


def has_word(text: str, word: str) -> bool:
    """Tell whether a text has a word, also as the beginning of a dotted name."""
    return re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", text) is not None


def has_result(function: Callable[..., Any]) -> bool:
    """Tell whether a call has a value."""
    nothing = {"None", None, "Never", "NoReturn", inspect.Signature.empty}
    return inspect.signature(function).return_annotation not in nothing


def raised_by(function: Callable[..., Any]) -> set[str]:
    """Return the names of the errors that a function's own code raises."""
    try:
        source = inspect.getsource(function)
    except OSError:  # written by attrs or typing
        return set()
    tree = ast.parse(textwrap.dedent(source))
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    called = (one.func if isinstance(one, ast.Call) else one for one in raised)
    return {
        one.id for one in called if isinstance(one, ast.Name) and one.id[0].isupper()
    }


def arguments_of(text: str) -> list[str]:
    """Return the lines of the section ``Args:`` that begin an entry."""
    section = re.search(r"^Args:\n((?:    .*\n|\n)+)", f"{text}\n", re.MULTILINE)
    lines = section[1].splitlines() if section else []
    return [line[4:] for line in lines if line[:4] == "    " and line[4:5] != " "]
