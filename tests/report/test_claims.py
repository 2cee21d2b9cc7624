"""Verdicts on the papers' claims, from made-up records with known answers."""

import numpy as np
import pytest
import synthetic_records as made
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite.records.kinds.profile import Latency
from suite.records.record import ImageScore, ProtocolUsed, ReceptiveField, StartedFrom
from suite.report import comparable
from suite.report.claims.judge import count_hints, count_words, judge_claims, summarise
from suite.report.tables import given as given_files
from suite.study.claims import load_claims, tables_by_id

SETS = load_claims()
FULL, ONE_WAY, NO_CHANNEL, NO_EFFN, LINEAR = made.VMAMBAIR
CLASSIC = made.MAMBAIR[0]
NTIRE = "NTIRE2020-T1"


def run_of(model, *, shift=0.0, seed=0, images=None, noise=0.02, metric="PSNR-Y", budget="paper", test_set=NTIRE, mean=28.0, **fields):
    """A done record with scores around `mean + shift`, harder images alike for all models, and noise of its own seed."""
    base = made.done(CLASSIC if model in ("bicubic", "identity") else model, crops=False)
    spec = made.spec(model, budget=budget, seed=seed, test_set=test_set)
    spec = spec.model_copy(update=({"task": "real-sr-x4"} if model == "bicubic" else {}) | fields)
    images = images or (made.images_of(test_set) if budget == "paper" else 24)
    own = np.random.default_rng([seed, len(model), int(1e3 * abs(shift))]).normal(0, noise, images)
    values = mean + 3 * np.sin(np.arange(images)) - 3 * np.sin(np.arange(images)).mean() + own - own.mean() + shift
    name, _, version = spec.protocol.partition("@")
    return base.model_copy(
        update={
            "spec": spec,
            "fingerprint": spec.fingerprint,
            "scores": tuple(ImageScore(image=f"{place}", metrics={metric: float(value)}) for place, value in enumerate(values)),
            "protocol": ProtocolUsed(name=name, version=int(version), statement=""),
            "receptive_field": None,
        }
    )


def judged(claim, *records):
    sets = [one.model_copy(update={"claims": tuple(c for c in one.claims if c.id == claim)}) for one in SETS]
    (found,) = judge_claims(sets, records)
    return found


def seeds(model, count=3, **how):
    return [run_of(model, seed=seed, **how) for seed in range(count)]


# Costs.


def test_a_printed_cost_holds_where_the_measured_one_rounds_to_it_and_else_does_not():
    record = made.profile(FULL, macs=19.45e9, conventions={"fvcore": 19.45e9, "half": 9.725e9}, layer_params=9_000_000)
    params, macs = judged("vmambair-2-vmambair-params", record), judged("vmambair-2-vmambair-macs", record)
    assert (params.word, params.parts[0].measured, params.parts[0].reason) == ("holds", 10.497813, "counted exactly")
    assert params.parts[0].records == (record.fingerprint,)
    assert macs.word == "does not hold"
    assert "fvcore 19.45, half 9.72" in macs.parts[0].reason
    assert "-5.12%" in macs.parts[0].reason
    assert macs.parts[0].visible == 0.05


@pytest.mark.parametrize(
    ("macs", "word"), [(20.449e9, "does not hold"), (20.4501e9, "holds"), (20.549e9, "holds"), (20.551e9, "does not hold")]
)
def test_the_last_printed_digit_decides(macs, word):
    assert judged("vmambair-2-vmambair-macs", made.profile(FULL, macs=macs)).word == word


def test_a_convention_that_gives_the_printed_number_is_named_with_the_full_count():
    record = made.profile("mambair-light-x2", (360, 640), macs=334.11e9, conventions={"fvcore": 334.11e9, "half": 167.055e9})
    (part,) = judged("mambair-4-ours-x2-macs", record).parts
    assert (part.word, part.measured) == ("holds", 167.055)
    assert part.reason == "by the convention half; in full 334.11"


def test_a_cost_at_another_size_is_no_evidence_and_the_command_names_the_size():
    found = judged("mambair-4-ours-x2-macs", made.profile("mambair-light-x2", (64, 64)))
    assert found.word == "not tested"
    assert found.parts[0].reason == "not counted yet at 360x640"
    assert found.commands == ("python -m suite profile mambair-light-x2 --size 360x640",)


def test_parameters_of_an_old_record_do_not_refute_what_layers_alone_may_give():
    old, new = (made.profile("mambair-light-x2.generation-2", params=1_363_320, **more) for more in ({}, {"layer_params": 859_320}))
    assert judged("mambair-4-eccv-ours-x2-params", old).word == "not tested"
    (part,) = judged("mambair-4-eccv-ours-x2-params", new).parts
    assert (part.word, part.measured, part.reason) == ("holds", 859.32, "by the convention thop; in full 1,363.3")
    wrong = made.profile("mambair-light-x2.generation-2", params=1_363_320, layer_params=860_000)
    assert judged("mambair-4-eccv-ours-x2-params", wrong).word == "does not hold"


def test_a_guessed_network_decides_no_cost():
    found = judged("vmambair-4-v3-macs", made.profile(NO_EFFN, macs=20.03e9))
    assert (found.word, found.commands) == ("not tested", ())
    assert "block counts" in found.parts[0].reason


def test_a_row_without_a_network_is_not_tested_and_no_command_decides_it():
    found = judged("mambair-4-eccv-ours-x4-params", made.profile(FULL))
    assert (found.word, found.commands) == ("not tested", ())


@pytest.mark.parametrize(("share", "word"), [(0.248, "holds"), (0.26, "holds"), (0.27, "does not hold")])
def test_26_percent(share, word):
    records = made.profile(FULL, macs=share * 78.44e9), made.profile("mm-realsr", macs=78.44e9)
    (part,) = judged("vmambair-2-26-percent", *records).parts
    assert (part.word, part.printed) == (word, 0.261)
    assert part.measured == pytest.approx(share)
    assert judged("vmambair-2-26-percent", records[0]).word == "not tested"


def test_a_failed_record_is_no_evidence():
    record = made.profile(FULL).model_copy(update={"status": "failed"})
    assert judged("vmambair-2-vmambair-params", record).word == "not tested"


def timed(model, milliseconds, *, device="cuda", size=(64, 64), noise=0.001, samples=40):
    record = made.profile(model, size, latency=1.0)
    values = tuple(float(v) for v in milliseconds * (1 + noise * np.random.default_rng(len(model)).normal(size=samples)))
    spec = record.spec.model_copy(update={"device": device})
    latency = Latency(
        cold_ms=9.0, warm_up=3, samples_ms=values, median_ms=float(np.median(values)), quartiles_ms=(min(values), max(values)), noisy=False
    )
    return record.model_copy(update={"spec": spec, "fingerprint": spec.fingerprint, "latency": latency})


@pytest.mark.parametrize(
    ("slower", "noise", "word"),
    [(1.086, 0.001, "holds"), (1.0, 0.001, "does not hold"), (1.3, 0.001, "does not hold"), (1.05, 0.2, "too close to tell")],
)
def test_the_speed_of_v4_on_a_gpu(slower, noise, word):
    records = timed(FULL, 10.0, noise=noise), timed(LINEAR, 10.0 * slower, noise=noise)
    found = judged("vmambair-4-v4-speed", *records)
    assert found.word == word
    assert found.parts[0].interval[0] < found.parts[0].measured < found.parts[0].interval[1]
    assert any("not timed in turn" in text for text in found.parts[0].leaves_out)


def test_a_time_on_a_processor_is_a_hint_alone_and_two_places_are_never_mixed():
    found = judged("vmambair-4-v4-speed", timed(FULL, 10.0, device="cpu"), timed(LINEAR, 10.86, device="cpu"))
    assert (found.word, found.hint.word) == ("not tested", "agrees")
    mixed = judged("vmambair-4-v4-speed", timed(FULL, 10.0), timed(LINEAR, 10.86, device="cpu"))
    assert (mixed.word, mixed.hint.measured) == ("not tested", None)


@pytest.mark.parametrize(("power", "word"), [(1.0, "holds"), (2.0, "does not hold"), (1.25, "does not hold")])
def test_growth_with_the_pixels(power, word):
    records = [timed(FULL, (side / 64) ** (2 * power), size=(side, side)) for side in (64, 128, 256, 512)]
    (part,) = judged("vmambair-linear-growth", *records).parts
    assert part.word == word
    assert part.measured == pytest.approx(power, abs=0.01)
    assert judged("vmambair-linear-growth", *records[:3]).word == "not tested"
    near = [timed(FULL, 1.0, size=(side, side)) for side in (64, 72, 80, 96)]
    assert judged("vmambair-linear-growth", *near).word == "not tested"


def test_the_cost_that_a_training_holds_is_counted_one_way_and_refutes_nothing():
    record = made.done(FULL, crops=False)  # 10,497,813 parameters and 19.45 G, as fvcore counts
    assert judged("vmambair-2-vmambair-params", record).word == "holds"
    assert judged("vmambair-2-vmambair-macs", record).word == "not tested"
    assert judged("vmambair-4-v1-saves", record, made.done(ONE_WAY, crops=False)).word == "not tested"
    profiled = made.profile(FULL, macs=20.5e9)
    assert judged("vmambair-2-vmambair-macs", record, profiled).parts[0].records == (profiled.fingerprint,)


# Trainings under the paper's conditions.


def test_no_record_tests_nothing():
    found = judge_claims(SETS, [])
    assert {one.word for one in found} == {"not tested"}
    assert count_words(found)["not tested"] == len(found)
    assert all(one.parts[0].reason for one in found)
    assert summarise(found)[1].endswith("11 cannot be told (11 of these were not trained).")


@pytest.mark.parametrize(
    ("gain", "noise", "word"),
    [(0.4, 0.02, "holds"), (-0.4, 0.02, "does not hold"), (0.0, 0.005, "does not hold"), (0.05, 0.6, "too close to tell")],
)
def test_an_ablation_with_three_seeds_above_below_and_around(gain, noise, word):
    records = seeds(FULL, noise=noise) + seeds(ONE_WAY, noise=noise, shift=-gain)
    if word == "too close to tell":  # trainings differ, too
        records[0], records[3] = run_of(FULL, shift=0.3), run_of(ONE_WAY, shift=-0.3)
    found = judged("vmambair-4-v1", *records)
    (part,) = found.parts
    assert found.word == word
    assert part.evidence == "training"
    assert part.measured == pytest.approx(
        np.mean([a.mean("PSNR-Y") - b.mean("PSNR-Y") for a, b in zip(records[:3], records[3:], strict=True)])
    )
    assert part.interval[0] < part.measured < part.interval[1]
    assert part.visible > 0
    assert set(part.records) == {record.fingerprint for record in records}
    assert found.hint.measured is None  # no training at another budget


def test_one_seed_gives_no_verdict_on_designs_and_says_what_is_left_out():
    (part,) = judged("vmambair-4-v1", run_of(FULL), run_of(ONE_WAY, shift=-2)).parts
    assert part.word == "too close to tell"
    assert part.interval is not None
    assert any("training noise: one seed" in text for text in part.leaves_out)


def test_equal_designs_need_an_interval_within_what_matters():
    words = [judged("vmambair-4-v4", *seeds(FULL), *seeds(LINEAR, shift=shift)).word for shift in (0.0, 0.3, -0.3)]
    assert words == ["holds", "does not hold", "does not hold"]
    wide = [*seeds(FULL, 2, noise=1.0), *seeds(LINEAR, 2, noise=1.0)]
    wide[0] = run_of(FULL, shift=0.1, noise=1.0)
    assert judged("vmambair-4-v4", *wide).word == "too close to tell"


def test_every_column_has_to_hold_and_one_that_does_not_refutes(monkeypatch):
    monkeypatch.setattr(comparable, "TEST_IMAGES", dict.fromkeys(("Set5", "Set14", "Urban100"), 24))  # of five nothing can be told

    def both(test_set, gain):
        how = {"test_set": test_set, "images": 24}
        return [*seeds(CLASSIC, **how), *seeds("mambair-sr-x2.one-direction", shift=-gain, **how)]

    assert judged("mambair-2-one", *both("Set5", 0.3)).word == "not tested"
    every = [*both("Set5", 0.3), *both("Set14", 0.3), *both("Urban100", 0.3)]
    assert judged("mambair-2-one", *every).word == "holds"
    found = judged("mambair-2-one", *both("Set5", 0.3), *both("Set14", -0.3))
    assert found.word == "does not hold"
    assert [part.word for part in found.parts] == ["holds", "does not hold", "not tested"]


def test_a_deviation_of_the_suites_network_is_named():
    (part,) = judged("vmambair-4-v3", *seeds(FULL), *seeds(NO_EFFN, shift=-0.4)).parts
    assert any("block counts" in text for text in part.leaves_out)


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 16},
        {"depth_divisor": 2},
        {"budget": "standard"},
        {"test_set": "photos"},
        {"protocol": "derain-matlab@2"},
        {"task": "sr-x4"},
    ],
)
def test_what_is_unlike_the_paper_is_never_a_verdict(fields):
    how = {key: fields[key] for key in fields if key in ("budget", "test_set")}
    rest = {key: fields[key] for key in fields if key not in how}
    found = judged("vmambair-4-v1", *seeds(FULL, **how, **rest), *seeds(ONE_WAY, shift=-0.4, **how, **rest))
    assert found.word == "not tested"
    assert found.hint.word == ("cannot tell" if "task" in fields else "agrees")


def test_claims_that_the_papers_own_table_contradicts_are_marked():
    assert judged("mambair-1-mlp").notes[1:] == (
        "set14: the paper's own table prints the contrary",
        "urban100: the paper's own table prints the contrary",
    )
    assert "aim2019-psnr: the paper's own table prints the contrary" in judged("vmambair-2-consistently").notes
    assert "test1200-ssim: the paper's own table prints no difference" in judged("vmambair-3-restormer-ssim").notes
    assert not judged("vmambair-1-beats-spsr").notes  # LPIPS: less is better


# Against printed numbers.


@pytest.fixture(autouse=True)
def _authors_files(monkeypatch):
    """The weights that `weighed` measures are the authors' own, of every row."""
    register = given_files.load_register()
    rows = tuple(f"{table.id}/{row.key}" for table in tables_by_id().values() for row in table.rows)
    files = [register.files[0].model_copy(update={"sha256": sha * 32, "origin": "made up", "rows": rows}) for sha in ("ab", "cd")]
    monkeypatch.setattr(given_files, "load_register", lambda: register.model_copy(update={"files": tuple(files)}))


def weighed(model, test_set, mean, *, metric="PSNR-Y", sha="ab" * 32, **fields):
    """Given weights, measured and not trained."""
    record = run_of(model, test_set=test_set, mean=mean, metric=metric, iterations=0, start="weights.pth", **fields)
    return record.model_copy(update={"started_from": StartedFrom(source="weights.pth", sha256=sha, tensors=9)})


@pytest.mark.parametrize(("mean", "word"), [(38.57, "holds"), (38.43, "holds"), (38.422, "does not hold"), (38.30, "does not hold")])
def test_given_weights_against_a_printed_number(mean, word):
    part, *rest = judged("mambair-3-x2-beats-swinir", weighed(CLASSIC, "Set5", mean)).parts
    assert (part.what, part.printed, part.word, part.evidence) == ("set5-psnr", 0.15, word, "weights")
    assert part.measured == pytest.approx(mean - 38.42)
    assert part.interval == pytest.approx((mean - 38.425, mean - 38.415))  # the printed number is rounded
    assert part.visible == 0.005
    assert {one.word for one in rest} == {"not tested"}
    assert any("abababab" in text for text in part.leaves_out)
    assert any("one set of weights" in text for text in part.leaves_out)


def test_who_claims_less_than_what_matters_need_show_less():
    (place,) = [i for i, part in enumerate(judged("mambair-3-x2-beats-srformer").parts) if part.what == "bsds100-psnr"]
    parts = [judged("mambair-3-x2-beats-srformer", weighed(CLASSIC, "BSD100", mean)).parts[place] for mean in (32.577, 32.572, 32.568)]
    assert [(part.printed, part.word) for part in parts] == [(0.01, "holds"), (0.01, "does not hold"), (0.01, "does not hold")]
    three = [run_of(CLASSIC, test_set="BSD100", mean=32.57 + 0.01 * (seed - 1), seed=seed) for seed in range(3)]
    assert judged("mambair-3-x2-beats-srformer", *three).parts[place].word == "too close to tell"


def test_given_weights_measured_otherwise_are_no_evidence():
    for fields in ({"protocol": "derain-matlab@2"}, {"width": 16}):
        assert judged("mambair-3-x2-beats-swinir", weighed(CLASSIC, "Set5", 39.0, **fields)).parts[0].word == "not tested"
    assert judged("mambair-3-x2-beats-swinir", weighed(CLASSIC, "photos", 39.0)).parts[0].word == "not tested"


def test_a_metric_of_which_less_is_better():
    good, bad = (weighed("vmambair-realsr-x4", NTIRE, mean, metric="LPIPS-vgg", noise=0.0, protocol="real-sr@1") for mean in (0.33, 0.36))
    assert judged("vmambair-2-beats-swinir", good).parts[0].word == "holds"
    part = judged("vmambair-2-beats-swinir", bad).parts[0]
    assert (part.what, part.word) == ("ntire2020-lpips", "does not hold")


def test_trainings_against_a_printed_number_need_two_seeds():
    one = [run_of(CLASSIC, test_set="Set5", mean=38.57)]
    assert judged("mambair-3-x2-beats-swinir", *one).parts[0].word == "too close to tell"
    three = [run_of(CLASSIC, test_set="Set5", mean=38.57 + 0.01 * seed, seed=seed) for seed in range(3)]
    part = judged("mambair-3-x2-beats-swinir", *three).parts[0]
    assert (part.word, part.evidence) == ("holds", "training")
    assert part.interval[0] == pytest.approx(0.16 - 4.3027 * 0.01 / 3**0.5 - 0.005, abs=1e-4)
    # Two seeds go before weights, weights before one seed.
    assert judged("mambair-3-x2-beats-swinir", *three, weighed(CLASSIC, "Set5", 38.0)).parts[0].evidence == "training"
    assert judged("mambair-3-x2-beats-swinir", *one, weighed(CLASSIC, "Set5", 38.0)).parts[0].evidence == "weights"


# Hints.


@pytest.mark.parametrize(("gain", "word"), [(0.4, "agrees"), (-0.4, "contradicts"), (0.0, "cannot tell")])
def test_trainings_at_another_budget_hint_and_never_decide(gain, word):
    records = seeds(FULL, budget="quick", test_set="photos") + seeds(ONE_WAY, budget="quick", test_set="photos", shift=-gain)
    found = judged("vmambair-4-v1", *records)
    assert (found.word, found.hint.word) == ("not tested", word)
    assert found.hint.pairs == 3 * 24
    assert found.hint.kept == (72 if gain > 0 else 0 if gain < 0 else found.hint.kept)
    assert "quick budget" in found.hint.setting
    every = judge_claims(SETS, records)
    assert {one.word for one in every if one.claim.kind == "quality"} == {"not tested"}
    assert count_hints(every) == {"agrees": 0, "contradicts": 0, "cannot tell": 10, "not trained": 10} | (
        {word: 1} if word != "cannot tell" else {"cannot tell": 11}
    )


def test_one_seed_hints_at_nothing():
    hint = judged("vmambair-4-v1", run_of(FULL, budget="quick"), run_of(ONE_WAY, budget="quick", shift=-2)).hint
    assert (hint.word, hint.reason) == ("cannot tell", "one seed")
    assert hint.interval is not None
    assert (hint.kept, hint.pairs) == (24, 24)


@pytest.mark.parametrize(("bicubic", "word"), [(27.0, "agrees"), (27.8, "cannot tell"), (29.0, "cannot tell")])
def test_below_bicubic_nothing_can_be_told(bicubic, word):
    records = seeds(FULL, budget="quick") + seeds(ONE_WAY, budget="quick", shift=-0.4)
    hint = judged("vmambair-4-v1", *records, run_of("bicubic", budget="quick", mean=bicubic)).hint
    assert hint.word == word
    assert ("bicubic" in hint.reason) == (word == "cannot tell")
    other = judged("vmambair-4-v1", *records, run_of("bicubic", budget="quick", mean=bicubic, images=12)).hint
    assert other.word == "agrees"  # of other images


def test_of_several_conditions_two_seeds_go_before_the_longest():
    short = seeds(FULL, 3, budget="quick") + seeds(ONE_WAY, 3, budget="quick", shift=-0.4)
    long = [run_of(FULL, budget="quick", iterations=9000), run_of(ONE_WAY, budget="quick", iterations=9000, shift=0.4)]
    assert judged("vmambair-4-v1", *long, *short).hint.word == "agrees"
    more = [run_of(FULL, budget="quick", iterations=9000, seed=1), run_of(ONE_WAY, budget="quick", iterations=9000, seed=1, shift=0.4)]
    assert judged("vmambair-4-v1", *long, *short, *more).hint.word == "contradicts"


def field(model, share, *, seed=0, **how):
    shares = {"20": 0.01, "30": 0.02, "50": 0.1, "99": share}
    return run_of(model, seed=seed, **how).model_copy(
        update={"receptive_field": ReceptiveField(side=64, map_png=made.png(), shares=shares, images=6)}
    )


@pytest.mark.parametrize(
    ("share", "word", "hint"), [(0.97, "holds", "agrees"), (0.5, "does not hold", "contradicts"), (0.9, "too close to tell", "cannot tell")]
)
def test_the_receptive_field(share, word, hint):
    values = enumerate((share, share + 0.001, share - 0.001))
    paper = [field(CLASSIC, value, seed=seed, test_set="Set5") for seed, value in values]
    assert judged("mambair-global-field", *paper).word == word
    values = enumerate((share, share + 0.001, share - 0.001))
    quick = [field(CLASSIC, value, seed=seed, budget="quick", test_set="photos") for seed, value in values]
    found = judged("mambair-global-field", *quick)
    assert (found.word, found.hint.word) == ("not tested", hint)
    assert judged("mambair-global-field", quick[0]).hint.word == "cannot tell"


# Rules that hold whatever is measured.

MANY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.floats(-1, 1), st.floats(0.001, 1), st.integers(1, 4), st.sampled_from(["quick", "standard", "paper"]), st.floats(20, 32))
def test_rules_of_an_ablation(gain, noise, count, budget, bicubic):
    records = seeds(FULL, count, budget=budget, noise=noise) + seeds(ONE_WAY, count, budget=budget, noise=noise, shift=-gain)
    found = judged("vmambair-4-v1", *records, run_of("bicubic", budget=budget, mean=bicubic))
    (part,) = found.parts
    if budget != "paper":
        assert found.word == "not tested"
        if count == 1 or bicubic >= 28 - max(gain, 0):
            assert found.hint.word == "cannot tell"
        low, high = found.hint.interval
        assert (found.hint.word == "agrees") <= (low > 0)
        assert (found.hint.word == "contradicts") <= (high < 0)
    else:
        assert found.hint.word == "cannot tell"
        low, high = part.interval
        assert (part.word in ("holds", "does not hold")) <= (count > 1)
        if count > 1:
            assert part.word == ("holds" if low > 0 else "does not hold" if high < 0.05 else "too close to tell")


@MANY
@given(st.integers(10_000_000, 11_000_000), st.one_of(st.none(), st.integers(10_000_000, 11_000_000)))
def test_rules_of_a_printed_count(params, layers):
    (part,) = judged("vmambair-2-vmambair-params", made.profile(FULL, params=params, layer_params=layers)).parts
    rounds = [value for value in (params, layers) if value is not None and 10_495_000 <= value <= 10_505_000]
    assert part.word == ("holds" if rounds else "does not hold" if layers is not None else "not tested")
    if rounds:
        assert part.measured == rounds[0] / 1e6
