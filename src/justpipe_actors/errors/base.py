"""Base class of errors that are built from facts, and suggestions for wrong names.

An error class declares its facts as annotations and words its message from them::

    class StepTimeoutError(Factual, TimeoutError):
        step: str
        seconds: float

        def message(self) -> str:
            return f"Step '{self.step}' timed out after {self.seconds:g}s"

attrs can build exception classes too.  It is not used here because importing it costs
more than importing all errors, and pytest imports them in every session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform


if TYPE_CHECKING:
    from inspect import Signature


class _SignatureOfFacts:
    """Tells ``inspect.signature`` and ``help`` how an error is constructed."""

    def __get__(self, _instance: object, owner: type[Factual]) -> Signature:
        from inspect import Parameter, Signature, signature  # noqa: PLC0415 - rare, and slow to import

        if not owner._facts:  # noqa: SLF001 - the descriptor is part of the class
            own = signature(owner.__init__)
            return own.replace(parameters=list(own.parameters.values())[1:])
        return Signature(
            [
                Parameter(
                    fact,
                    Parameter.POSITIONAL_OR_KEYWORD,
                    default=getattr(owner, fact, Parameter.empty),
                )
                for fact in owner._facts  # noqa: SLF001
            ]
        )


@dataclass_transform()
class Factual:
    """An error built from facts, which stay its attributes.

    The annotations of a class are its facts, in the order in which the class takes them;
    a value in the class is a default.  A class without annotations has the facts of its
    base class.  ``__match_args__`` names the facts, so ``case StepTimeoutError(step,
    seconds)`` matches, and the error survives pickling.  A fact that is annotated as a
    ``Sequence`` is kept as a tuple.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()
    __signature__: ClassVar[Any] = _SignatureOfFacts()
    _facts: ClassVar[tuple[str, ...]] = ()
    _sequences: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {
            name: str(kind)
            for name, kind in vars(cls).get("__annotations__", {}).items()
            if not str(kind).startswith("ClassVar")
        }
        if "__init__" in vars(cls):  # it assigns its facts itself
            cls._facts = ()
        elif own:
            cls._facts = tuple(own)
            setattr(cls, "__match_args__", cls._facts)  # noqa: B010 - it is synthesized for checkers
            cls._sequences = frozenset(n for n in own if own[n].startswith("Sequence"))

    def __init__(self, *args: Any, **named: Any) -> None:
        if not self._facts:
            super().__init__(*args)
            return
        if len(args) > len(self._facts):
            msg = f"{type(self).__name__} takes {', '.join(self._facts)}, not {args!r}."
            raise TypeError(msg)
        facts = dict(zip(self._facts, args, strict=False), **named)
        for name in self._facts:
            if name not in facts and not hasattr(self, name):
                msg = f"{type(self).__name__} needs {name}."
                raise TypeError(msg)
            value = facts.pop(name) if name in facts else getattr(self, name)
            setattr(self, name, tuple(value) if name in self._sequences else value)
        if facts:
            msg = f"{type(self).__name__} has no fact {', '.join(facts)}."
            raise TypeError(msg)
        texts: tuple[object, ...] = (self.message(),)
        super().__init__(*texts)  # pyright: ignore[reportCallIssue] - a mixin of exceptions

    def message(self) -> str:
        """Return the message, made from the facts; it ends with the remedy."""
        raise NotImplementedError

    def __reduce__(self) -> str | tuple[Any, ...]:
        if not self.__match_args__:
            return super().__reduce__()
        return type(self), tuple(getattr(self, fact) for fact in self.__match_args__)


def did_you_mean(name: str, known: Iterable[str], kind: str = "steps") -> str:
    """Word the tail of an "unknown name" message: what exists, and a close match.

    Args:
        name: the unknown name.
        known: the names that exist.
        kind: what they name, in the plural.

    Returns:
        The tail.

    Examples:
        >>> print("There is no step 'stroe'." + did_you_mean("stroe", ["store", "load"]))
        There is no step 'stroe'. Available steps: load, store. Did you mean 'store'?
    """
    names = sorted(known)
    text = f" Available {kind}: {', '.join(names) or '(none)'}."
    close = closest_name(name, names)
    return text + ("" if close is None else f" Did you mean '{close}'?")


def closest_name(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the known name that is most like another one; None if none is.

    Args:
        name: the other name.
        known: the names that exist.
        likeness: how similar the names must be, from 0 to 1.
    """
    import difflib  # noqa: PLC0415 - for messages only

    return next(iter(difflib.get_close_matches(name, known, 1, likeness)), None)
