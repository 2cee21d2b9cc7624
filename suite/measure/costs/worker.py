"""The process in which a network is timed: its first call is the first of the process.

`python -m suite.measure.costs.worker` is asked {"spec": ..., "seconds": ..., "threads": ...} and says "latency" or, where the network does
not fit, "reason"; or it is asked {"claim": ..., "threads": ...} (suite.measure.costs.claim_v4) and says "pairs". suite.core.process is how
they talk.
"""

from __future__ import annotations

from typing import Any

from suite.core.process import Say, serve
from suite.records.profile import ProfileSpec


def answer(asked: dict[str, Any], say: Say) -> None:
    """Do what is asked; what that needs is imported here, so that its output goes to standard error (suite.core.process.serve)."""
    import torch

    torch.set_num_threads(asked["threads"])
    if "claim" in asked:
        from suite.measure.costs import claim_v4

        say("pairs", claim_v4.measure_pairs(claim_v4.Asked(**asked["claim"])))
        return
    from suite.measure.costs.latency import measure_latency

    try:
        say("latency", measure_latency(ProfileSpec.model_validate(asked["spec"]), asked["seconds"]).model_dump(mode="json"))
    except torch.OutOfMemoryError as error:
        say("reason", f"did not fit: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    serve(answer)
