"""Children of a supervisor: their restarts and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util.lazy_import import install_lazy_exports


if TYPE_CHECKING or not install_lazy_exports(__name__):
    from . import resource as resource
    from .child import (
        ChildSpec as ChildSpec,
        ServiceStatus as ServiceStatus,
    )
    from .resource_calls import with_resources as with_resources
    from .service_function import check_service_function as check_service_function
