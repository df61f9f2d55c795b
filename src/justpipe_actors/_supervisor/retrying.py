"""The entities of a failed run, turned into those of a run that does the failed work again.

Failed messages become live again, with their maps and child runs; what they had reported
to their successors is taken back, and so is what followed from it: joins that were
decided without them, and the reports of steps that could not start.  Steps that succeeded
stay done.

These functions are pure and need no pipe: the rows say which steps a join waits for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import attrs

from .._util.lazy_classes import define
from ..abc import Commit


Entities = dict[str, Any]

_CHILDREN = re.compile(r"(?:c/\d+/)*")


def rows_before_effect(rows: Sequence[Commit]) -> Sequence[Commit]:
    """Return the rows before the first step that ran behind a failed one.

    Such steps run with ``on_failure="continue"``.  They have to run again behind the
    step that is retried, so the copy begins before them.
    """
    for place, row in enumerate(rows):
        if place and any(_goes_on(*one) for one in json.loads(row.delta).items()):
            return rows[:place]
    return rows


def _goes_on(key: str, value: Any) -> bool:
    own = key[_CHILDREN.match(key).end() :]  # type: ignore[union-attr]
    return own.startswith("b/") and value is not None and "on" in value


def revive(entities: Entities) -> Entities:
    """Return the entities with the failed work as live work again.

    Args:
        entities: those of a run that has failed or was interrupted.
    """
    own, children = _split(entities)
    work = _FailedRun(own)
    work.revive_messages()
    work.revive_waves()
    for number, inner in children.items():
        record = own.get(f"c/{number}")
        if record is None or _is_done(record):
            revived = inner
        elif not inner.get("x", {}).get("sent"):
            del own[f"c/{number}"]  # it had not begun
            continue
        else:
            own[f"c/{number}"] = {k: v for k, v in record.items() if k != "end"}
            revived = revive(inner)
        own.update({f"c/{number}/{key}": value for key, value in revived.items()})
    for number in [key[2:] for key in own if re.fullmatch(r"c/\d+", key)]:
        if number not in children and not _is_done(own[f"c/{number}"]):
            del own[f"c/{number}"]
    return own


def _split(entities: Entities) -> tuple[Entities, dict[str, Entities]]:
    """Return a run's own entities, and those of its children by their number."""
    own: Entities = {}
    children: dict[str, Entities] = {}
    for key, value in entities.items():
        found = re.match(r"c/(\d+)/", key)
        if found is None:
            own[key] = value
        else:
            children.setdefault(found[1], {})[key[found.end() :]] = value
    return own, children


def _is_done(child: Entities) -> bool:
    """Return whether a child run has ended well."""
    return "end" in child and child["end"]["status"] == "success"


@define(eq=False)
class _FailedRun:
    """The own entities of one run, while they are revived."""

    own: Entities
    _undecided: set[str] = attrs.field(factory=set, init=False)
    _failed: list[tuple[int, str]] = attrs.field(factory=list, init=False)

    def revive_messages(self) -> None:
        """Put failed messages back, and forget how the run has ended."""
        own = self.own
        counters = dict(own.get("x") or {})
        for name in ("end", "halted", "suspended", "deadline"):
            counters.pop(name, None)
        own["x"] = counters
        for key in [key for key in own if key.startswith("j/")]:
            del own[key]
        for key in [key for key in own if key.startswith("b/")]:
            value = own.pop(key)
            if "m" in value:
                self._revive_step(int(key[2:]), value)
            else:
                self._revive_join(int(key[2:]), value["e"])
        for key in [key for key in own if key.startswith("f/")]:
            own[key] = {k: v for k, v in own[key].items() if k != "x"}

    def _revive_step(self, number: int, value: Entities) -> None:
        message = value["m"]
        self.own[f"m/{number}"] = message
        self._failed.append((message["w"], message["s"]))
        if "late" in value:
            self._forget_late_waits(message.get("z", number))

    def _forget_late_waits(self, origin: int) -> None:
        """Let a step ask again whose question was not answered in time."""
        for key, wait in list(self.own.items()):
            if key.startswith("a/") and wait["o"] == origin and wait.get("late"):
                del self.own[key]

    def _revive_join(self, number: int, expiry: Entities) -> None:
        """Start a join that had timed out, if its parents have reported since."""
        wave, step = expiry["w"], expiry["s"]
        entry = dict(self.own.get(f"d/{wave}/{step}") or {})
        reports = entry.get("g", {})
        is_complete = len(reports) >= len(entry.get("p", ()))
        if is_complete and "pruned" in reports.values():
            return
        entry.pop("x", None)
        if is_complete:
            entry["d"] = "open"
            self.own[f"s/{wave}/{step}"] = 1
            self.own[f"m/{number}"] = {"s": step, "w": wave}
        elif self._is_wave_live(wave):
            entry.pop("d", None)
        else:
            return  # its missing parents will not report any more
        self.own[f"d/{wave}/{step}"] = entry
        self._failed.append((wave, step))

    def _is_wave_live(self, wave: int) -> bool:
        return "k" not in self.own.get(f"w/{wave}", {"k": 1})

    # -- waves

    def revive_waves(self) -> None:
        """Open closed waves of failed work again, and take back its reports."""
        for wave, step in self._failed:
            self._take_back(wave, step)
        needed: set[int] = set()
        for wave, _ in self._failed:
            needed.update(self._waves_around(wave))
        for key in [key for key in self.own if key.startswith("w/")]:
            value = self.own[key]
            if "k" not in value:
                continue
            if int(key[2:]) in needed:
                self.own[key] = {k: v for k, v in value.items() if k != "k"}
            else:
                self._forget_wave(key[2:])
        rows = [one for one in self.own.pop("g", []) if one[0] not in self._undecided]
        if rows:
            self.own["g"] = rows

    def _waves_around(self, wave: int | None) -> list[int]:
        """Return a wave and the waves around it."""
        found: list[int] = []
        while wave is not None and f"w/{wave}" in self.own:
            found.append(wave)
            wave = self.own[f"w/{wave}"].get("o")
        return found

    def _forget_wave(self, number: str) -> None:
        gone = (f"s/{number}/", f"d/{number}/")
        for key in [key for key in self.own if key.startswith(gone)]:
            del self.own[key]
        del self.own[f"w/{number}"]

    def _take_back(self, wave: int, step: str) -> None:
        """Take back the reports of a step, and what followed from them."""
        for around in self._waves_around(wave):
            start = f"d/{around}/"
            for key in [key for key in self.own if key.startswith(start)]:
                self._take_back_at(around, key[len(start) :], step)

    def _take_back_at(self, wave: int, target: str, source: str) -> None:
        entry = dict(self.own[f"d/{wave}/{target}"])
        is_routed = _remove_report(entry, "r", source)
        if not (_remove_report(entry, "g", source) or is_routed):
            return
        was_dead = entry.get("x", False)
        if f"s/{wave}/{target}" not in self.own:
            if not _is_still_pruned(entry):
                entry.pop("d", None)
                self._forget_absences(wave, entry)
            if is_routed or "d" not in entry:
                entry.pop("x", None)
        self.own[f"d/{wave}/{target}"] = entry
        if was_dead and "x" not in entry:
            self._undecided.add(target)
            self._take_back(wave, target)

    def _forget_absences(self, wave: int, entry: Entities) -> None:
        """Remove reports that were made for parents because the wave was over."""
        for parent, report in list(entry.get("g", {}).items()):
            is_known = f"s/{wave}/{parent}" in self.own
            is_dead = self.own.get(f"d/{wave}/{parent}", {}).get("x", False)
            if report == "absent" and not is_known and not is_dead:
                _remove_report(entry, "g", parent)


def _remove_report(entry: Entities, kind: str, source: str) -> bool:
    """Remove a step's report, unless it has arrived; return whether one was removed."""
    reports = entry.get(kind)
    if reports is None or reports.get(source) not in {"pruned", "absent"}:
        return False
    entry[kind] = {name: one for name, one in reports.items() if name != source}
    if kind == "r" and not entry["r"]:
        del entry["r"]
    return True


def _is_still_pruned(entry: Entities) -> bool:
    """Return whether the remaining reports decide that a join does not run."""
    if "any" in entry or "d" not in entry:
        return False
    return "pruned" in entry.get("g", {}).values()
