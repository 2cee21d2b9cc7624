"""Scoring two folders: pairing by name, one protocol, all protocols, what is refused and how it is said."""

import argparse
import contextlib
import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from suite.cli.measure import score as verb_score
from suite.core.errors import Exit, SuiteError
from suite.core.output import Output
from suite.measure.quality.fidelity import score
from suite.measure.quality.scoring import pair_predictions
from suite.study.protocols import PROTOCOLS, protocol

SET5 = ("baby", "bird", "butterfly", "head", "woman")


def paths(folder, stems, tmp_path):
    return [tmp_path / folder / f"{stem}.png" for stem in stems]


def paired(outputs, targets, tmp_path, **more):
    found = pair_predictions(paths("pred", outputs, tmp_path), paths("gt", targets, tmp_path), **more)
    return {one.other.stem: one.target.stem for one in found.pairs}, found


@pytest.fixture
def write(tmp_path):
    """Writes images of noise: write("gt", a=(40, 30)) makes gt/a.png, 40 pixels high; gives the folder."""

    def made(folder, seed=0, suffix=".png", **sizes):
        (tmp_path / folder).mkdir(exist_ok=True)
        for number, (name, size) in enumerate(sizes.items()):
            pixels = np.random.default_rng((seed, number)).integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}{suffix}")
        return tmp_path / folder

    return made


@pytest.fixture
def call(capsys):
    """Runs the verb; gives exit code, standard output and standard error."""

    def run(*words):
        verb = argparse.ArgumentParser()
        verb_score.add_arguments(verb)
        stream = io.StringIO()
        code = verb_score.run(verb.parse_args([str(word) for word in words]), Output(stream))
        return code, stream.getvalue(), capsys.readouterr().err

    return run


# Names


@pytest.mark.parametrize(
    ("output", "target", "rule"),
    [
        ("{}", "{}", "equal names"),
        ("{}x4", "{}", "<name>x4 with <name>"),
        ("{}_x4", "{}", "<name>_x4 with <name>"),
        ("{}_SR", "{}_HR", "<name>_SR with <name>_HR"),
        ("{}_RCAN_x4", "{}_HR_x4", "<name>_RCAN_x4 with <name>_HR_x4"),
        ("{}_SRF_4_SelfEx", "{}_SRF_4_HR", "<name>_SRF_4_SelfEx with <name>_SRF_4_HR"),
        ("{}_test_MambaIR_SR_x4", "{}", "<name>_test_MambaIR_SR_x4 with <name>"),
        ("{}", "{}_gt", "<name> with <name>_gt"),
        ("rain-{}", "norain-{}", "rain-<name> with norain-<name>"),
        ("out_{}", "{}", "out_<name> with <name>"),
    ],
)
@pytest.mark.parametrize("names", [SET5, ("img_001", "img_002", "img_010", "img_100"), ("1", "10", "100", "2"), ("a", "a_b", "a_b_c")])
def test_usual_names_are_paired(tmp_path, output, target, rule, names):
    found, result = paired([output.format(name) for name in names], [target.format(name) for name in names], tmp_path)
    assert found == {output.format(name): target.format(name) for name in names}
    assert result.rule == rule
    assert [one.name for one in result.pairs] == sorted(names)


WORD = st.text("abx12_-", min_size=1, max_size=5).filter(lambda text: text[0] not in "_-" and text[-1] not in "_-")


@given(st.sets(WORD, min_size=1, max_size=6), st.sampled_from(["", "_SR", "_net_g_5000", "x4"]), st.sampled_from(["", "_HR", "_GT_x4"]))
def test_pairs_are_right_or_refused(tmp_path_factory, names, output, target):
    """Whatever the names are, a pair is never one of two different images."""
    folder = tmp_path_factory.getbasetemp()
    found = None
    with contextlib.suppress(SuiteError):
        found, _ = paired([name + output for name in names], [name + target for name in names], folder)
    assert found is None or found == {name + output: name + target for name in names}


def test_a_file_may_carry_more_than_the_folder_s_ending(tmp_path):
    found, result = paired(["163085_dncnn_2868", "05_dncnn_2683"], ["163085", "05"], tmp_path)
    assert found == {"163085_dncnn_2868": "163085", "05_dncnn_2683": "05"}
    assert result.rule == "2 by the beginning of their names"


@pytest.mark.parametrize(
    ("outputs", "targets"),
    [(["img_007_SR"], ["img_009_HR"]), (["scene_left"], ["scene_right"]), (["img_10_SR"], ["img_1"]), (["ab"], ["a"])],
)
def test_names_that_are_only_alike_are_not_paired(tmp_path, outputs, targets):
    with pytest.raises(SuiteError, match="none is paired"):
        paired(outputs, targets, tmp_path)


def test_what_has_no_partner_is_listed_and_may_be_left_out(tmp_path):
    outputs, targets = ["a_SR", "b_SR", "odd_one"], ["a", "b", "c"]
    with pytest.raises(SuiteError, match=r"2 are paired.*1 without a target.*odd_one\.png.*1 without a prediction.*c\.png") as refused:
        paired(outputs, targets, tmp_path)
    assert refused.value.exit == Exit.NOT_READY
    found, result = paired(outputs, targets, tmp_path, allow_missing=True)
    assert found == {"a_SR": "a", "b_SR": "b"}
    assert [path.stem for path in result.lonely_others + result.lonely_targets] == ["odd_one", "c"]


@pytest.mark.parametrize("outputs", [["a_v1", "a_v2"], ["163085_dncnn_2868", "163085_bm3d_2836"]])
def test_two_predictions_of_one_image_are_ambiguous_even_if_some_may_miss(tmp_path, outputs):
    target = outputs[0].split("_")[0]
    with pytest.raises(SuiteError, match=rf"{target}\.png fits .*{outputs[1]}"):
        paired(outputs, [target], tmp_path, allow_missing=True)


def test_long_lists_are_cut(tmp_path):
    with pytest.raises(SuiteError, match="and 30 more"):
        paired(["one"], [f"image{number}" for number in range(50)], tmp_path)


# One protocol


@pytest.mark.outside
@pytest.mark.parametrize(("model", "expected"), [("RCAN", (32.634, 0.9002)), ("RCANplus", (32.732, 0.9013))])
def test_a_published_model_s_folder_scores_as_published(outside, call, model, expected):
    folder = outside / "RCAN_Set5_results"
    code, out, _ = call("--pred", folder / model / "x4", "--gt", folder / "HR" / "x4", "--protocol", "sr-y", "--scale", 4, "--json")
    found = json.loads(out)
    (sheet,) = found["protocols"]
    assert code == Exit.DONE
    assert sheet["mean"] == {"PSNR-Y": pytest.approx(expected[0], abs=5e-4), "SSIM-Y": pytest.approx(expected[1], abs=5e-5)}
    assert [image["image"] for image in sheet["images"]] == list(SET5)
    assert found["paired_by"] == f"<name>_{model}_x4 with <name>_HR_x4"


def test_one_protocol_prints_every_image_the_mean_and_the_statement(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30), b=(35, 35)), write("gt", a_HR=(40, 30), b_HR=(35, 35))
    code, out, err = call("--pred", pred, "--gt", gt, "--protocol", "derain-y")
    lines = out.splitlines()
    assert (code, err) == (Exit.DONE, "")
    assert lines[0].split() == ["IMAGE", "PSNR-Y", "SSIM-Y"]
    assert [line.split()[0] for line in lines[1:4]] == ["a", "b", "mean"]
    assert lines[4] == f"derain-y@1: {protocol('derain-y').statement}"
    assert lines[5] == "2 pairs by name: <name> with <name>_HR."


def test_json_holds_unrounded_values_and_what_made_them(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30), b=(35, 35)), write("gt", suffix=".bmp", a=(40, 30), b=(35, 35))
    _, out, _ = call("--pred", pred, "--gt", gt, "--protocol", "color-dn-rgb", "--json")
    (sheet,) = json.loads(out)["protocols"]
    rule = protocol("color-dn-rgb")
    assert (sheet["protocol"], sheet["version"], sheet["statement"]) == ("color-dn-rgb", 1, rule.statement)
    pixels = [np.asarray(Image.open(path)) for path in (pred / "a.png", gt / "a.bmp")]
    assert sheet["images"][0] == {"image": "a", "metrics": score(rule, *pixels, 1)}
    values = [image["metrics"]["PSNR-RGB"] for image in sheet["images"]]
    assert sheet["mean"]["PSNR-RGB"] == sum(values) / 2


def test_two_files_are_scored_too(write, call):
    pred, gt = write("pred", one=(40, 30)), write("gt", other=(40, 30))
    code, out, _ = call("--pred", pred / "one.png", "--gt", gt / "other.png", "--protocol", "derain-y")
    assert code == Exit.DONE
    assert "100.000" in out


def test_a_larger_target_is_cut_where_the_protocol_crops_by_the_scale(write, call):
    pred, gt = write("pred", a=(40, 32)), write("gt", a=(43, 33))
    whole = np.asarray(Image.open(gt / "a.png"))
    Image.fromarray(whole[:40, :32]).save(pred / "a.png")
    code, out, err = call("--pred", pred, "--gt", gt, "--protocol", "sr-y", "--scale", 4)
    assert code == Exit.DONE
    assert "100.000" in out
    assert "were cut at the bottom and on the right: 1 (a: 33x43 to 32x40)" in err
    with pytest.raises(SuiteError, match=r"32x40 pixels .*its target 33x43.*Is --scale right"):
        call("--pred", pred, "--gt", gt, "--protocol", "sr-y", "--scale", 3)
    with pytest.raises(SuiteError, match="derain-y@1 compares images of one size"):
        call("--pred", pred, "--gt", gt, "--protocol", "derain-y")


@pytest.mark.parametrize(
    ("output", "target", "message"),
    [
        ((20, 30), (30, 20), "turned by 90 degrees"),
        ((20, 15), (80, 60), "4 times as small. Is it the low-resolution input"),
        ((20, 15), (81, 62), "4 times as small"),
        ((21, 20), (20, 20), "a prediction is never cut"),
    ],
)
def test_sizes_that_do_not_fit_are_explained(write, call, output, target, message):
    pred, gt = write("pred", a=output), write("gt", a=target)
    with pytest.raises(SuiteError, match=message) as refused:
        call("--pred", pred, "--gt", gt, "--scale", 4)
    assert refused.value.exit == Exit.NOT_READY
    assert "a.png" in str(refused.value)


# All protocols


def test_all_protocols_stand_side_by_side_with_their_differences(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30), b=(35, 35)), write("gt", a=(40, 30), b=(35, 35))
    code, out, _ = call("--pred", pred, "--gt", gt, "--scale", 2, "--no-perceptual", "--json")
    found = json.loads(out)
    assert code == Exit.DONE
    shown_keys = {f"{sheet['protocol']}@{sheet['version']}" for sheet in found["protocols"]}
    assert shown_keys | set(found["not_applicable"]) == {protocol(row.name).key for row in PROTOCOLS.values()}
    assert list(found["not_applicable"]) == ["sr-y-plane@2"]
    assert found["against"] == "sr-y@1"
    sheets = {sheet["protocol"]: sheet for sheet in found["protocols"]}
    difference = sheets["ntire-rgb"]["difference"]
    assert difference["PSNR"] == sheets["ntire-rgb"]["mean"]["PSNR-RGB"] - sheets["sr-y"]["mean"]["PSNR-Y"]
    assert sheets["sr-y"]["difference"] == {"PSNR": 0, "SSIM": 0}
    pixels = [np.asarray(Image.open(folder / "a.png")) for folder in (pred, gt)]
    for name, sheet in sheets.items():  # what is shared between protocols is what each would have measured
        assert sheet["images"][0]["metrics"] == score(protocol(name), *pixels, 2)


def test_the_table_of_all_says_what_does_not_apply_and_why(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30)), write("gt", a=(40, 30))
    _, out, _ = call("--pred", pred, "--gt", gt, "--no-perceptual", "--against", "derain-matlab")
    assert "The differences are from derain-matlab@2: " in out
    for name in ("sr-y@1", "sr-y-rounded@2", "ntire-rgb@1"):
        assert f"{name} does not apply: it leaves out as many border pixels as the scale, which is not guessed: give --scale N" in out
    assert "sr-y-plane@2 does not apply: " in out
    assert "LPIPS-vgg is unavailable: not measured, as --no-perceptual says." in out
    row = next(line for line in out.splitlines() if line.startswith("derain-y@1"))
    assert "+" in row or "-0." in row
    assert row.endswith("float Y, crop 0")


def test_a_protocol_that_one_image_does_not_fit_is_left_out_as_a_whole(write, call):
    pred, gt = write("pred", a=(18, 18), b=(40, 40)), write("gt", a=(18, 18), b=(40, 40))
    _, out, _ = call("--pred", pred, "--gt", gt, "--no-perceptual", "--json")
    found = json.loads(out)
    assert "a: an image of 18x18x3 pixels is too small for gan-sr@1" in found["not_applicable"]["gan-sr@1"]
    assert {"derain-y", "jpeg-grey"} <= {sheet["protocol"] for sheet in found["protocols"]}
    assert all(len(sheet["images"]) == 2 for sheet in found["protocols"])


def test_csv_is_a_line_a_value(write, call, tmp_path):
    pred, gt = write("pred", seed=1, a=(40, 30), b=(35, 35)), write("gt", a=(40, 30), b=(35, 35))
    words = ("--pred", pred, "--gt", gt, "--protocol", "real-sr", "--no-perceptual")
    _, out, _ = call(*words, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert rows[0] == dict(zip(verb_score.CSV_COLUMNS, ("protocol", "real-sr@1", "", "", "", protocol("real-sr").statement), strict=True))
    values = [float(row["value"]) for row in rows if row["row"] == "image" and row["metric"] == "PSNR-Y"]
    (mean,) = [float(row["value"]) for row in rows if row["row"] == "mean" and row["metric"] == "PSNR-Y"]
    assert mean == sum(values) / 2
    assert [row["metric"] for row in rows if row["row"] == "unavailable"] == ["LPIPS-vgg", "LPIPS-alex"]
    _, said, _ = call(*words, "--csv", tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == out
    assert said == f"scores: {tmp_path / 'scores.csv'}\n"


# Perceptual metrics


@pytest.fixture
def fake_metrics(monkeypatch):
    """LPIPS-alex is the mean of the output, LPIPS-vgg and NIQE are unavailable."""
    monkeypatch.setattr(
        "suite.measure.quality.available.explain_absence", lambda metric: None if metric == "LPIPS-alex" else f"no {metric}; `mend it`"
    )
    monkeypatch.setattr("suite.measure.quality.available.measure_metric", lambda _metric, output, _target: float(output.mean()))


@pytest.mark.usefixtures("fake_metrics")
def test_a_metric_that_is_unavailable_is_said_and_never_a_number(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30)), write("gt", a=(40, 30))
    code, out, _ = call("--pred", pred, "--gt", gt, "--protocol", "gan-sr")
    assert code == Exit.INCOMPLETE
    assert out.splitlines()[0].split() == ["IMAGE", "PSNR-Y", "SSIM-Y", "LPIPS-ALEX"]
    assert "LPIPS-vgg is unavailable: no LPIPS-vgg; `mend it`" in out
    _, out, _ = call("--pred", pred, "--gt", gt, "--protocol", "gan-sr", "--json")
    (sheet,) = json.loads(out)["protocols"]
    assert sheet["unavailable"] == {"LPIPS-vgg": "no LPIPS-vgg; `mend it`"}
    assert list(sheet["images"][0]["metrics"]) == ["PSNR-Y", "SSIM-Y", "LPIPS-alex"]


@pytest.mark.usefixtures("fake_metrics")
def test_metrics_besides_the_protocol_s(write, call):
    pred, gt = write("pred", seed=1, a=(40, 30)), write("gt", a=(40, 30))
    words = ("--pred", pred, "--gt", gt, "--protocol", "derain-y", "--also", "lpips-alex")
    code, out, _ = call(*words)
    assert code == Exit.DONE
    assert out.splitlines()[0].split() == ["IMAGE", "PSNR-Y", "SSIM-Y", "LPIPS-ALEX"]
    code, out, _ = call(*words, "--also", "NIQE", "--json")
    found = json.loads(out)
    assert code == Exit.INCOMPLETE
    assert list(found["protocols"][0]["images"][0]["metrics"]) == ["PSNR-Y", "SSIM-Y"]
    assert list(found["besides"]["mean"]) == ["LPIPS-alex"]
    assert list(found["besides"]["unavailable"]) == ["NIQE"]


# What is refused


def test_wrong_words_are_one_clear_message(write, call, tmp_path):
    pred, gt = write("pred", a=(40, 30), b=(40, 30)), write("gt", a=(40, 30), b=(40, 30))
    both = ("--pred", pred, "--gt", gt)
    for words, message in [
        ((*both, "--protocol", "sr-y"), "sr-y@1 cannot be used: .*give --scale N"),
        ((*both, "--protocol", "sr-y-plane", "--scale", 2), "sr-y-rounded compares the same plane"),
        ((*both, "--protocol", "srgan"), "no protocol is called 'srgan'.*Did you mean"),
        ((*both, "--also", "PSNR-Y"), "belongs to a protocol"),
        ((*both, "--scale", 0), "a scale is 1 or more"),
        ((*both, "--limit", 0), "at least 1 pair"),
        ((*both, "--protocol", "derain-y", "--against", "sr-y"), "--against names what"),
        ((*both, "--against", "sr-y", "--no-perceptual"), "--against sr-y@1: that protocol does not apply here: .*--scale"),
        (("--pred", tmp_path / "nowhere", "--gt", gt), "there is no such folder"),
        (("--pred", pred / "a.png", "--gt", gt), "is a file: name two folders"),
        ((*both, "--protocol", "derain-y", "--csv", tmp_path / "no" / "file.csv"), "cannot be written"),
    ]:
        with pytest.raises(SuiteError, match=message):
            call(*words)


def test_limit_scores_the_first_pairs_and_says_so(write, call):
    pred, gt = write("pred", a=(40, 30), b=(40, 30)), write("gt", a=(40, 30), b=(40, 30))
    _, out, err = call("--pred", pred, "--gt", gt, "--protocol", "derain-y", "--limit", 1, "--json")
    assert [image["image"] for image in json.loads(out)["protocols"][0]["images"]] == ["a"]
    assert "only the first 1 of 2 pairs" in err


def test_missing_files_are_listed_when_they_are_allowed(write, call):
    pred, gt = write("pred", a=(40, 30)), write("gt", a=(40, 30), b=(40, 30))
    with pytest.raises(SuiteError, match="--allow-missing"):
        call("--pred", pred, "--gt", gt, "--protocol", "derain-y")
    code, _, err = call("--pred", pred, "--gt", gt, "--protocol", "derain-y", "--allow-missing")
    assert code == Exit.DONE
    assert "left out, as was allowed: 1 without a prediction" in err


def test_the_verb_imports_nothing_heavy():
    import subprocess
    import sys

    heavy = ("torch", "numpy", "PIL", "rich", "pydantic")
    loaded = "suite.cli.measure.score, suite.measure.quality.available, suite.study.protocols"
    probe = f"import sys, {loaded}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# A printed number


def test_a_printed_number_is_traced_to_the_protocols_whose_means_round_to_it(write, call):
    folders = ("--pred", write("pred", 1, a=(40, 30), b=(32, 36)), "--gt", write("gt", 0, a=(40, 30), b=(32, 36)), "--no-perceptual")
    means = {row["protocol"] + f"@{row['version']}": row["mean"] for row in json.loads(call(*folders, "--json")[1])["protocols"]}
    psnr = {key: mean[protocol(key).fidelity[0]] for key, mean in means.items()}
    for digits in (1, 4):
        text = f"{psnr['derain-y@1']:.{digits}f}"
        code, out, _ = call(*folders, "--printed", text, "--json")
        (found,) = json.loads(out)["printed"]
        assert code == Exit.DONE
        assert {one["protocol"] for one in found["given_by"]} == {key for key, mean in psnr.items() if f"{mean:.{digits}f}" == text}
        assert found["nearest"]["protocol"] in {one["protocol"] for one in found["given_by"]}
    out = call(*folders, "--printed", "99.99", "--printed", f"{means['derain-y@1']['SSIM-Y']:.4f}")[1]
    assert "No protocol scored here gives 99.99; the nearest is " in out
    assert "derain-y@1 (SSIM-Y " in out.splitlines()[-1]


@pytest.mark.parametrize("text", ["38,27", "-1", "nan", "", "1e400", "inf", ".5"])
def test_what_is_no_printed_number_is_refused(write, call, text):
    with pytest.raises(SuiteError, match=r"--printed .* e\.g\. 38\.27"):
        call("--pred", write("pred", 1, a=(40, 30)), "--gt", write("gt", 0, a=(40, 30)), "--no-perceptual", f"--printed={text}")


# Where targets lie, and names that are stored in two ways


def test_targets_are_found_in_a_folder_called_after_them(write, call, tmp_path):
    pred, _ = write("pred", a=(30, 40)), write("mine", x=(9, 9))
    (tmp_path / "mine/x.png").unlink()
    for side in ("GT", "LQ"):
        write(f"mine/{side}", a=(30, 40))
    code, out, err = call("--pred", pred, "--gt", tmp_path / "mine", "--protocol", "derain-y")
    assert (code, f"the targets are those of {tmp_path / 'mine/GT'}." in err) == (Exit.DONE, True)
    assert "100.000" in out
    with pytest.raises(SuiteError, match=r"--pred: there are no images directly in .*mine\. There is: images in GT/, LQ/"):
        call("--pred", tmp_path / "mine", "--gt", pred)
    write("mine/HR", a=(30, 40))
    with pytest.raises(SuiteError, match=r"--gt: .*mine has both GT/ and HR/; keep the one that is meant"):
        call("--pred", pred, "--gt", tmp_path / "mine")
    for scale in (2, 4):
        write("scaled").joinpath(f"HR/x{scale}").mkdir(parents=True)
        write(f"scaled/HR/x{scale}", a=(30, 40))
    with pytest.raises(SuiteError, match=r"--gt: .*scaled has targets in HR/x2 and HR/x4: name the folder that is meant"):
        call("--pred", pred, "--gt", tmp_path / "scaled")
    assert call("--pred", pred, "--gt", tmp_path / "scaled", "--protocol", "derain-y", "--scale", 4)[0] == Exit.DONE


def test_a_name_is_one_however_its_accents_are_stored(write, call):
    pred, targets = write("pred", suffix="cafe\u0301_SR.png", **{"": (30, 40)}), write("gt", suffix="caf\u00e9.png", **{"": (30, 40)})
    code, out, _ = call("--pred", pred, "--gt", targets, "--protocol", "derain-y", "--json")
    assert (code, [one["image"] for one in json.loads(out)["protocols"][0]["images"]]) == (Exit.DONE, ["caf\u00e9"])
    write("gt", suffix="CAF\u00c9.png", **{"": (30, 40)})
    with pytest.raises(SuiteError, match=r"has two images called .* differ in their case alone"):
        call("--pred", pred, "--gt", targets)
