"""Faults of training, definitions and the report, each with the number of the gate that must move."""

import importlib
from dataclasses import replace
from types import MappingProxyType

import torch
from faults import Mutation, constant, edit, row

SR, GAN, REAL = "training", "vmambair-sisr-x4 on real-sr-x4", "vmambair-derain on real-denoise"
UNEVEN, STOPPED, TWO = "uneven passes", "interrupted", "two workers"


def training_mode(patch):
    """Networks are measured as they train: stochastic depth drops branches."""
    patch.setattr(torch.nn.Module, "eval", lambda self: self)


def wider_model(patch):
    import models
    from models import catalog

    card = catalog.MODELS["mambair-sr-x2"]
    rows = MappingProxyType({**catalog.MODELS, card.name: replace(card, config=replace(card.config, dim=174))})
    patch.setattr(models, "MODELS", rows)


OF_TRAINING = (
    Mutation(
        "EMA off", "cells", UNEVEN, "measured weights moved", edit("suite.training.loop:Training.evaluated", "self.average is None", "True")
    ),
    Mutation("networks measured in training mode", "cells", UNEVEN, "validation", training_mode),
    Mutation(
        "validated on the test set",
        "cells",
        UNEVEN,
        "validation PSNR-Y",
        edit("suite.training.prepare:load_data", "Data(train, validation, test,", "Data(train, test, test,"),
    ),
    Mutation(
        "tested on the validation images",
        "cells",
        UNEVEN,
        "PSNR-Y/",
        edit("suite.training.prepare:load_data", "Data(train, validation, test,", "Data(train, validation, validation,"),
    ),
    Mutation(
        "every pass weighs alike",
        "cells",
        UNEVEN,
        "loss",
        edit("suite.training.loop:_step", "len(places) * run.share.world / batch", "1 / len(passes)"),
    ),
    Mutation(
        "the seed ignored where weights are drawn",
        "cells",
        STOPPED,
        "loss 1",
        edit("suite.training.loop:begin", "manual_seed(spec.seed)", "manual_seed(0)"),
    ),
    Mutation(
        "the seed ignored where patches are drawn", "cells", UNEVEN, "loss 1", edit("suite.training.prepare:make_sampler", "spec.seed", "0")
    ),
    Mutation("the seed ignored where depth is drawn", "cells", UNEVEN, "loss", edit("suite.training.loop:_draws", "run.spec.seed", "0")),
    Mutation(
        "weight decay dropped",
        "cells",
        UNEVEN,
        "weights moved",
        edit("suite.training.loop:_optimiser", "weight_decay=spec.weight_decay", "weight_decay=0.0"),
    ),
    Mutation(
        "the moving average slower",
        "cells",
        UNEVEN,
        "measured weights moved",
        edit("suite.training.loop:begin", "get_ema_multi_avg_fn(spec.ema_decay)", "get_ema_multi_avg_fn(0.99)"),
    ),
    Mutation(
        "the worst checkpoint kept as the best",
        "cells",
        UNEVEN,
        "score of checkpoint",
        edit("suite.training.checkpoints:_highest", "saved.score, -saved.iteration", "-saved.score, -saved.iteration"),
    ),
    Mutation(
        "a resumed run skips an iteration",
        "cells",
        STOPPED,
        "loss",
        edit("suite.training.loop:Training.restore", 'state["iteration"]', 'state["iteration"] + 1'),
    ),
    Mutation(
        "a resumed run loses Adam's moments",
        "cells",
        STOPPED,
        "weights moved",
        edit("suite.training.loop:Training.restore", 'self.optimiser.load_state_dict(state["optimiser"])', "pass"),
    ),
    Mutation(
        "a resumed run loses its curve",
        "cells",
        STOPPED,
        "loss 1",
        edit("suite.training.loop:Training.restore", 'for point in state["history"]', 'for point in state["history"][:0]'),
    ),
    Mutation(
        "all workers train on the first places",
        "cells",
        TWO,
        "loss",
        edit(
            "suite.training.share:Share.places",
            "range(self.rank * batch // self.world, (self.rank + 1) * batch // self.world)",
            "range(0, batch // self.world)",
        ),
    ),
    Mutation(
        "losses of workers added up",
        "cells",
        TWO,
        "two workers/loss",
        edit("suite.training.loop:_mean_over_workers", "values /= run.share.world", "pass"),
    ),
    Mutation(
        "Charbonnier's epsilon ten times as large",
        "cells",
        "losses",
        "charbonnier",
        constant("suite.training.losses:CHARBONNIER_EPSILON", 1e-2),
    ),
    Mutation(
        "the discriminator told the opposite",
        "cells",
        "losses",
        "adversarial",
        edit("suite.training.losses:adversarial_loss", "float(real)", "float(not real)"),
    ),
    Mutation(
        "Adam's betas not the recipe's", SR, GAN, "loss", edit("suite.training.loop:_optimiser", "betas=spec.betas", "betas=(0.5, 0.9)")
    ),
    Mutation(
        "gradient clipping off", SR, GAN, "loss", lambda patch: patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_, **__: None)
    ),
    Mutation(
        "learning rate falls a step late",
        SR,
        GAN,
        "loss",
        edit("suite.training.rates:_halved", "milestone <= iteration", "milestone < iteration"),
    ),
    Mutation(
        "learning rate never falls",
        SR,
        GAN,
        "loss",
        lambda patch: patch.setattr(importlib.import_module("suite.training.loop"), "learning_rate", lambda spec, _: spec.lr),
    ),
    Mutation(
        "images not mixed",
        SR,
        REAL,
        "real-denoise",
        lambda patch: patch.setattr(importlib.import_module("suite.training.batches"), "_mixture", lambda *_: None),
    ),
    Mutation(
        "mixed with another share",
        SR,
        REAL,
        "mixed batches",
        edit("suite.training.batches:make_mixed_batch", "(1 - share) * other_low", "share * other_low"),
    ),
    Mutation(
        "weights to begin with ignored",
        SR,
        "mambair-denoise on denoise-15",
        "denoise-25",
        edit("suite.training.start:read_starting_weights", "if not spec.start:", "if spec.start:"),
    ),
)

OF_TABLES = (
    Mutation(
        "a recipe's learning rate doubled",
        "definitions",
        "tables",
        "recipes/sr-x2/released",
        row("suite.study.recipes:RECIPES", "sr-x2/released", lr=4e-4),
    ),
    Mutation(
        "a recipe's moving average changed",
        "definitions",
        "tables",
        "recipes/real-sr-x4/released",
        row("suite.study.recipes:RECIPES", "real-sr-x4/released", ema_decay=0.9),
    ),
    Mutation(
        "a budget's iterations changed",
        "definitions",
        "tables",
        "budgets/quick",
        row("suite.study.budgets:BUDGETS", "quick", iterations=401),
    ),
    Mutation(
        "a task's test sets shortened", "definitions", "tables", "tasks/sr-x2", row("suite.study.tasks:TASKS", "sr-x2", test_sets=("Set5",))
    ),
    Mutation("a model of another width", "definitions", "tables", "models/mambair-sr-x2", wider_model),
    Mutation(
        "the plan halves the batch",
        "definitions",
        "cells of tasks at paper",
        "paper/batch",
        edit("suite.records.planned:derive_training", "row.batch or recipe.batch", "max(1, (row.batch or recipe.batch) // 2)"),
    ),
    Mutation(
        "the cosine ends above its floor",
        "definitions",
        "cells of tasks at paper",
        "paper/schedules",
        edit("suite.training.rates:_cosine", "math.pi * (", "3 * ("),
    ),
    Mutation(
        "a difference's sign reversed in the report",
        "report",
        "tables",
        "report/",
        edit(
            "suite.report.measured:subtract_baseline",
            "ours[seed].mean(metric) - theirs[seed].mean(metric)",
            "theirs[seed].mean(metric) - ours[seed].mean(metric)",
        ),
    ),
    Mutation(
        "the difference from the printed value reversed",
        "report",
        "tables",
        "report/",
        edit(
            "suite.report.tables.build:_published_cell",
            "cell.measured.estimate.mean - float(published)",
            "float(published) - cell.measured.estimate.mean",
        ),
    ),
    Mutation(
        "bold on the wrong side",
        "report",
        "tables",
        "report/",
        edit("suite.core.statistics.ranking:rank_values", '"higher": 1, "lower": -1', '"higher": -1, "lower": 1'),
    ),
    Mutation(
        "best and second swapped in LaTeX",
        "report",
        "tables",
        "as latex",
        edit("suite.report.formats.export_text:_dressed", "{1: best, 2: second}", "{1: second, 2: best}"),
    ),
    Mutation(
        "a comparison reversed where lower is better",
        "report",
        "comparisons",
        "LPIPS-alex",
        edit("suite.report.versus:_decided", '== "lower"', '!= "lower"'),
    ),
    Mutation(
        "p not corrected for many comparisons",
        "report",
        "comparisons",
        "report/compare",
        lambda patch: patch.setattr(importlib.import_module("suite.core.statistics.stats"), "correct_by_holm", list),
    ),
    Mutation(
        "a record's images lost when it is read",
        "report",
        "records",
        "/read",
        edit("suite.records.load:load", "raw = json.loads(text)", 'raw = json.loads(text) | {"scores": []}'),
    ),
)
