"""The contents of the installed package."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from importlib.metadata import metadata, requires, version
from importlib.resources import files
from pathlib import Path
from urllib.parse import urldefrag

import justpipe_actors


ROOT = Path(__file__).parents[1]

HOSTS = re.compile(r"https?://[\w.-]*(?:readthedocs|github|githubusercontent)[\w./-]*")
"""Addresses that may be the project's."""

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
    """Return the names of the package and its public modules that need no extra."""
    found = list(pkgutil.iter_modules(justpipe_actors.__path__, "justpipe_actors."))
    for name in SHELVES:
        shelf = importlib.import_module(f"justpipe_actors.{name}")
        found += pkgutil.iter_modules(shelf.__path__, f"{shelf.__name__}.")
    public = {module.name for module in found if "._" not in module.name}
    return ["justpipe_actors", *sorted(public - NEED_EXTRA)]


def test_the_package_ships_its_types() -> None:
    """Type checkers of users see the annotations."""
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


def test_the_version_is_a_release_number() -> None:
    """The installed distribution has it."""
    assert re.match(r"\d+\.\d+", version("justpipe_actors"))


def test_the_package_ships_its_licence() -> None:
    """The metadata name the licence and have its text."""
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


def urls() -> dict[str, str]:
    """Return the addresses that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return dict(project["urls"])


def test_every_page_has_the_same_addresses() -> None:
    """Addresses of the project in README, docs and settings begin as in pyproject.toml."""
    known = urls()
    raw = known["Repository"].replace("github.com", "raw.githubusercontent.com")
    ours = (known["Repository"], known["Documentation"], raw)
    pages = [ROOT / "pyproject.toml", ROOT / "README.md", *ROOT.glob("docs/**/*.md")]

    other = [
        f"{page.relative_to(ROOT)}: {found}"
        for page in pages
        for found in HOSTS.findall(page.read_text("utf-8"))
        if "justpipe" in found and not found.startswith(ours)
    ]

    assert other == []


def source_of(link: str) -> Path | None:
    """Return the file of the repository to which an absolute link leads."""
    known = urls()
    raw = known["Repository"].replace("github.com", "raw.githubusercontent.com")
    page = urldefrag(link).url
    for prefix in (f"{known['Repository']}/blob/main/", f"{raw}/main/"):
        if page.startswith(prefix):
            return ROOT / page.removeprefix(prefix)
    if not page.startswith(known["Documentation"]):
        return None
    path = ROOT / "docs" / page.removeprefix(known["Documentation"])
    names = ("index.md", "README.md") if path.stem == "index" else (f"{path.stem}.md",)
    return next(
        (path.with_name(one) for one in names if path.with_name(one).is_file()), None
    )


def registry_description() -> str:
    """Return the README as the build changes it."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    text = (ROOT / "README.md").read_text("utf-8")
    hooks = tool["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for one in hooks["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    return text


def test_the_description_has_absolute_links_to_pages_that_exist() -> None:
    """A registry shows the README without its folder, so no link needs that folder."""
    description = registry_description()
    links = re.findall(r"\]\(([^)#\s][^)\s]*)", description)

    found = {link: source_of(link) for link in links}
    missing = [
        link for link, file in found.items() if file is None or not file.is_file()
    ]

    assert len(links) > 20
    assert missing == []
    assert "<!---" not in description
