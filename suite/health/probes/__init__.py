"""PROBES: the numbers that the gate watches, in groups, each made from fixed seeds on the processor.

A number has a kind, which says how it is compared (suite.health.gate.NUMBER_KINDS), and the version of what it rests on (a protocol's, a
degradation's): where that has changed, it is not comparable. Nothing is read but the embedded photographs and the suite's own tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from suite.health.probes import cells, definitions, networks, outside, pictures, report, scans, training
from suite.health.probes.number import DATA, Kind, Number, Probe, ProbePart, digest
from suite.study.outside.plugins import list_loaded

__all__ = ["DATA", "PROBES", "Kind", "Number", "Probe", "ProbePart", "choose_probes", "digest"]

PROBES: Mapping[str, Probe] = MappingProxyType(
    {
        row.name: row
        for row in (
            Probe(
                "networks", "parameters, layers and official names of every network, multiply-adds of the watched tiny ones", networks.parts
            ),
            Probe("outputs", "what the watched tiny networks make of fixed inputs", networks.output_parts),
            Probe("scans", "each scan backend against float64", scans.parts),
            Probe("data", "bytes of test images and training batches of every task", pictures.data_parts),
            Probe("protocols", "every protocol's numbers of made-up pairs, and the baselines' of photographs", pictures.protocol_parts),
            Probe("inference", "tiles, self-ensemble, networks on odd sizes", pictures.inference_parts),
            Probe("training", "losses and quality after a few steps: two designs on every task, each other one on one", training.parts),
            Probe("cells", "whole cells: uneven passes, interrupted, by two workers", cells.parts),
            Probe(
                "definitions",
                "recipes, budgets, tasks, grids, protocols, printed numbers, and the cells planned from them",
                definitions.parts,
            ),
            Probe("report", "tables, comparisons and exports of made-up records", report.parts),
        )
    }
)


def choose_probes() -> Mapping[str, Probe]:
    """Return the probes of the gate: the suite's own, or those of designs from outside where such are loaded."""
    return outside.OUTSIDE if list_loaded() else PROBES
