"""The selective scan, by any backend.

`selective_scan` is the scan of sequences, `scan_image` that of an image along its planar directions; `BACKENDS` the table of
implementations; `reference` the definition that all the others are judged by. A named backend is that backend or
`BackendUnavailable`; "auto" is a choice with a stated reason (`resolve_backend`), to be made once, before a run.
"""

from __future__ import annotations

from models.scan.backends import BACKENDS, Backend, BackendUnavailable, resolve_backend
from models.scan.contract import ScanInputError
from models.scan.image import scan_image
from models.scan.op import selective_scan

__all__ = ["BACKENDS", "Backend", "BackendUnavailable", "ScanInputError", "resolve_backend", "scan_image", "selective_scan"]
