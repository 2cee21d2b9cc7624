"""Reading records of any kind and age."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from suite.core.errors import Exit, SuiteError
from suite.records.pictures import PICTURES_FOLDER, Png
from suite.records.record import RECORD_SCHEMA, Attempt, Record


def _without_texts(raw: dict[str, Any]) -> dict[str, Any]:
    """Take the pictures of a record of schema 2, base64 texts, into memory."""
    crops = [crop | {name: Png.of_text(crop[name]) for name in ("input_png", "output_png", "target_png")} for crop in raw.get("crops", ())]
    field = raw.get("receptive_field")
    fields = {"crops": crops} if "crops" in raw else {}
    fields |= {"receptive_field": field | {"map_png": Png.of_text(field["map_png"])}} if field else {}
    return raw | {"schema_version": 3} | fields


UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {  # n: from schema n to n + 1
    1: lambda raw: raw | {"schema_version": 2, "kind": "run"},  # before there were scan records
    2: _without_texts,
    3: lambda raw: raw | {"schema_version": 4},  # before a record held which test images were measured
    4: lambda raw: raw | {"schema_version": 5},  # before it held the checksums of files, and the suite's version
    5: lambda raw: raw | {"schema_version": 6},  # before evaluations held details of embedded photographs
}


def load(text: str, *, origin: str, pictures: Path | None = None) -> Attempt:
    """Return the record in `text`, of any kind, upgraded from older schemas; its pictures are in the folder `pictures`.

    Raises SuiteError, which names `origin`, where the record cannot be read.
    """
    from suite.records.kinds.evaluation import Evaluation  # all are made of the parts above
    from suite.records.kinds.profile import ProfileRecord
    from suite.records.kinds.routing import RoutingRecord
    from suite.records.kinds.scan import ScanRecord

    try:
        raw = json.loads(text)
        version = raw["schema_version"]
        if version > RECORD_SCHEMA:
            raise SuiteError(
                f"{origin} was written by a newer suite (schema {version}; this one knows up to {RECORD_SCHEMA}). Update the checkout.",
                exit=Exit.NOT_READY,
            )
        for step in range(version, RECORD_SCHEMA):
            raw = UPGRADES[step](raw)
        kinds = {"run": Record, "evaluation": Evaluation, "scan": ScanRecord, "profile": ProfileRecord, "routing": RoutingRecord}
        return kinds[raw["kind"]].model_validate(raw, context={PICTURES_FOLDER: pictures})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:  # pydantic's and JSON's are ValueErrors
        raise SuiteError(
            f"{origin} is not a readable record ({type(error).__name__}: {error}). Move it away to go on.", exit=Exit.NOT_READY
        ) from error
