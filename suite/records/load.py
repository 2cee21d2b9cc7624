"""Reading records of any kind and age."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pydantic

from suite.core.errors import Exit, SuiteError
from suite.records.record import SCHEMA, Attempt, Record

UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {  # n: from schema n to n + 1
    1: lambda raw: raw | {"schema_version": 2, "kind": "run"},  # before there were scan records
}


def load(text: str, *, origin: str) -> Attempt:
    """The record in `text`, of any kind, upgraded from older schemas; SuiteError names `origin` where it cannot be read."""
    from suite.records.profile import ProfileRecord  # both are made of the parts above
    from suite.records.scan import ScanRecord

    try:
        raw = json.loads(text)
        version = raw["schema_version"]
        if version > SCHEMA:
            raise SuiteError(
                f"{origin} was written by a newer suite (schema {version}; this one knows up to {SCHEMA}). Update the checkout.",
                exit=Exit.NOT_READY,
            )
        for step in range(version, SCHEMA):
            raw = UPGRADES[step](raw)
        return {"run": Record, "scan": ScanRecord, "profile": ProfileRecord}[raw["kind"]].model_validate(raw)
    except (json.JSONDecodeError, KeyError, TypeError, pydantic.ValidationError) as error:
        raise SuiteError(
            f"{origin} is not a readable record ({type(error).__name__}: {error}). Move it away to go on.", exit=Exit.NOT_READY
        ) from error
