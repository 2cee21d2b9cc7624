"""Mutated files for two seconds; `python tests/bench/fuzz_images.py --seconds 60` is the minute."""

import pytest
from fuzzed_images import fuzz, make_seeds

from suite.data import opener


@pytest.mark.filterwarnings("ignore")  # Pillow's, as in the verbs
def test_no_mutated_file_breaks_a_reader(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(opener.LIMIT, "1")
    tried, read = fuzz(tmp_path, 2.0)
    assert tried > len(make_seeds())
    assert 0 < read < tried
    assert capfd.readouterr().err == ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("error", [KeyError(273), TypeError("Missing dimensions"), AssertionError()])
def test_a_decoder_that_raises_what_is_not_caught_is_found(tmp_path, monkeypatch, error):
    def broken(_):
        raise error

    monkeypatch.setattr("fuzzed_images.read_stored", broken)
    with pytest.raises(AssertionError, match=type(error).__name__):
        fuzz(tmp_path, 0.0)
