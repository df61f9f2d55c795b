"""Users' objects on one line of bounded length, whatever they do when asked.

``reprlib`` looks at a few elements of a container and not at all of them, so a state
with a million rows costs nothing to show; and it survives a ``__repr__`` that raises.
"""

from __future__ import annotations

import reprlib


LIMIT = 100
"""Characters of one value."""


class _Short(reprlib.Repr):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = limit
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 8


def shown(value: object, limit: int = LIMIT) -> str:
    """Return a value on one line: strings bare, the rest as ``repr`` would."""
    if isinstance(value, str):
        return shortened(one_line(value[: limit + 1]), limit)
    try:
        text = _Short(limit).repr(value)
    except Exception as error:  # noqa: BLE001 - a user's object may do anything
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return shortened(one_line(text), limit)


def shortened(text: str, limit: int = LIMIT) -> str:
    """Cut a text to so many characters, with an ellipsis for the rest."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def one_line(text: str) -> str:
    r"""Write out line ends and control characters, so that no value forges a line.

    >>> one_line("boom\n[00:00:00] all is well\x1b[2J")
    'boom\\n[00:00:00] all is well\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _written(c) for c in text)


def _written(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
