"""``run`` keeps what a run logs, for its page in the dashboard."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from justpipe_actors.storage import PipelineRegistry, SQLiteBackend


PROGRAM = """
import logging
from justpipe_actors import Pipe

pipe = Pipe(dict, name="logging")
log = logging.getLogger("my.app")

@pipe.on_startup
async def prepare():
    {prepare}

@pipe.step
async def work():
    log.warning("api_key=%s is old", "abc123")
    log.info("a detail")
"""


def run_program(
    folder: Path, prepare: str, text: str = PROGRAM
) -> tuple[list[tuple[str, str]], str]:
    """Run a pipe that logs; return its stored records, and what it wrote to stderr."""
    program = folder / "program.py"
    program.write_text(text.format(prepare=prepare))
    command = [sys.executable, "-m", "justpipe_actors", "run", "program.py:pipe"]
    done = subprocess.run(
        [*command, "--persist", "--storage", str(folder / "store")],
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    registry = PipelineRegistry(folder / "store")
    (pipeline,) = registry.list_pipelines()
    store = registry.get_backend(pipeline.hash)
    assert isinstance(store, SQLiteBackend)
    (run,) = store.list_runs()
    entries = store.get_logs(run.run_id)
    names = [(logging.getLevelName(entry.level), entry.text) for entry in entries]
    return names, done.stderr


def test_a_run_of_the_command_line_has_its_log_records(tmp_path: Path) -> None:
    """They are stored without secrets, and printed as usual."""
    records, stderr = run_program(tmp_path, "pass")

    assert [level for level, _ in records] == ["WARNING"]
    assert "abc123" not in records[0][1]
    assert "api_key=abc123 is old" in stderr


def test_a_program_may_configure_logging_in_a_hook(tmp_path: Path) -> None:
    """``basicConfig`` works as without the command line, and decides what is kept."""
    configure = 'logging.basicConfig(level=logging.INFO, format="MINE %(message)s")'
    records, stderr = run_program(tmp_path, configure)

    assert [level for level, _ in records] == ["WARNING", "INFO"]
    assert "MINE a detail" in stderr
    assert stderr.count("is old") == 1


def test_the_root_logger_is_as_a_program_would_find_it(tmp_path: Path) -> None:
    """A program that configures logging unless something else has done so does it."""
    configure = """
    root = logging.getLogger()
    assert (root.handlers, root.parent, root.hasHandlers()) == ([], None, False)
    if not root.hasHandlers():
        logging.basicConfig(level=logging.INFO, format="MINE %(message)s")"""
    records, stderr = run_program(tmp_path, configure)

    assert [level for level, _ in records] == ["WARNING", "INFO"]
    assert "MINE a detail" in stderr


def test_records_that_do_not_reach_the_root_logger_are_not_kept(tmp_path: Path) -> None:
    """A handler of the root logger would not get them."""
    records, stderr = run_program(
        tmp_path, "log.propagate = False; log.addHandler(logging.StreamHandler())"
    )

    assert records == []
    assert "is old" in stderr


def test_a_program_with_its_own_log_capture_uses_only_that(tmp_path: Path) -> None:
    """Its mask is used, too."""
    capture = "logging.getLogger().addHandler(LogCapture(mask=str.upper))"
    program = f"""
from justpipe_actors.observability import LogCapture
{PROGRAM.replace("pipe = Pipe", f"{capture}; pipe = Pipe")}"""
    records, _ = run_program(tmp_path, "pass", program)

    assert records == [("WARNING", "API_KEY=ABC123 IS OLD")]
