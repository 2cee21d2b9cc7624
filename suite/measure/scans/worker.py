"""The process in which a scan backend is timed: nothing of another backend's libraries, threads and caches is in it.

`python -m suite.measure.scans.worker` is asked {"spec": ..., "only_start": ..., "caches": ...} and says "progress" and last "start" or
"findings" (see suite.core.process). suite.measure.scans.cell starts it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from suite.core.process import Say, serve
from suite.records.spec import ScanSpec


def answer(asked: dict[str, Any], say: Say) -> None:
    """Do what is asked; what that needs is imported here, so that its output goes to standard error (suite.core.process.serve)."""
    spec = ScanSpec.model_validate(asked["spec"])

    import torch

    torch.set_num_threads(spec.threads)
    from suite.measure.scans.measure import measure_backend, time_start
    from suite.records.cell import Progress

    if asked["only_start"]:
        say("start", time_start(spec, asked["caches"]).model_dump(mode="json"))
        return
    for event in measure_backend(spec, asked["caches"]):
        if isinstance(event, Progress):
            say("progress", dataclasses.asdict(event))
        else:
            say("findings", event.model_dump(mode="json"))


if __name__ == "__main__":
    serve(answer)
