"""What goes wrong with runs that are kept, and with waiting for people."""

from __future__ import annotations

from .base import Factual
from .run import RunError, RunInterrupted


class NotStorable(Factual, TypeError):  # noqa: N818 - says what it is about
    """A value of a durable run cannot be written down and read again."""

    __match_args__ = ("path", "type", "reason")

    def __init__(self, path: str, type: str, reason: str = "") -> None:  # noqa: A002 - the fact's name
        why = reason or "it has no stored form"
        super().__init__(
            f"{path} cannot be stored: a {type}, and {why}. "
            "Keep live objects (clients, locks, files) in a @pipe.resource, and give "
            "the field an annotation that says which class it holds."
        )
        self.path = path
        self.type = type
        self.reason = reason


class DuplicateKey(RunError, ValueError):  # noqa: N818 - says what happened
    """One call of a step's function used a key twice."""

    __match_args__ = ("step", "function", "key")

    def __init__(self, step: str, function: str, key: str) -> None:
        super().__init__(
            f"Step '{step}' called {function} twice with the key '{key}'. "
            f"Number the keys in a loop: {function}(..., f'{key}-{{i}}')."
        )
        self.step = step
        self.function = function
        self.key = key


class AskTimeout(RunError, TimeoutError):  # noqa: N818 - says what happened
    """Nobody answered a question in time."""

    __match_args__ = ("ask", "seconds")

    def __init__(self, ask: str, seconds: float) -> None:
        super().__init__(
            f"'{ask}' was not answered within {seconds:g} s. "
            "Catch AskTimeout, or give the question more time with timeout=."
        )
        self.ask = ask
        self.seconds = seconds


class UnknownAsk(Factual, LookupError):  # noqa: N818 - says what happened
    """No question of this id is open."""

    __match_args__ = ("ask",)

    def __init__(self, ask: str) -> None:
        super().__init__(
            f"No question '{ask}' is open: it was answered, withdrawn or too late, or "
            "there never was one. 'justpipe-actors asks' lists the open ones."
        )
        self.ask = ask


class AnswerRejected(Factual, ValueError):  # noqa: N818 - says what happened
    """An answer does not fit the form of its question, which stays open."""

    __match_args__ = ("ask", "problem")

    def __init__(self, ask: str, problem: str) -> None:
        super().__init__(
            f"The answer does not fit '{ask}': {problem}. "
            "The question is still open; its form says what fits."
        )
        self.ask = ask
        self.problem = problem


class RunReleased(RunInterrupted):
    """A durable run goes on elsewhere, or later: this process has let go of it."""

    __match_args__ = ("run_id", "reason")

    def __init__(self, run_id: str, reason: str) -> None:
        RunError.__init__(
            self,
            f"Run '{run_id}' was released: {reason}. It is kept in the journal and goes "
            "on when a supervisor with its pipe and this journal is open.",
        )
        self.run_id = run_id
        self.reason = reason


class RunStuck(RunError):  # noqa: N818 - says what happened
    """A durable run is not taken up any more until a person has looked at it."""

    __match_args__ = ("run_id", "problem")

    def __init__(self, run_id: str, problem: str) -> None:
        super().__init__(
            f"Run '{run_id}' is stuck: {problem}. Mend the cause, then let it go on "
            f"with supervisor.redrive({run_id!r}) or 'justpipe-actors redrive {run_id}'."
        )
        self.run_id = run_id
        self.problem = problem


class MapSourceChanged(RunError):  # noqa: N818 - says what happened
    """The source of a map gave other items after a restart than before it."""

    __match_args__ = ("step", "taken")

    def __init__(self, step: str, taken: int) -> None:
        super().__init__(
            f"The source of map '{step}' gave other items than before the restart, "
            f"among the first {taken}. Return a list, or let the source give the same "
            "items in the same order each time."
        )
        self.step = step
        self.taken = taken


class RunTimeout(RunError, TimeoutError):  # noqa: N818 - says what happened
    """A run took longer than its ``timeout=``."""

    __match_args__ = ("run_id", "seconds")

    def __init__(self, run_id: str, seconds: float) -> None:
        super().__init__(
            f"Run '{run_id}' took longer than its timeout of {seconds:g} s. "
            "Raise timeout=, or find out what holds it with snapshot()."
        )
        self.run_id = run_id
        self.seconds = seconds
