"""Safe and short text of users' values, durations, and labels of invocations."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from datetime import datetime


def safe_str(value: object, *, typed: bool = False, limit: int | None = None) -> str:
    """Return ``str(value)``, or a stand-in when that raises.

    Args:
        value: anything.
        typed: put the type's name in front.
        limit: maximum length of the text without the type's name.
    """
    text = _written(str, "text", value)
    if limit is not None:
        text = text[:limit]
    return f"{type(value).__name__}: {text}" if typed else text


def safe_repr(value: object, *, limit: int = 200) -> str:
    """Return ``repr(value)``, or a stand-in when that raises."""
    return truncate(_written(repr, "repr", value), limit)


def _written(write: Callable[[object], str], result: str, value: object) -> str:
    try:
        return str.__str__(write(value))  # a plain str, even from a str's subclass
    except Exception as error:  # noqa: BLE001 - a user's object may do anything
        return f"<{type(value).__name__} whose {result} raised {type(error).__name__}>"


VALUE_LIMIT = 100
"""Characters of one value."""


class _ShortRepr(reprlib.Repr):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxstring = self.maxother = self.maxlong = limit
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = 8


def short_text(value: object, limit: int = VALUE_LIMIT) -> str:
    """Return a value on one line: strings bare, the rest as ``repr`` would."""
    if isinstance(value, str):
        return truncate(escape_controls(value[: limit + 1]), limit)
    text = _written(_ShortRepr(limit).repr, "repr", value)
    return truncate(escape_controls(text), limit)


MASK = "***"
"""Stands for a value that is not shown."""

_SECRET = r"""(?P<name>['"]?\w*(?:secret|password|passwd|api_key|_token|authorization)\b['"]?
    \s*[:=]\s*)
    (?:'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [^\s,;)\]}]+)"""


def mask_secrets(text: str) -> str:
    """Hide the values of names that are or end in those of secrets.

    These are secret, password, passwd, api_key, _token and authorization; ``tokens``,
    ``max_tokens`` and ``key`` are shown.

    >>> mask_secrets("{'api_key': 'sk-1', 'max_tokens': 5, 'auth_token': None}")
    "{'api_key': ***, 'max_tokens': 5, 'auth_token': ***}"
    """
    options = re.IGNORECASE | re.VERBOSE
    return re.sub(_SECRET, lambda found: found["name"] + MASK, text, flags=options)


MAX_LEAVES = 20
"""Exceptions of a group that a text names."""


def error_text(error: BaseException) -> str:
    """Return an exception's text; of a group, the leaves as well."""
    return with_leaves(safe_str(error), leaf_texts(error))


def with_leaves(text: str, leaves: Sequence[str]) -> str:
    """Return the text of an exception with those of its leaves, if it has any."""
    return f"{text}: {'; '.join(leaves)}" if leaves else text


def leaf_texts(error: BaseException) -> list[str]:
    """Return type and text of the exceptions inside of a group; else none."""
    if not isinstance(error, BaseExceptionGroup):
        return []
    leaves = list(_leaves(error))
    texts = [safe_str(leaf, typed=True) for leaf in leaves[:MAX_LEAVES]]
    more = len(leaves) - MAX_LEAVES
    return [*texts, f"and {more:,} more"] if more > 0 else texts


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    todo: list[BaseException] = [group]
    while todo:
        error = todo.pop()
        if isinstance(error, BaseExceptionGroup):
            todo += reversed(error.exceptions)
        else:
            yield error


def truncate(text: str, limit: int = VALUE_LIMIT) -> str:
    """Cut a text to a maximum length, with an ellipsis for the rest."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def escape_controls(text: str) -> str:
    r"""Write out line ends and control characters, so that no value forges a line.

    >>> escape_controls("boom\n[00:00:00] all is well\x1b[2J")
    'boom\\n[00:00:00] all is well\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def format_duration(seconds: float | None) -> str:
    """Write a duration with one decimal at most, in the unit that suits it.

    Args:
        seconds: may be negative, for a difference; None, NaN and infinity are ``-``.
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    size = abs(seconds)
    text = _milliseconds(size) or _larger(size)
    return f"-{text}" if seconds < 0 and text != "0ms" else text


def _milliseconds(size: float) -> str | None:
    whole = round(size * 1000)
    return f"{whole}ms" if whole < 1000 else None


def _larger(size: float) -> str:
    for unit, letter, most in ((1.0, "s", 60), (MINUTE, "m", 60), (HOUR, "h", 48)):
        tenths = round(size / unit * 10)
        if tenths < most * 10:
            return f"{tenths / 10:.1f}{letter}"
    return f"{size / DAY:.1f}d"


def count_text(number: int, singular: str, plural: str | None = None) -> str:
    """Write a number and its noun.

    >>> count_text(1, "run"), count_text(1200, "run"), count_text(2, "match", "matches")
    ('1 run', '1,200 runs', '2 matches')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_time(time: datetime | None) -> str:
    """Write a time in local time, with the zone; None is ``-``."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S %Z}" if time else "-"


def format_clock(seconds: float) -> str:
    """Write the time since a beginning as ``HH:MM:SS.mmm``.

    >>> format_clock(3661.0004), format_clock(59.9996)
    ('01:01:01.000', '00:01:00.000')
    """
    milliseconds = max(0, round(seconds * 1000))
    rest, milliseconds = divmod(milliseconds, 1000)
    rest, whole = divmod(rest, 60)
    hours, minutes = divmod(rest, 60)
    return f"{hours:02}:{minutes:02}:{whole:02}.{milliseconds:03}"


def invocation_label(stage: str, scope: Sequence[str]) -> str:
    """Name an invocation: a map worker by its item, anything else by its step.

    >>> invocation_label("w", ("w[2]",)), invocation_label("leaf", ("inner[0]", "leaf[1]"))
    ('w[2]', 'inner[0]/leaf[1]')
    >>> invocation_label("child:w", ("child", "w[2]")), invocation_label("after", ("w[2]",))
    ('child:w[2]', 'after')
    """
    if not scope:
        return stage
    owner, colon, step = stage.rpartition(":")
    if scope[-1].rpartition("[")[0] != step:
        return stage
    if len(scope) == 1:
        return owner + colon + scope[0]
    items = [place for place in scope if place.endswith("]")]
    return owner + colon + "/".join(items)
