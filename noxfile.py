"""Every check, by a name one can guess: ``nox -l`` lists them, ``nox`` runs them."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement


nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_external_run = True
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "imports", "tests", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
THIS_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER_PYTHONS = [
    version
    for version in nox.project.python_versions(PYPROJECT)
    if version != THIS_PYTHON
]

# What ruff does not carry, and an actor runtime depends on.
ASYNC_RULES = (
    "ASYNC101",  # yield inside a nursery or a cancel scope
    "ASYNC102",  # await in a finally that is not shielded
    "ASYNC103",  # Cancelled swallowed
    "ASYNC104",  # ... or replaced
    "ASYNC112",  # a nursery for one task
    "ASYNC113",  # start_soon where start was meant
    "ASYNC118",  # get_cancelled_exc_class() kept in a variable
    "ASYNC120",  # await in an except that is not shielded
    "ASYNC121",  # return, break or continue out of a nursery
    "ASYNC126",  # an exception group without derive()
    "ASYNC912",  # a cancel scope without a checkpoint
    "ASYNC913",  # an endless loop without a checkpoint
)

IN_PARALLEL = ("-n", str(min(2, os.cpu_count() or 1)))
"""Two workers of pytest-xdist: with more the tests of processes and clocks disturb each other."""

REPRODUCIBLE = {"PYTHONHASHSEED": "0"}
"""The order of sets of strings; ``tests/conftest.py`` fixes the other random numbers."""

SHARED = Path(".nox", "shared-all")
"""The environment of the sessions that need all extras and the tests' group.

Environments of other Pythons have the version behind this name.
"""

PEERS = (
    "burr",
    "dbos",
    "justpipe==0.12.0",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "llama-index-workflows",
    "pydantic-graph",
)
"""What ``bench`` compares with."""

BENCHMARKS = (
    ("tests/benchmarks/placements.py",),
    ("tests/benchmarks/streams.py",),
    ("tests/benchmarks/http_streams.py",),
    ("tests/benchmarks/dashboard.py",),
    ("-m", "tests.benchmarks.durable"),
    ("-m", "tests.benchmarks.compare"),
)
"""What ``bench`` runs, the comparison last; it takes the session's arguments."""

DEMO = (
    "list",
    "show last",
    "timeline last --steps 10",
    "compare last~1 last",
    "stats",
    "cleanup --keep 1 --yes",
)
"""What the demo looks at, once something was stored."""


SITE = ".nox/site-html"
"""Where the documentation site is built, as mkdocs.yml says, too."""

DIST = Path(".nox", "shared-dist")
"""Where the wheel and the source archive are built."""

OLD_ANYIO = ("-W", "ignore:_pytest.python.CallSpec2")
"""Its plugin uses a name that the newest pytest has deprecated."""

EXTRAS_FOR_ALL = ("cli", "otel", "dashboard")
"""The extras of ``[all]``, which are tested with their lowest versions."""


CONFLICT = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)
"""What git leaves where two changes met, and no other check sees outside of code."""


def install(session: nox.Session, *groups: str, extras: str = "") -> None:
    """Install this package as users get it, and the named dependency groups."""
    flags = [flag for group in groups for flag in ("--group", group)]
    session.run_install("python", "-m", "pip", "install", "-q", "pip>=25.1")
    session.install("-q", f".{extras}", *flags)


def install_shared(session: nox.Session, version: str = THIS_PYTHON) -> str:
    """Install the tests' group and all extras where several sessions share them.

    Returns:
        The Python of that environment; nox itself has one environment for each session.
    """
    this = version == THIS_PYTHON
    environment = SHARED if this else SHARED.with_name(f"{SHARED.name}-{version}")
    folder = environment / ("Scripts" if os.name == "nt" else "bin")
    python = str((folder / "python").absolute())
    if not folder.exists():
        base = sys.executable if this else f"python{version}"
        session.run(base, "-m", "venv", str(environment), external=True)
    pip = (python, "-m", "pip", "install", "-q")
    session.run_install(*pip, "pip>=25.1", external=True)
    session.run_install(*pip, ".[all]", "--group", "tests", external=True)
    return python


def install_tools(session: nox.Session, group: str) -> None:
    """Install one dependency group without the package."""
    session.install("-q", *nox.project.dependency_groups(PYPROJECT, group))


def is_installed(version: str) -> bool:
    """Return whether the command of that Python exists and works.

    The commands that pyenv puts on the path exist for every version that it has, and
    fail for those that are not enabled.
    """
    command = shutil.which(f"python{version}")
    if command is None:
        return False
    return subprocess.run([command, "-c", ""], capture_output=True).returncode == 0


def report_other_pythons(session: nox.Session) -> None:
    """Say in one line which supported Pythons the tests did not run on."""
    installed = [version for version in OTHER_PYTHONS if is_installed(version)]
    missing = [version for version in OTHER_PYTHONS if version not in installed]
    if installed:
        session.log(f"`nox -s pythons` runs the quick tests on {', '.join(installed)}")
    if missing:
        session.log(f"not installed, so not tested: Python {', '.join(missing)}")


def lowest_versions(extras: tuple[str, ...]) -> list[str]:
    """Return constraints that pin each direct dependency to its lower bound."""
    project = PYPROJECT["project"]
    optional = project["optional-dependencies"]
    direct = [
        *project["dependencies"],
        *(one for name in extras for one in optional[name]),
    ]
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in map(Requirement, direct)
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


def write_lowest_versions(session: nox.Session) -> Path:
    """Write the constraints where pip can read them; return the file."""
    # Not in ``create_tmp``, below which the tests' paths are too long for a socket.
    file = Path(session.cache_dir, "lowest-versions.txt").absolute()
    file.write_text("\n".join(lowest_versions(EXTRAS_FOR_ALL)), encoding="utf-8")
    return file


def refuse_conflicts(session: nox.Session) -> None:
    """Fail when a file of the tree still has the marks of a merge conflict."""
    folders = ("src", "tests", "docs", "changelog.d", ".ci", ".github")
    inside = (path for folder in folders for path in Path(folder).rglob("*"))
    files = [path for path in (*Path().iterdir(), *inside) if path.is_file()]
    marked = [
        str(path)
        for path in files
        if CONFLICT.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    if marked:
        session.error(f"resolve the conflicts in {', '.join(marked)}")


def refuse_vague_subjects(session: nox.Session) -> None:
    """Fail when a package's texts often have a person as subject where a thing acts.

    House style: the subject of a sentence is the thing ("the dispatcher"), so each
    package has at most two of these words per 1,000 lines.
    """
    vague = re.compile(r"\b(who|whose|nobody|somebody)\b", re.IGNORECASE)
    for package in sorted(Path("src/justpipe_actors").iterdir()):
        texts = [path.read_text(encoding="utf-8") for path in package.rglob("*.py")]
        lines = sum(text.count("\n") for text in texts)
        found = sum(len(vague.findall(text)) for text in texts)
        if found > max(2 * lines / 1000, 2):
            session.error(f"{package}: {found} of who, whose, nobody, somebody")


def require_chromium(session: nox.Session) -> None:
    """Skip a session where there is no browser; CI must have one."""
    named = os.environ.get("CHROMIUM")
    if named or shutil.which("chromium") or shutil.which("chromium-browser"):
        return
    reason = (
        "there is no Chromium: apt-get install chromium, or name one with $CHROMIUM"
    )
    if os.environ.get("CI") == "true":
        session.error(reason)
    session.skip(reason)


@nox.session(python=THIS_PYTHON)
@nox.parametrize("kind", ["all", "bare", "lowest"], ids=["all", "bare", "lowest"])
def tests(session: nox.Session, kind: str) -> None:
    """Run all tests; the quick ones without the extras, and with the lowest versions."""
    extras = "" if kind == "bare" else "[all]"
    if kind == "lowest":
        session.env["PIP_CONSTRAINT"] = str(write_lowest_versions(session))
    install(session, "tests", extras=extras)
    options = {
        "all": (),
        "bare": ("-m", "not slow and not soak"),
        "lowest": ("--quick", *OLD_ANYIO),
    }
    arguments = (*IN_PARALLEL, *options[kind], *session.posargs)
    session.run("pytest", *arguments, env=REPRODUCIBLE)
    if kind == "bare":
        report_other_pythons(session)


@nox.session(venv_backend="none")
def pythons(session: nox.Session) -> None:
    """Run the quick tests on every other supported Python that is installed."""
    report_other_pythons(session)
    for version in filter(is_installed, OTHER_PYTHONS):
        pytest = (install_shared(session, version), "-m", "pytest")
        arguments = (*IN_PARALLEL, "--quick", *session.posargs)
        session.run(*pytest, *arguments, external=True, env=REPRODUCIBLE)


@nox.session(venv_backend="none")
def quick(session: nox.Session) -> None:
    """Run the quick tests on asyncio, and those of the engine on trio as well."""
    python = install_shared(session)
    options = (*IN_PARALLEL, "--quick", *session.posargs)
    session.run(python, "-m", "pytest", *options, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check format, style, spelling, and the async rules ruff does not carry."""
    install_tools(session, "lint")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell")
    refuse_conflicts(session)
    refuse_vague_subjects(session)
    sources = sorted(str(path) for path in Path("src").rglob("*.py"))
    enable = f"--enable={','.join(ASYNC_RULES)}"
    session.run("flake8-async", "--anyio", enable, *sources)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types twice: mypy and basedpyright see different things."""
    install(session, "types", extras="[all]")
    session.run("mypy")
    for example in sorted(Path("docs/examples").glob("*/")):
        session.run("mypy", str(example))  # alone: several have a main.py
    session.run("basedpyright", "--pythonpath", f"{session.bin}/python")
    tested = (str(path) for path in sorted(Path("tests").glob("test_typed_*.py")))
    session.run("basedpyright", "--pythonpath", f"{session.bin}/python", *tested)
    # What users see of the installed package: 100 %, or this fails.
    session.run("basedpyright", "--verifytypes", "justpipe_actors", "--ignoreexternal")


@nox.session
def imports(session: nox.Session) -> None:
    """Check the import contracts: a package may import only those below it."""
    install(session, "imports")
    session.run("lint-imports", "--no-cache")


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation site; a link, an anchor or a picture that leads nowhere fails."""
    install(session, "site", "examples", extras="[all]")
    session.env["PYTHONPATH"] = "docs/_site"
    session.env["DOCUMENTATION_URL"] = PYPROJECT["project"]["urls"]["Documentation"]
    session.run("zensical", "build", "--strict", "--clean")
    session.run("python", "docs/_site/check.py", SITE)


@nox.session
def dist(session: nox.Session) -> None:
    """Build the wheel and the source archive, and check what they contain."""
    install_tools(session, "dist")
    shutil.rmtree(DIST, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(DIST))
    built = sorted(str(path) for path in DIST.iterdir())
    session.run("twine", "check", "--strict", *built)
    wheels = [path for path in built if path.endswith(".whl")]
    session.run("check-wheel-contents", *wheels)


@nox.session(venv_backend="none", requires=["dist"])
def package(session: nox.Session) -> None:
    """Install the wheel alone on each installed Python, and run the quickstart with it."""
    check, readme = Path("tests/installed_wheel.py"), Path("README.md")
    wheels = [str(path) for path in DIST.glob("*.whl")]
    for version in (THIS_PYTHON, *filter(is_installed, OTHER_PYTHONS)):
        environment = DIST.with_name(f"package-{version}")
        base = sys.executable if version == THIS_PYTHON else f"python{version}"
        session.run(base, "-m", "venv", "--clear", str(environment), external=True)
        folder = environment / ("Scripts" if os.name == "nt" else "bin")
        python = (str(folder / "python"), "-I")
        session.run(*python, "-m", "pip", "install", "-q", *wheels, external=True)
        session.run(*python, str(check), str(readme), external=True)


@nox.session(venv_backend="none")
def coverage(session: nox.Session) -> None:
    """Run all tests under branch coverage; too little of it fails."""
    tool = (install_shared(session), "-m", "coverage")
    session.run(*tool, "erase", external=True)
    session.run(*tool, "run", "-m", "pytest", *session.posargs, external=True)
    session.run(*tool, "combine", "--quiet", external=True)
    session.run(*tool, "report", external=True)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Run every example in the README, the docs and the docstrings."""
    pytest = (install_shared(session), "-m", "pytest")
    session.run(*pytest, "README.md", "docs", "src", *session.posargs, external=True)


@nox.session
def examples(session: nox.Session) -> None:
    """Run the examples with all that they need: a client for HTTP, real embeddings."""
    install(session, "tests", "examples", extras="[all]")
    required = {"JUSTPIPE_ACTORS_REQUIRE_EXAMPLES": "1"}
    tests = "tests/examples/test_examples.py"
    session.run("pytest", tests, *session.posargs, env=required)


@nox.session
def browser(session: nox.Session) -> None:
    """Open the dashboard in Chromium and do what people do; skipped without Chromium."""
    require_chromium(session)
    install(session, "browser", extras="[all]")
    session.env["BROWSER_TESTS"] = "1"
    session.run("pytest", "tests/browser", *session.posargs)


@nox.session
def shots(session: nox.Session) -> None:
    """Take pictures of the dashboard's pages, from real runs, to be looked at."""
    require_chromium(session)
    install(session, "browser", extras="[all]")
    folder = session.posargs[0] if session.posargs else ".nox/shots"
    session.run("python", "-m", "tests.browser.shots", folder)


@nox.session
def demo(session: nox.Session) -> None:
    """Survey the standard library on both event loops, then look at what was stored."""
    install(session, extras="[all]")
    store = ("--storage", str(Path(session.create_tmp()).absolute()))
    for backend in ("trio", "asyncio"):
        survey = ("run", "docs/examples/survey/pipeline.py", "--text")
        session.run("justpipe-actors", *survey, "--backend", backend, *store)
    for look in DEMO:
        session.run("justpipe-actors", *look.split(), *store)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with the peers, in one run on this machine; a missed target fails."""
    install(session, "bench", extras="[all]")
    for peer in PEERS:
        # A peer that cannot be installed here has an empty row.
        session.install("-q", peer, success_codes=[0, 1])
    failed = []
    for benchmark in BENCHMARKS:
        posargs = session.posargs if benchmark == BENCHMARKS[-1] else ()
        try:
            session.run("python", *benchmark, *posargs)
        except CommandFailed:  # the others are measured in any case
            failed.append(benchmark[-1])
    if failed:
        session.error(f"a target is missed in {', '.join(failed)}")


@nox.session
def ray(session: nox.Session) -> None:
    """Run the tests that start Ray; here they cannot be skipped."""
    install(session, "tests", extras="[all,ray]")
    files = ("tests/placements", "tests/examples/test_word_count.py")
    required = {"JUSTPIPE_ACTORS_REQUIRE_RAY": "1"}
    session.run("pytest", "-m", "ray", *files, *session.posargs, env=required)


@nox.session(venv_backend="none")
def soak(session: nox.Session) -> None:
    """Run the tests that take minutes."""
    pytest = (install_shared(session), "-m", "pytest")
    options = ("-m", "soak", "--timeout=3600", *session.posargs)
    session.run(*pytest, *options, external=True)


@nox.session(venv_backend="none")
def search(session: nox.Session) -> None:
    """Look for failures with random examples and schedules, other ones in each round.

    Round 1 runs all tests, each later one the property tests.  Takes the number of
    rounds, and arguments for pytest: ``nox -s search -- 3 tests/properties``.
    """
    rounds, *arguments = session.posargs or ("10",)
    pytest = (install_shared(session), "-m", "pytest", *IN_PARALLEL)
    options = ("--hypothesis-profile=search", "--timeout=1200")
    properties = ("-m", "hypothesis and not soak and not ray")
    failed = []
    for number in range(int(rounds)):
        seed = str(secrets.randbelow(2**32))
        which = (f"--hypothesis-seed={seed}", *(properties if number else ()))
        command = (*pytest, *options, *which, *arguments)
        try:
            session.run(*command, external=True, env={"PYTHONHASHSEED": seed})
        except CommandFailed:  # the other rounds may find other failures
            failed.append(seed)
    if failed:
        message = "run pytest with --hypothesis-profile=search --hypothesis-seed=N"
        session.error(f"{message}, PYTHONHASHSEED=N for N in {', '.join(failed)}")


@nox.session(venv_backend="none")
def crash(session: nox.Session) -> None:
    """Kill processes at each transaction of random durable runs, thousands of times.

    Takes the seeds as arguments: ``nox -s crash -- 100 140``.
    """
    python = install_shared(session)
    first, last = session.posargs or ("0", "24")
    for backend in ("asyncio", "trio"):
        for options in (("sync",), ("group",), ("sync", "--recoveries", "2")):
            command = ("-m", "tests.crash.driver", first, last, backend, *options)
            session.run(python, *command, external=True)
            session.run(python, *command, "--waits", external=True)
    model = (
        "-m",
        "pytest",
        "-m",
        "soak",
        "--timeout=3600",
        "tests/durable/test_model.py",
    )
    session.run(python, *model, external=True)


@nox.session
def mutants(session: nox.Session) -> None:
    """Change the pure modules in one place at a time, and list changes no test sees."""
    install(session, "tests", "mutants", extras="[all]")
    shutil.rmtree("mutants", ignore_errors=True)
    session.run("mutmut", "run", "--max-children", "2", *session.posargs)
    session.run("mutmut", "results")


@nox.session
def changelog(session: nox.Session) -> None:
    """Show what the next release will say."""
    install_tools(session, "changelog")
    session.run("towncrier", "build", "--draft", "--version", "next")
