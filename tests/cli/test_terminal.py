"""``run`` at a terminal, which is a pseudo terminal."""

from __future__ import annotations

import codecs
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ..programs import code


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal"),
]

RUNNABLE = Path(__file__).with_name("runnable.py")


class Terminal:
    """A pseudo terminal with a program."""

    def __init__(self, name: str, backend: str, **variables: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self.keys, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
        line = code(STARTED_ON_A_TERMINAL, f"{RUNNABLE}:{name}")
        self.process = subprocess.Popen(
            [*line, "--backend", backend],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            env={**kept, "TERM": "xterm", "PYTHONUTF8": "1", **variables},
        )
        os.close(screen)
        self.shown = ""
        # A character may be in two parts, and each part in another read.
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def read_until(self, text: str) -> None:
        """Read the output of the program up to a text."""
        while text not in self.shown:
            self.shown += self._decode(os.read(self.keys, 4096))

    def read_all(self) -> int:
        """Read to the end and return the exit status."""
        while True:
            try:
                more = os.read(self.keys, 4096)
            except OSError:  # what Linux says when nobody has the other end
                break
            if not more:
                break
            self.shown += self._decode(more)
        return self.process.wait()

    def press(self, key: str) -> None:
        """Press a key."""
        os.write(self.keys, key.encode())


STARTED_ON_A_TERMINAL = """
import fcntl, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from justpipe_actors.cli.main import (main)
sys.exit(main(["run", *sys.argv[1:]]))
"""
"""Takes the terminal for its own, so that Ctrl-C there reaches it and is not ignored."""


def plain(text: str) -> str:
    """Remove the control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_rows_and_tokens(backend: str) -> None:
    """Tokens are above the rows, every step has a row, and names are not read as markup."""
    terminal = Terminal("counting", backend)

    status = terminal.read_all()

    shown = plain(terminal.shown)
    assert status == 0
    assert "in all 0\r\n" in shown
    assert "✓ split" in shown
    assert "✓ report" in shown
    assert re.search(r"✓ success in \S+, 2 invocations, 3 tokens\r\n$", shown)


def test_ctrl_c(backend: str) -> None:
    """The run ends with status 130, interrupted steps are named, and nothing is left."""
    terminal = Terminal("waiting", backend)
    terminal.read_until("begun")

    terminal.press("\x03")
    status = terminal.read_all()

    shown = plain(terminal.shown)
    assert status == 130
    assert "■ forever" in shown
    assert "– never" in shown
    assert re.search(r"■ cancelled after \S+: interrupted with Ctrl-C", shown)
    assert "cut off: forever; nothing of the run is left behind" in shown
    assert shown.index("cleaned up") < shown.index("■ cancelled")


def test_no_colour() -> None:
    """With NO_COLOR nothing is coloured, and symbols show the status."""
    coloured, plainly = (
        Terminal("failing", "asyncio"),
        Terminal("failing", "asyncio", NO_COLOR="1"),
    )
    coloured.read_all()
    plainly.read_all()

    colours = re.compile(r"\x1b\[(?:\d+;)*3\d")
    assert colours.search(coloured.shown)
    assert not colours.search(plainly.shown)
    assert "✗ failed after" in plain(plainly.shown)


def test_a_dumb_terminal_gets_lines() -> None:
    """The output for a terminal that cannot move its cursor is lines."""
    terminal = Terminal("counting", "asyncio", TERM="dumb")

    terminal.read_all()

    assert "\x1b" not in terminal.shown
    assert "split: done in" in terminal.shown


def test_tokens_keep_their_colours_only() -> None:
    """A token may have colours, and cannot clear the screen."""
    terminal = Terminal("shouting", "asyncio")

    status = terminal.read_all()

    assert status == 0
    assert "\x1b[31mred" in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "\x9b" not in terminal.shown
    assert "naïve" in terminal.shown


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """Symbols are replaced, and other letters are escaped."""
    terminal = Terminal("shouting", "asyncio", PYTHONUTF8="0", PYTHONIOENCODING="ascii")

    status = terminal.read_all()

    shown = plain(terminal.shown)
    assert status == 0
    assert "na\\xefve" in shown
    assert "+ shout" in shown
    assert "+ success" in shown
