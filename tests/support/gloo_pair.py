"""Trains cells as one of two workers, without Ray: `python gloo_pair.py RANK FOLDER`; FOLDER/specs.json has the specs and passes by name.

The first worker leaves FOLDER/<name>/checkpoint.pt, the state at the end.
"""

import json
import sys
from pathlib import Path

import torch
from fake_cells import random_perceptual

from suite.data.feed.training_set import load_training
from suite.records.cell import CellContext
from suite.records.spec import RunSpec
from suite.study.tasks import task
from suite.training import checkpoints, loop, losses
from suite.training.prepare import prepare_training
from suite.training.share import Share

if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    losses.load_perceptual_loss = random_perceptual
    torch.distributed.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    for name, (fields, micro_batch) in json.loads((folder / "specs.json").read_text()).items():
        spec = RunSpec.model_validate(fields)
        context = CellContext(folder / name, threads=1, launcher="inline", backend_reason="a test")
        run, sampler = prepare_training(spec, context, Share(rank, 2, micro_batch), load_training(spec.train_set, task(spec.task)))
        for _ in loop.train(run, sampler, [], folder / "nothing", keep=lambda _run: None):
            pass
        if rank == 0:
            checkpoints.save(folder / name, run.state())
    torch.distributed.destroy_process_group()
