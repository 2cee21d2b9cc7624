"""The process of the second worker: `python -m suite.health.probes.second_worker` is asked {"meeting": FILE} and trains its share."""

from __future__ import annotations

import torch

from suite.core.process import Say, serve
from suite.health.probes.cells import train_share


def answer(asked: dict[str, str], say: Say) -> None:
    """Train beside the process that asks."""
    torch.set_num_threads(1)
    say("iterations", train_share(0, asked["meeting"]).iteration)


if __name__ == "__main__":
    serve(answer)
