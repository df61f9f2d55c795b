"""The nightly report as a daemon: a real clock, and SIGTERM in the middle of a report."""

from __future__ import annotations

import os
import signal
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ..programs import file, started


MAIN = Path(__file__).resolve().parents[2] / "docs/examples/24_nightly_report/main.py"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_report_is_finished_when_the_daemon_is_stopped(
    tmp_path: Path, anyio_backend: tuple[str, dict[str, Any]]
) -> None:
    """After SIGTERM during a report the file is complete and the exit status is 0."""
    now = datetime.now().astimezone()
    moment = now + timedelta(seconds=8)
    day: date = moment.date() - timedelta(days=1)
    log = tmp_path / f"ada-{day}.log"
    log.write_text("GET /home 200 10\nGET /search 503 250\n", encoding="utf-8")
    at = f"{moment:%H:%M:%S.%f}"

    line = file(
        MAIN, "--serve", str(tmp_path), "--at", at, "--backend", anyio_backend[0]
    )
    with started(line) as process:
        assert process.stdout is not None
        for said in process.stdout:
            if "time for the report" in said:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0

    report = (tmp_path / f"report-{day}.txt").read_text(encoding="utf-8")
    assert report == "2 requests, 1 errors; most time: /search 0 s, /home 0 s\n"
