"""Exceptions for refused requests, each with its HTTP status and message."""

from __future__ import annotations

from collections.abc import Sequence


class RequestError(Exception):
    """Base class of the errors for refused requests.

    Args:
        detail: the sentence that the client gets.
    """

    status = 422
    """HTTP status of the response."""
    code = "invalid"
    """Short name of the problem, for programs."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class UnknownWordError(RequestError):
    """A parameter has a value that is none of the known words."""

    __match_args__ = ("parameter", "word", "known")

    def __init__(self, parameter: str, word: str, known: Sequence[str]) -> None:
        self.parameter = parameter
        self.word = word
        self.known: tuple[str, ...] = tuple(known)
        listed = ", ".join(self.known)
        super().__init__(f"{parameter}={word!r} is none of {listed}.")

    def __reduce__(
        self,
    ) -> tuple[type[UnknownWordError], tuple[str, str, tuple[str, ...]]]:
        """Support pickling by the constructor arguments."""
        return type(self), (self.parameter, self.word, self.known)


class NotFoundError(RequestError):
    """There is no such run, pipeline or event."""

    status = 404
    code = "not_found"


class TooBusyError(RequestError):
    """There are too many streams, or the answer took too long."""

    status = 503
    code = "busy"


class TooLargeError(RequestError):
    """There is too much to be drawn."""

    code = "too_large"


class ActionError(RequestError):
    """An action was understood and could not be done."""

    status = 409
    code = "gone"
