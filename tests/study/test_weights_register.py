"""The register of published weights: every row is what it says as far as that can be known without a network connection."""

import csv
import re

import pytest
import torch
from places import SHARED

import models
from models import official
from suite.core.errors import SuiteError
from suite.measure.inference.download import kind_of
from suite.study import published, weights_register
from suite.study.tasks import TASKS

REGISTER = weights_register.load()
ROWS = {f"{table.id}/{row.key}": row for paper in published.load_all() for table in paper.tables for row in table.rows}
DESIGNS = {"VmambaIR", "MambaIR", "MambaIRv2", "MaIR", "EAMamba", "EVSSM", "T-PMambaSR"}
HERE = {"VmambaIR", "MambaIR"}  # designs that this suite had when the register was made


def test_all_seven_designs_have_weights_networks_and_a_licence():
    assert set(REGISTER.designs) == DESIGNS
    assert {REGISTER.design_of(file) for file in REGISTER.files} == DESIGNS
    assert {network.design for network in REGISTER.networks.values()} == DESIGNS
    assert all(REGISTER.licence_of(file) for file in REGISTER.files)
    assert {name for file in REGISTER.files for name in file.networks} == set(REGISTER.networks)


@pytest.mark.parametrize("file", REGISTER.files, ids=lambda file: file.name)
def test_a_file_has_https_addresses_a_row_and_a_task(file):
    assert all(address.startswith("https://") for address in (*file.addresses, *filter(None, [file.log])))
    assert not file.task or file.task in TASKS
    assert set(file.rows) <= set(ROWS)
    assert not (file.rows and file.stands)
    for row in file.rows:
        if len(file.networks) == 1 and row != "mambair-5/mambair":  # one row for the three noise levels
            assert ROWS[row].model == weights_register.model_of(REGISTER.networks[file.networks[0]], file.task)[0]
    if kind_of(file.addresses[0]) != "page":
        assert len(file.networks) == 1


@pytest.mark.parametrize("file", [file for file in REGISTER.files if file.rows and file.printed], ids=lambda file: file.name)
def test_what_the_authors_print_beside_a_file_is_in_its_row_or_said_to_be_another_s(file):
    row = ROWS[file.rows[0]]
    level = f"-{file.task.partition('-')[2]}" if file.task.startswith("denoise") else None
    for dataset, metric, value in file.printed:
        there = row.cells.get(f"{dataset.lower()}{level or f'-{metric.lower()}'}")
        if there != value:
            assert file.printed_of or f"the paper {there:.2f} dB" in file.remark, (dataset, metric, value, there)


def test_the_light_networks_value_belongs_to_the_network_of_eccv():
    newest, eccv = REGISTER.file("mambair-light-x2"), REGISTER.file("mambair-light-x2.generation-2")
    assert newest.printed == eccv.printed == (("Urban100", "PSNR", 32.92), ("Urban100", "SSIM", 0.9356))
    assert (newest.printed_of, eccv.printed_of) == (eccv.name, "")
    assert ROWS[eccv.rows[0]].cells["urban100-psnr"] == 32.92
    assert ROWS[newest.rows[0]].cells["urban100-psnr"] == 32.85
    assert newest.addresses != eccv.addresses


@pytest.mark.parametrize("name", REGISTER.networks)
def test_a_network_is_what_its_class_and_keywords_build(name):
    network = REGISTER.networks[name]
    model, reason = weights_register.model_of(network)
    assert bool(model) != bool(reason)
    if not model:
        known = network.authors_class in official.ARCHITECTURES
        assert (reason == weights_register.NO_DESIGN) is not known
        assert not (network.design in HERE and reason == weights_register.NO_DESIGN)
        return
    with torch.device("meta"):
        built = models.create(model)
    theirs = official.official_names(built)
    shapes = {theirs[ours]: value.shape for ours, value in built.state_dict().items()}
    assert sum(value.numel() for value in built.parameters()) == network.parameters
    assert (len(shapes), weights_register.layout_of(shapes)) == (network.tensors, network.layout)


def test_one_configuration_under_two_names_is_told_by_its_task():
    classic = REGISTER.networks["mambair-sr-x4"]
    assert weights_register.model_of(classic, "sr-x4")[0] == "mambair-sr-x4"
    assert weights_register.model_of(classic, "real-sr-x4")[0] == "mambair-realsr-x4"


def test_a_layout_sees_names_and_shapes_and_no_order():
    layout = weights_register.layout_of({"a": (2, 3), "b": (4,)})
    assert layout == weights_register.layout_of({"b": [4], "a": torch.Size([2, 3])})
    assert (
        len({layout, *(weights_register.layout_of(other) for other in ({"a": (3, 2), "b": (4,)}, {"a": (2, 3), "c": (4,)}, {"a": (2, 3)}))})
        == 4
    )


@pytest.mark.skipif(not (SHARED / "published").is_dir(), reason="needs the collected addresses beside the checkout")
def test_every_collected_address_is_in_the_register():
    with (SHARED / "published" / "weights.csv").open(encoding="utf-8") as file:
        collected = {
            address
            for row in csv.DictReader(file)
            for key, text in row.items()
            if "address" in key
            for address in re.findall(r"https://[^\s)]+", text)
        }
    ours = {address for file in REGISTER.files for address in (*file.addresses, file.log)}
    collected.remove("https://github.com/dsyt-SichenGuo/T-PMambaSR")  # the repository: each file has an address of its own
    assert collected <= ours


@pytest.mark.skipif(not (SHARED / "weights").is_dir(), reason="needs real weights beside the checkout")
def test_real_files_have_the_size_and_sha256_that_the_register_says():
    from suite.core.files import sha256_of

    known = {file.file: file for file in REGISTER.files if file.sha256}
    for path in (SHARED / "weights").glob("*.pth"):
        assert (known[path.name].bytes, known[path.name].sha256) == (path.stat().st_size, sha256_of(path))
    assert set(known) == {path.name for path in (SHARED / "weights").glob("*.pth")}  # no other is known


TOY = """
schema = 1
[designs.MambaIR]
repository = "https://example.org/a"
commit = "c"
licence = "MIT"
paper = "p"
[networks.net]
design = "MambaIR"
class = "MambaIR"
keywords = {}
parameters = 1
tensors = 1
layout = "0123456789abcdef"
[[files]]
name = "one"
networks = ["net"]
addresses = ["https://example.org/one.pth"]
source = "s"
[[files]]
name = "two"
networks = ["net"]
addresses = ["https://example.org/two.pth"]
source = "s"
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "two"', 'name = "one"', "one is there twice"),
        ("two.pth", "one.pth", "is the address of one, too"),
        ("https://example.org/two.pth", "http://example.org/two.pth", "not an https address"),
        ('["net"]', '["nett"]', "no network nett"),
        ('design = "MambaIR"', 'design = "MamberIR"', "no design MamberIR"),
        ('source = "s"', 'source = "s"\nsha256 = "ab"', "sha256"),
        ('source = "s"', 'source = "s"\nbytes = 3', "need an origin"),
        ('source = "s"', 'source = "s"\nfile = "../x.pth"', "file"),
        ('source = "s"', 'source = "s"\nnetwork = "net"', "network"),
        ('source = "s"', 'source = "s"\nprinted_of = "three"', "names no file: three"),
        ("schema = 1", "schema = ", "not TOML"),
    ],
)
def test_a_register_that_is_wrong_is_refused_with_the_place(tmp_path, old, new, words):
    path = tmp_path / "weights.toml"
    path.write_text(TOY)
    assert weights_register.load(path).file("two").local_name == "two.pth"
    assert old in TOY
    path.write_text(TOY.replace(old, new))
    with pytest.raises(SuiteError, match=re.escape(words)):
        weights_register.load(path)


def test_an_address_may_stand_twice_where_the_reason_is_given(tmp_path):
    path = tmp_path / "weights.toml"
    path.write_text(TOY.replace("two.pth", "one.pth") + 'shares = "a page of both"\n')
    assert len(weights_register.load(path).files) == 2
