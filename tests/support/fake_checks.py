"""Stand-ins for the doctor's checks, which are run in processes of their own."""

import os
import sys
import time

from suite.health.doctor.findings import Diagnosis


def well(question):
    sys.stdout.write("a library talks on standard output\n")
    return [Diagnosis("", "ok", f"subject {question.subject}, ledger {question.ledger}")]


def missing(_):
    return [Diagnosis("weights", "warning", "not there", "fetch them")]


def raises(_):
    raise ValueError("this check is broken")


def dies(_):
    os.abort()


def leaves(_):
    sys.exit(7)


def leaves_in_peace(_):
    sys.exit(0)


def hangs(_):
    time.sleep(60)


def tells(_):
    """Everything that must not be told."""
    return [
        Diagnosis("", "problem", "; ".join(os.environ[name] for name in os.environ if name.startswith("TELL_")), os.environ["TELL_PATH"])
    ]
