"""What a call writes and holds: known answers of a network of a few operators, on shapes alone and computed."""

import pytest
import torch
from torch import nn

from suite.measure.costs.count import Subject
from suite.measure.costs.traffic import Traffic, WatchedTraffic, count_traffic, watch


class Small(nn.Module):
    """A convolution of 1 to 4 channels, a view of its result, a sum with itself that outlives both, and their mean."""

    def __init__(self, *, looks=False):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.looks = looks

    def forward(self, x):
        features = self.first(x)
        flat = features.flatten(1)
        total = flat + flat
        if self.looks and total.sum() > 1e9:  # by a value, of which shapes alone know nothing
            raise RuntimeError
        del features, flat
        return total.mean(1)


def test_results_are_added_up_views_are_not_and_what_is_freed_is_no_more_held():
    found = watch(Subject(Small(), 1, 1), (4, 6))
    assert found == Traffic(written=4 * 24 + 4 * 24 + 1, held=2 * 4 * 24 * 4, calls=4)


def test_a_network_that_looks_at_values_is_computed():
    assert watch(Subject(Small(looks=True), 1, 1), (4, 6)).held == 2 * 4 * 24 * 4 + 4 + 1  # a sum, and whether it is large


def test_another_size_follows_from_the_pixels_padded():
    one = WatchedTraffic(8, 64, Traffic(640.0, 128.0, 5.0))
    assert one.at((8, 8)) == Traffic(640.0, 128.0, 5.0)
    assert one.at((9, 16)) == Traffic(2560.0, 512.0, 5.0)


@pytest.mark.parametrize("name", ["mambair-light-x4-tiny", "evssm-deblur-tiny", "mambairv2-light-x4-tiny", "vmambair-derain-tiny"])
def test_what_shapes_tell_is_what_a_pass_does(name):
    from suite.measure.costs import traffic
    from suite.measure.costs.count import make_subject

    subject, size = make_subject(name), (64, 64)
    computed = traffic._watch(subject, size, "cpu", "cpp") if _can_scan() else None
    told = count_traffic(name).at(size)
    if computed is not None:
        assert told.held == pytest.approx(computed.held, rel=0.1)
        assert told.written == pytest.approx(computed.written, rel=0.1)


def _can_scan():
    from models.scan.backends import BackendUnavailable, resolve_backend

    try:
        resolve_backend("cpp", "cpu")
    except BackendUnavailable:
        return False
    return torch.get_num_threads() > 0
