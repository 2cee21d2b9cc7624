"""The ledger as a table of pandas, e.g. means over seeds:

held = frame(Ledger())
held[held.status == "done"].groupby(["task", "model"])["PSNR-Y"].agg(["mean", "std", "count"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suite.records import index
from suite.records.ledger import Ledger

if TYPE_CHECKING:
    import pandas


def frame(ledger: Ledger, on_unreadable: index.OnUnreadable = None, *, every_attempt: bool = False) -> pandas.DataFrame:
    """Return one row a record: the one that stands for its cell, or every attempt at it; the columns are those of `suite.records.summary`.

    A file that cannot be read raises SuiteError with its path; with `on_unreadable` it is handed over and left out.
    """
    import pandas

    return pandas.DataFrame(index.read_columns(ledger, on_unreadable, every_attempt=every_attempt)).convert_dtypes()
