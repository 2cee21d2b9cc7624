"""DESIGNS: the table of designs, in the order in which they are listed. A design is a file here and its class in models/networks."""

from __future__ import annotations

from models.design import Design
from models.designs import eamamba, evssm, mair, mambair, mambairv2, tpmambasr, vmambair

DESIGNS: tuple[Design, ...] = (
    vmambair.DESIGN,
    mambair.DESIGN,
    mambairv2.DESIGN,
    mair.DESIGN,
    eamamba.DESIGN,
    evssm.DESIGN,
    tpmambasr.DESIGN,
)
