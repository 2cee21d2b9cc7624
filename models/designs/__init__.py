"""DESIGNS: the table of designs, in the order in which they are listed. A design is a file here and its class in models/networks.

`FURTHER` are those that the catalogue does not list yet: their tasks, recipes and tables come with them. Their authors' weights load
(`models.official.from_official`), and they are held to their authors' code like the others.
"""

from __future__ import annotations

from models.design import Design
from models.designs import eamamba, evssm, mair, mambair, mambairv2, tpmambasr, vmambair

DESIGNS: tuple[Design, ...] = (vmambair.DESIGN, mambair.DESIGN)
FURTHER: tuple[Design, ...] = (mambairv2.DESIGN, mair.DESIGN, eamamba.DESIGN, evssm.DESIGN, tpmambasr.DESIGN)
