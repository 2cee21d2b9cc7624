"""DESIGNS: the table of designs, in the order in which they are listed. A design is a file here and its class in models/networks."""

from __future__ import annotations

from models.design import Design
from models.designs import eamamba, evssm, mair, mambair, mambairv2, tpmambasr, vmambair

_FILES = (vmambair, mambair, mambairv2, mair, eamamba, evssm, tpmambasr)
DESIGNS: tuple[Design, ...] = tuple(file.DESIGN for file in _FILES)
