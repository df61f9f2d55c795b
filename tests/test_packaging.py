"""What whoever installs the package gets."""

from __future__ import annotations

import importlib
import pkgutil
import re
from importlib.metadata import metadata, requires, version
from importlib.resources import files

import justpipe_actors


SHELVES = (
    "abc",
    "observability",
    "placements",
    "storage",
    "visualization",
)

NEED_EXTRA = {
    "justpipe_actors.cli",
    "justpipe_actors.dashboard",
    "justpipe_actors.observability.otel",
}

EXTRAS = {"click", "opentelemetry-api", "rich", "starlette", "anycorn"}


def public_modules() -> list[str]:
    """Name the package and its public modules, shelves included, that need no extra."""
    found = list(pkgutil.iter_modules(justpipe_actors.__path__, "justpipe_actors."))
    for name in SHELVES:
        shelf = importlib.import_module(f"justpipe_actors.{name}")
        found += pkgutil.iter_modules(shelf.__path__, f"{shelf.__name__}.")
    public = {module.name for module in found if "._" not in module.name}
    return ["justpipe_actors", *sorted(public - NEED_EXTRA)]


def test_the_types_ship() -> None:
    """Type checkers of users see our annotations."""
    assert files("justpipe_actors").joinpath("py.typed").is_file()


def test_everything_exported_exists() -> None:
    """Every name in a public module's ``__all__`` can be imported from it."""
    modules = [importlib.import_module(name) for name in public_modules()]

    missing = [
        f"{module.__name__}.{name}"
        for module in modules
        for name in getattr(module, "__all__", ())
        if not hasattr(module, name)
    ]

    assert missing == []


def test_the_version_is_known() -> None:
    """The installed distribution says its version, and it is a release number."""
    assert re.match(r"\d+\.\d+", version("justpipe_actors"))


def test_the_licence_ships() -> None:
    """The metadata name the licence and carry its text."""
    assert metadata("justpipe_actors")["License-Expression"] == "MIT"
    assert metadata("justpipe_actors")["License-File"] == "LICENSE"


def test_extras_are_optional() -> None:
    """Installing the package alone brings none of the extras' dependencies."""
    always = {
        re.split(r"[^\w.-]", requirement)[0]
        for requirement in requires("justpipe_actors") or ()
        if "extra ==" not in requirement
    }

    assert always.isdisjoint(EXTRAS)
