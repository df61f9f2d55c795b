"""Whose fault a failure probably is."""

from __future__ import annotations

from collections.abc import Sequence

from ..failures import (
    FailureClassificationConfig,
    FailureClassificationContext,
    FailureKind,
    FailureReason,
    FailureRecord,
    FailureSource,
)
from .journal import Trouble
from .texts import text_of


EXTERNAL_PREFIXES = (
    "httpx",
    "requests",
    "aiohttp",
    "openai",
    "anthropic",
    "google",
    "botocore",
    "boto3",
    "redis",
    "sqlalchemy",
    "psycopg",
    "asyncpg",
)
"""Packages whose exceptions speak of the world outside."""

_FRAMEWORK_KINDS = (FailureKind.VALIDATION, FailureKind.INFRA)


def classify(
    troubles: Sequence[Trouble], config: FailureClassificationConfig
) -> list[FailureRecord]:
    """Turn troubles into records, the classifier's own failures at the end."""
    records: list[FailureRecord] = []
    diagnostics: list[FailureRecord] = []
    for trouble in troubles:
        source, problem = _source_of(trouble, config)
        records.append(
            FailureRecord(
                trouble.kind, source, trouble.reason, trouble.text, trouble.step
            )
        )
        if problem is not None:
            diagnostics.append(
                FailureRecord(
                    FailureKind.INFRA,
                    FailureSource.FRAMEWORK,
                    FailureReason.CLASSIFIER_ERROR,
                    problem,
                    trouble.step,
                )
            )
    return records + diagnostics


def _source_of(
    trouble: Trouble, config: FailureClassificationConfig
) -> tuple[FailureSource, str | None]:
    default = _default_source(trouble, config.external_dependency_prefixes)
    if config.source_classifier is None:
        return default, None
    context = FailureClassificationContext(
        trouble.error, trouble.kind, trouble.reason, trouble.step, default
    )
    try:
        answer: object = config.source_classifier(context)
    except Exception as error:  # noqa: BLE001 - the user's classifier is not our run
        return default, f"Failure classifier raised {text_of(error, typed=True)}"
    if answer is None:
        return default, None
    if isinstance(answer, FailureSource):
        return answer, None
    return (
        default,
        f"Failure classifier returned {type(answer).__name__}, not a FailureSource",
    )


def _default_source(trouble: Trouble, prefixes: Sequence[str]) -> FailureSource:
    module = type(trouble.error).__module__ or ""
    if module.startswith((*EXTERNAL_PREFIXES, *prefixes)):
        return FailureSource.EXTERNAL_DEP
    if trouble.kind in _FRAMEWORK_KINDS:
        return FailureSource.FRAMEWORK
    return FailureSource.USER_CODE
