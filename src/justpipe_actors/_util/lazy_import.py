"""Packages and modules that import a name when it is first used.

Every program has a pipe; few draw it, store its runs or attach all observers.  And
pytest imports this package in every session on a machine that has it, for its plugin.
So a package names what it offers and imports a module with the first use of one of its
names::

    if TYPE_CHECKING or not install_lazy_exports(__name__):
        from .memory import MemoryJournal as MemoryJournal
        from .sqlite import SQLiteJournal as SQLiteJournal

The block is the only list of names.  Type checkers read it as imports; at run time its
text is read instead, and the imports are only executed where there is no source text,
as in a frozen program.  anyio does the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from sys import modules
from types import ModuleType


def install_lazy_exports(
    name: str, *, extra: str = "", libraries: tuple[str, ...] = ()
) -> bool:
    """Let a package import its names when they are used; tell whether that is possible.

    Args:
        name: its ``__name__``; its code has the block shown above.  A module can have
            the block too, for names that it offers and does not use itself.
        extra: the extra that its names need.
        libraries: what that extra installs; a name that misses one raises
            ``MissingExtraError``.
    """
    module = modules[name]
    source = _source_of(module)
    if source is None:
        return False
    module_of = {
        name: (where, attribute) for where, attribute, name in _names_in(source)
    }
    _install(module, module_of, extra, libraries)
    return True


def _source_of(module: ModuleType) -> str | None:
    # perf: ``loader.get_source`` imports tokenize, a tenth of what this package costs.
    spec = module.__spec__
    read = getattr(spec and spec.loader, "get_data", None)
    if spec is None or read is None or not (spec.origin or "").endswith(".py"):
        return None
    try:
        source: bytes = read(spec.origin)
    except OSError:
        return None
    return source.decode()


def _names_in(source: str) -> Iterator[tuple[str, str, str]]:
    """Yield module, attribute and exported name of every ``from ... import a as b``."""
    where = ""
    for line in source.splitlines():
        if line.startswith("    from ."):
            where, _, line = line.strip().removeprefix("from ").partition(" import ")
        elif not line.startswith("        "):
            where = ""
        attribute, is_export, name = line.strip(" (),").partition(" as ")
        if where not in ("", ".") and is_export:  # modules are found without this
            yield where, attribute, name


def _install(
    module: ModuleType,
    module_of: Mapping[str, tuple[str, str]],
    extra: str,
    libraries: tuple[str, ...],
) -> None:
    namespace, is_package = vars(module), hasattr(module, "__path__")
    package = namespace["__package__"]

    def load(name: str) -> object:
        if name in module_of:
            where, attribute = module_of[name]
            try:
                found = getattr(import_module(where, package), attribute)
            except ModuleNotFoundError as error:
                library = (error.name or "").partition(".")[0]
                if library not in libraries:
                    raise
                # Imported here, so that loading a package loads no errors.
                from ..errors import MissingExtraError  # noqa: PLC0415

                raise MissingExtraError(extra, library) from error
            namespace[name] = found  # the next use does not come here
            return found
        if is_package and not name.startswith("_"):
            submodule = f"{package}.{name}"
            try:
                return import_module(submodule)
            except ModuleNotFoundError as error:
                if error.name != submodule:
                    raise  # it exists, and something that it needs does not
        msg = f"module {module.__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    def names() -> list[str]:
        return sorted({*namespace, *module_of})

    namespace["__getattr__"], namespace["__dir__"] = load, names
    if is_package:
        namespace["__all__"] = sorted(module_of)
