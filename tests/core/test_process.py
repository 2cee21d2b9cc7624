"""Processes of our own: what is said comes by kind, whatever the module prints; one that fails leaves its last words."""

import os

import pytest

from suite.core.process import ChildDied, ask, environment_for


def test_what_a_function_says_comes_alone_and_a_failure_leaves_its_last_words(tmp_path):
    code = 'print("at import")\n\ndef answer(asked, say):\n    print("when called")\n    say("twice", 2 * asked)\n'
    (tmp_path / "loud.py").write_text(code)
    environment = environment_for(1)
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path)])
    assert list(ask("loud:answer", 21, environment, "a test")) == [("twice", 42)]
    with pytest.raises(ChildDied, match=r"the process of a test ended with 1:[\s\S]*at import[\s\S]*no attribute 'nothing'"):
        list(ask("loud:nothing", 21, environment, "a test"))
