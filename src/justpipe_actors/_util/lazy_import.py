"""Front doors that import what is behind them when it is first asked for.

Every program has a pipe; few draw it, store its runs or attach all observers.  And
pytest imports this package in every session on a machine that has it, for its plugin.
So the package and its shelves name what they offer, and a module is imported with the
first use of one of its names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from sys import modules


def lazy_exports(
    package: str, module_of: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that imports names when used.

    Args:
        package: its ``__name__``.
        where: the module of every name, relative to the package.
    """

    def load(name: str) -> object:
        if name in module_of:
            found = getattr(import_module(module_of[name], package), name)
            vars(modules[package])[name] = found  # nobody asks here a second time
            return found
        if not name.startswith("_"):
            module = f"{package}.{name}"
            try:
                return import_module(module)
            except ModuleNotFoundError as error:
                if error.name != module:
                    raise  # it is there, and something that it needs is not
        msg = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def names() -> list[str]:
        return sorted({*vars(modules[package]), *module_of})

    return load, names
