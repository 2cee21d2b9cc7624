"""The process in which a scan backend is timed: nothing of another backend's libraries, threads and caches is in it.

`python -m suite.scan_worker` reads one line of JSON, {"spec": ..., "only_start": ..., "caches": ...}, from standard input and writes lines
of JSON, {"progress": ...} and last {"start": ...} or {"findings": ...}, to standard output. It ends when standard input is closed, as it
is when the process that started it dies. suite.scan_cell starts it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from typing import TextIO

from suite.spec import ScanSpec


def main() -> None:
    """Does what the first line of standard input asks."""
    asked = json.loads(sys.stdin.readline())
    spec = ScanSpec.model_validate(asked["spec"])
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    out = _own_output()

    import torch

    torch.set_num_threads(spec.threads)
    from suite.cell import Progress
    from suite.scan_measure import measure, start

    if asked["only_start"]:
        _say(out, "start", start(spec, asked["caches"]).model_dump(mode="json"))
        return
    for event in measure(spec, asked["caches"]):
        if isinstance(event, Progress):
            _say(out, "progress", dataclasses.asdict(event))
        else:
            _say(out, "findings", event.model_dump(mode="json"))


def _own_output() -> TextIO:
    """Standard output for us alone; what libraries and compilers print goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _say(out: TextIO, kind: str, value: object) -> None:
    out.write(json.dumps({kind: value}) + "\n")
    out.flush()


def _end_with_the_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
