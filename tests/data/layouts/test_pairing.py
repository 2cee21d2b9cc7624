"""One rule pairs the files of two folders, whoever asks: data sets for their low-quality files, `score` for predictions."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.core.errors import SuiteError
from suite.data.layouts.pairing import check_distinct, fold_name, match_names, name_of, only_pairs, pair_up
from suite.measure.quality.scoring import pair_predictions

STEMS = st.sets(st.text(st.sampled_from("abAB_-01x2"), min_size=1, max_size=5), min_size=1, max_size=7)


def paths(folder, stems):
    return [Path(f"{folder}/{stem}.png") for stem in sorted(stems)]


@given(STEMS, STEMS, st.sampled_from(["", "x2", "_SR", "_LRBI_x2"]), st.sampled_from(["", "_HR", "_GT_x2", "_SRF_2_HR"]), st.booleans())
def test_data_sets_and_score_pair_alike(low, high, ending, target, same):
    targets, others = paths("hr", [stem + target for stem in (low if same else high)]), paths("lr", [stem + ending for stem in low])
    ours = pair_up(targets, others, scale=2)
    try:
        theirs = pair_predictions(others, targets)
    except SuiteError:
        assert ours.problems()
        return
    assert not ours.problems()
    assert {pair[1:] for pair in ours.pairs} == {pair[1:] for pair in theirs.pairs}
    assert [pair.target for pair in ours.pairs] == targets
    assert ours.rule == theirs.rule


@pytest.mark.parametrize(
    ("high", "low", "rule"),
    [
        (["Baby", "Bird"], ["babyx2", "birdx2"], "2 whatever the case of their names"),
        (["a", "B", "c"], ["a_x2", "b_x2", "c_x2"], "<name>_x2 with <name> and 1 whatever the case of their names"),
        (["a", "A"], ["a", "A"], "equal names"),
        (["a", "b", "c"], ["a", "b", "cx2"], "equal names and 1 by the beginning of their names"),
        (["a_HR", "b_HR"], ["a_mine", "b_mine"], "<name>_mine with <name>_HR"),
    ],
)
def test_what_people_call_files_is_paired_for_both(high, low, rule):
    found = pair_up(paths("hr", high), paths("lr", low), scale=2)
    assert not found.problems()
    assert found.rule == rule == pair_predictions(paths("lr", low), paths("hr", high)).rule
    assert [pair.target.stem[0].lower() for pair in found.pairs] == [pair.other.stem[0].lower() for pair in found.pairs]


def test_names_that_differ_in_their_case_alone_are_not_guessed():
    found = match_names({"Ab": Path("hr/Ab.png"), "aB": Path("hr/aB.png")}, {"ab": Path("lr/ab.png")})
    assert found.pairs == ()
    assert [path.stem for path in (*found.lonely_targets, *found.lonely_others)] == ["Ab", "aB", "ab"]


@pytest.mark.parametrize(
    ("high", "low", "said"),
    [
        (["a", "b"], ["ax2", "bx2", "a"], r"a\.png fits several low-quality files: a, ax2\. Keep one"),
        (["a", "a_HR"], ["ax2"], r"ax2\.png fits a\.png and a_HR\.png"),
        (["a"], ["a_1", "a_2"], r"a\.png fits a_1\.png and a_2\.png"),
    ],
)
def test_what_fits_several_is_said_and_refused(high, low, said):
    with pytest.raises(SuiteError, match=said):
        only_pairs(pair_up(paths("hr", high), paths("lr", low), scale=2))


def test_a_layout_s_patterns_decide_which_files_count():
    both = paths("all", ["norain-1", "norain-2", "rain-1", "rain-2", "notes"])
    found = pair_up(both, both, hq_names=("norain-{}",), lq_names=("rain-{}",))
    assert [(pair.name, pair.target.stem, pair.other.stem) for pair in found.pairs] == [
        ("1", "norain-1", "rain-1"),
        ("2", "norain-2", "rain-2"),
    ]
    assert not found.problems()
    twice = pair_up(paths("hr", ["1"]), paths("lr", ["rain-1", "rainy-1"]), hq_names=("{}",), lq_names=("rain-{}", "rainy-{}"))
    assert [path.stem for path in twice.lonely_others] == ["rain-1"]


def test_an_image_is_called_like_its_target_less_the_usual_ending():
    found = pair_up(paths("hr", ["a_HR", "b_HR"]), paths("lr", ["a_HR", "b_HR"]))
    assert [pair.name for pair in found.pairs] == ["a", "b"]
    found = pair_up(paths("hr", ["a", "a_HR"]), paths("lr", ["a", "a_HR"]))  # else two would have one name
    assert [pair.name for pair in found.pairs] == ["a", "a_HR"]


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("high", "low"), [("{}", "{}"), ("{}_HR", "{}x2"), ("{}", "{}_LRBI_x2")])
def test_composed_and_decomposed_names_are_one_name(high, low):
    for first, second in ((COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED.upper())):
        targets = [Path(f"hr/{high.format(name)}.png") for name in (first, "b")]
        others = [Path(f"lr/{low.format(name)}.png") for name in (second, "b")]
        found = pair_up(targets, others, scale=2)
        assert not found.problems()
        assert {(pair.target, pair.other) for pair in found.pairs} == {*zip(targets, others, strict=True)}
        assert COMPOSED in {pair.name for pair in found.pairs}
        assert {pair[1:] for pair in pair_predictions(others, targets).pairs} == {pair[1:] for pair in found.pairs}


SAME = {
    "case": ("a.png", "A.png", "which differ in their case alone"),
    "accents": (f"{COMPOSED}.png", f"{DECOMPOSED}.png", r"\(stored as 'cafe\\u0301\.png'\), which differ in how their accents are stored"),
    "endings": ("a.png", "a.jpg", "which differ in their endings alone"),
    "both": (f"{COMPOSED}.png", f"{DECOMPOSED.upper()}.jpg", "which differ in their case alone"),
}


@pytest.mark.parametrize("how", SAME)
def test_two_names_that_are_one_elsewhere_are_a_stated_fault(how):
    *files, said = SAME[how]
    with pytest.raises(SuiteError, match=rf"gt has two images called '.*': .* and .*{said}"):
        check_distinct((name_of(Path(f"gt/{file}")), Path(f"gt/{file}")) for file in files)
    check_distinct((name_of(Path(f"gt/{file}")), Path(f"gt/{file}")) for file in (*files[:1], "b.png", "ab.png"))


@given(st.text(max_size=8))
def test_what_is_the_same_of_all_spellings_stays_the_same(name):
    assert fold_name(fold_name(name)) == fold_name(name)
    for form in ("NFC", "NFD"):
        assert fold_name(unicodedata.normalize(form, name)) == fold_name(name)
