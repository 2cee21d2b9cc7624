"""Room that Ray keeps for the dead: where Ray does not tell whose it is, that is said. tests/training/test_workers.py has it given back."""

import sys

from suite.training import abandoned


def test_a_ray_that_does_not_tell_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray._private.state", None)
    assert "this Ray does not say whose room is free again (ModuleNotFoundError" in abandoned.give_back()
