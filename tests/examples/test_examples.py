"""The numbered examples: each has the promised output on both loops, and stores nothing.

``python tests/examples/test_examples.py`` draws the pictures in their pages anew.
"""

from __future__ import annotations

import html
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest


EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"

SAID = {
    "01_quick_start": ["Hello, World!", "success, nothing to complain about"],
    "02_parallel_dag": ["0.00 s  step_start  work_out_tax", "Result: 52"],
    "03_dynamic_map": ["Running News Summarizer", "Final Report", "Rivers: The dam"],
    "04_dynamic_routing": ["Final Value: 20", "Final Value: 8", "0: classify, success"],
    "05_suspension_resume": ["Game Over", "Forbidden word 'yes' used", "Maybe"],
    "06_subpipelines": [
        "Researching topic: Quantum Computing",
        "Drafting content...",
        "Report compiled:",
    ],
    "07_streaming": [
        "Streaming Chatbot",
        "Full Response: 140",
        "The model stopped, too: True",
    ],
    "08_reliability_retry": [
        "Attempt 3",
        "Successfully called flaky API",
        "failed: publish (disk full)",
    ],
    "09_middleware": [
        "Running pipeline with Timing Middleware",
        "load      200 ms\n",
        "count      60 ms  <- slow",
        "Counted [1, 2, 3]",
    ],
    "10_lifecycle_hooks": [
        "Connecting to mock database",
        "best: ada, cyd",
        "failed: CHECK constraint",
        "Disconnecting",
    ],
    "11_visualization": ["Generated Mermaid Code", "ask may lead to summarize"],
    "12_observability": [
        "JUSTPIPE OBSERVABILITY DEMO",
        "STEP_ERROR       pay (card declined)",
        "~ discount: 0 → 2",
        "workers at once: 2",
        "'map_worker': 6",
        "  success  \n",
        "Total Duration:",
        "  failed   card declined",
    ],
    "13_barrier_types": [
        "Starting fetch for user",
        "profile from the cache",
        "profile from the database",
        "Finalizing decision",
    ],
    "14_testing_harness": [
        "passed: the bank is asked again",
        "Demo completed successfully!",
    ],
    "15_real_llm_streaming": [
        "Streaming response",
        "[the good model is too slow]",
        "Test passed!",
    ],
    "16_showcase": [
        "VIDEO RENDER PIPELINE",
        "render_scene[4]",
        "Trailer         success",
        "RESULTS",
        "encode_well: Step 'encode_well' timed out after 0.5s",
    ],
    "18_isolated_state": [
        "given up: the model hung up",
        "actors: understood",
        "Summary: All about back pressure; 2 sources",
        "Tokens used: 200",
    ],
    "19_durable_approval": [
        "asks: Publish 'All about rivers.'?",
        "answered while no process ran it",
        "published: All about rivers.",
        "ended: success",
    ],
    "17_daemon": [
        "filed letter 5",
        "live: True, ready: True",
        "service poller: running, restarts: 1",
        "because of ConnectionError: the mailbox hung up",
        "actor scan: 1 at work, 0 waiting",
        "held by scan",
        "0 finished, 1 cancelled, 0 stuck",
    ],
    "20_retrieval": [
        "17 passages of 6 files",
        "Dogs are welcome on the second floor",
        "0.37  office.txt: The office",
    ],
    "21_agent": [
        "Let me look that up.",
        'temperature({"city": "Oslo"}) -> 4.0',
        "Lisbon has 70 degrees and Oslo has 39 degrees.",
        "3 laps, 8 messages",
    ],
    "22_stream_to_a_browser": [
        "read 'a run goes on while'",
        "the connection dropped behind event 7",
        "the run goes on: True",
        "without a hole: True",
    ],
    "23_crawler": [
        "killed after 9 pages, exit status -9",
        "crawler: goes on",
        "crawler: 30 pages",
        "site: 30 pages were asked for, 0 private",
        "site: at most two were asked for twice: True",
    ],
    "24_nightly_report": [
        "finished while stopping: 1",
        "report-2026-11-24.txt: 600 requests, 18 errors; most time: /search 158 s",
        "report-2026-11-26.txt: 840 requests",
    ],
}
"""What must be in the output of each."""


REAL_TIME = ["12_observability", "21_agent", "23_crawler"]
"""Those that store their runs in memory, by a thread, or start other processes."""

NEEDS = {"20_retrieval": "wordllama", "21_agent": "httpx"}
"""What some need beside the package: the dependency group ``examples``."""

PICTURED = ["20_retrieval", "21_agent", "23_crawler", "24_nightly_report"]
"""Those whose pages have a recording of the terminal; ``pictures.py`` makes them."""


def load(name: str) -> ModuleType:
    """Import an example as a new module."""
    path = EXAMPLES / name / "main.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their annotations
    spec.loader.exec_module(module)
    return module


def skip_without_needs(name: str) -> None:
    """Skip an example that needs a missing package."""
    if name in NEEDS and not os.environ.get("JUSTPIPE_ACTORS_REQUIRE_EXAMPLES"):
        pytest.importorskip(NEEDS[name], reason="needs the group 'examples'")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give an example an empty folder for everything that it could store, and two answers."""
    place = tmp_path / "store"
    monkeypatch.setenv("JUSTPIPE_ACTORS_STORAGE_PATH", str(place))
    monkeypatch.setenv("JUSTPIPE_ACTORS_PERSIST", "")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Maybe\nYes\n"))
    return place


def test_every_example_is_tested() -> None:
    """A new example needs a row in this file."""
    assert sorted(SAID) == sorted(one.name for one in EXAMPLES.glob("[0-9][0-9]_*"))


@pytest.mark.virtual_time
@pytest.mark.parametrize("name", [one for one in SAID if one not in REAL_TIME])
async def test_an_example_has_the_promised_output(
    name: str, capsys: pytest.CaptureFixture[str], surroundings: Path
) -> None:
    """It is that of its page, on both loops, and the user's store stays empty."""
    skip_without_needs(name)
    await load(name).main()
    check(name, capsys.readouterr().out, surroundings)


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL_TIME)
async def test_an_example_in_real_time_has_the_promised_output(
    name: str, capsys: pytest.CaptureFixture[str], surroundings: Path
) -> None:
    """A store's thread and other processes do not run in virtual time."""
    skip_without_needs(name)
    await load(name).main()
    check(name, capsys.readouterr().out, surroundings)


def check(name: str, printed: str, surroundings: Path) -> None:
    """Check that the output of an example is complete and that it left nothing behind."""
    for fragment in SAID[name]:
        assert fragment in printed
    assert list(surroundings.parent.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_an_example_is_a_program(name: str, tmp_path: Path) -> None:
    """It runs by its path in any folder, with warnings as errors."""
    skip_without_needs(name)
    line = [sys.executable, "-W", "error", str(EXAMPLES / name / "main.py")]
    done = subprocess.run(
        [*line, "--backend", "trio"],
        cwd=tmp_path,
        input="Maybe\nYes\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert SAID[name][-1] in done.stdout
    assert list(tmp_path.iterdir()) == []


FENCE = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("name", SAID)
def test_a_page_shows_the_current_drawing_of_its_pipe(name: str) -> None:
    """The drawing in the README is the one that the pipe makes."""
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")

    assert FENCE.findall(page) == [load(name).pipe.graph() + "\n"]


@pytest.mark.parametrize("name", PICTURED)
def test_a_recording_shows_the_output_of_the_example(name: str) -> None:
    """The page shows the recording, which has the texts that the test looks for."""
    folder = EXAMPLES / name
    recording = html.unescape((folder / "terminal.svg").read_text(encoding="utf-8"))
    words = {word for text in SAID[name] for word in text.split() if word.isalpha()}

    assert "](terminal.svg)" in (folder / "README.md").read_text(encoding="utf-8")
    assert {word for word in words if word not in recording} == set()
    assert "http://cdn" not in recording
    assert "https://" not in recording


def test_a_picture_can_be_written(tmp_path: Path) -> None:
    """``11_visualization --svg FILE`` writes it."""
    file = tmp_path / "pipe.svg"
    example = EXAMPLES / "11_visualization" / "main.py"
    subprocess.run([sys.executable, str(example), "--svg", str(file)], check=True)

    assert file.read_text(encoding="utf-8").startswith("<svg ")


def redraw() -> None:
    """Write the drawings of all pipes into their pages."""
    for name in SAID:
        page = EXAMPLES / name / "README.md"
        drawing = load(name).pipe.graph()
        block = f"```mermaid\n{drawing}\n```"
        text = FENCE.sub(lambda _, block=block: block, page.read_text(encoding="utf-8"))  # type: ignore[misc]
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    redraw()
