"""Counts of networks, kept in the cache: what a network costs at another size follows from two small traces, which are made once.

They are kept by the content of all code that decides them, and by the versions of the packages; so nothing has to be told to forget them.
What checks the code itself (tests, the gate, `check-design`) traces anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from models.cache import find_in_cache
from suite.core import machine
from suite.core.files import replacing
from suite.core.paths import ROOT
from suite.measure.costs.count import Counted, Counts, count_model
from suite.measure.costs.traffic import Traffic, WatchedTraffic, count_traffic
from suite.study.outside.plugins import digest_of

FOLDER = "counts"  # of the cache
DECIDED_BY = ("models/**/*.py", "suite/measure/costs/*.py", "suite/study/baselines.py")
PACKAGES = ("torch", "fvcore", "spandrel")
Kept = TypeVar("Kept", Counted, WatchedTraffic)


def count_kept(model: str) -> Counted:
    """Return the network's counts as `count_model` does, from the cache where the same code has counted it before."""
    return _count_once(model, digest_of(model))


def is_kept(model: str) -> bool:
    """Tell whether the cache has the network's counts; a damaged file is found out when it is read."""
    path = _find("cost", model, digest_of(model))
    return path is not None and path.is_file()


def traffic_kept(model: str) -> WatchedTraffic:
    """Return what the network writes and holds as `count_traffic` does, from the cache likewise."""
    return _traffic_once(model, digest_of(model))


@cache
def _count_once(model: str, code: str) -> Counted:
    return _keep("cost", model, code, count_model, read_counted)


@cache
def _traffic_once(model: str, code: str) -> WatchedTraffic:
    return _keep("traffic", model, code, count_traffic, read_traffic)


def _keep(kind: str, model: str, code: str, make: Callable[[str], Kept], read: Callable[[dict[str, Any]], Kept]) -> Kept:
    path = _find(kind, model, code)
    if path is None:
        return make(model)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # it is absent, or damaged: it is made anew
        return read(json.loads(path.read_text(encoding="utf-8")))
    found = make(model)
    with contextlib.suppress(OSError), replacing(path) as file:  # no cache can be written: the next process counts again
        file.write(json.dumps(asdict(found)).encode())
    return found


def _find(kind: str, model: str, code: str) -> Path | None:
    return find_in_cache(FOLDER, digest_code(), f"{model}{f'-{code}' if code else ''}.{kind}.json")


@cache
def digest_code() -> str:
    """Return 16 hexadecimal digits over the code and the packages that decide a count."""
    held = hashlib.sha256()
    for pattern in DECIDED_BY:
        for path in sorted(ROOT.glob(pattern)):
            held.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    versions = machine.installed_packages()
    held.update(json.dumps({name: versions.get(name) for name in PACKAGES}).encode())
    return held.hexdigest()[:16]


def read_counted(held: dict[str, Any]) -> Counted:
    """Return the counts that `dataclasses.asdict` made `held` of; ValueError, KeyError or TypeError where it is of another form."""
    first, second = map(_read_trace, held["small"])
    return Counted(**held | {"small": (first, second), "uneven": held["uneven"] and _read_trace(held["uneven"])})


def read_traffic(held: dict[str, Any]) -> WatchedTraffic:
    """Return the traffic that `dataclasses.asdict` made `held` of; KeyError or TypeError where it is of another form."""
    return WatchedTraffic(**held | {"traffic": Traffic(**held["traffic"])})


def _read_trace(pair: list[Any]) -> tuple[tuple[int, int], Counts]:
    (height, width), found = pair
    return (height, width), Counts(**found)
