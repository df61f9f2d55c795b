"""Validate a definition and compile it to a plan.  Pure: no I/O and no tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from .._util.forms import form_of as form_of
    from . import lost_updates as lost_updates
    from .compiler import (
        PipeSettings as PipeSettings,
        PlanCache as PlanCache,
    )
    from .description import (
        describe as describe,
        fingerprint as fingerprint,
        step_infos as step_infos,
        topology_of as topology_of,
    )
    from .merge_rules import root_rule as root_rule
    from .validation import (
        context_of as context_of,
        validate as validate,
    )
