"""Every check of the contract catches what it is there for, in a design from outside; the suite's own networks hold it."""

import json

import outside
import pytest

from suite.cli import main
from suite.core.errors import Exit
from suite.health import contract
from suite.study.outside import plugins

pytestmark = pytest.mark.usefixtures("one_thread")
FORWARD = "def forward(self, x: Tensor):\n        return super().forward(x).float()"
FAULTS = {
    "shapes": ("F.pixel_shuffle(self.last(features), self.scale)", "F.pixel_shuffle(self.last(features), self.scale)[..., 1:]"),
    "dtypes": ("def restore(self, x: Tensor)", f"{FORWARD}\n\n    def restore(self, x: Tensor)"),
    "gradients": ("scan(features)", "scan(features).detach()"),
    "batch": ("features = self.first(x)", "features = self.first(x - x.mean(dim=0))"),
    "determinism": ("features = self.first(x)", "features = self.first(x + 0.01 * torch.rand_like(x))"),
    "backends": ("return F.interpolate", "features = features + (self.scans[0].backend != 'reference')\n        return F.interpolate"),
    "tiny sibling": ("blocks=max(1, self.blocks // depth_divisor)", "blocks=self.blocks + 90"),
    "costs": ("features = self.first(x)", "features = sum(self.first(x) for _ in range(x.shape[-1]))"),
    "work": ("return self.dim * self.blocks", "return -1.0"),
    "names": ("DESIGN = Design(", "DESIGN = Design(rules=lambda config: ((r'.*', 'one'),), name="),
    "quick start": ("ColourPath(self.last)", "ColourPath(self.first)"),
    "training": ("features = self.first(x)", "features = self.first(x) * (float('nan') if self.training else 1)"),
}  # fmt: skip


def check(name, path):
    """The results of a check on the network alone."""
    with plugins.loaded([str(path)], installed=False):
        return list(contract.check_networks(["ladder-x4"], [contract.CONTRACT[name]]))


def test_every_check_has_a_fault():
    assert set(FAULTS) == set(contract.CONTRACT)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught_by_its_check(name, tmp_path):
    old, new = FAULTS[name]
    (found,) = check(
        name, outside.write(tmp_path, (old, new), ("import torch.nn.functional as F", "import torch\nimport torch.nn.functional as F"))
    )
    assert not found.holds, found.said


@pytest.mark.parametrize(
    "name", ["shapes", "dtypes", "gradients", "batch", "determinism", "backends", "tiny sibling", "names", "quick start"]
)
def test_one_of_the_suite_s_own_networks_holds_it(name):
    (found,) = contract.check_networks(["mambair-light-x2"], [contract.CONTRACT[name]])
    assert found.holds, found.said


def test_the_verb_tells_each_check_and_what_to_do_next(tmp_path, capsys):
    path = str(outside.write(tmp_path))
    words = ["check-design", path, "--only", "shapes", "--only", "batch"]
    assert main.main(words) == Exit.DONE
    assert f"All 4 checks of 2 networks hold. Next: python -m suite run --plugin {path} --grid ladder" in capsys.readouterr().out
    bad = str(outside.write(tmp_path, FAULTS["batch"]))
    assert main.main(["check-design", bad, *words[2:], "--json"]) == Exit.INCOMPLETE
    told = json.loads(capsys.readouterr().out)
    assert [(one["check"], one["holds"]) for one in told["checks"]] == [("shapes", True), ("batch", False)] * 2
    assert main.main(["check-design", path, "--only", "shape"]) == Exit.USAGE
    assert "Did you mean 'shapes'" in capsys.readouterr().err
