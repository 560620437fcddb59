"""From scores to labels: the first maximum as argmax finds it, and what has none."""

import pytest
import torch

from squeeze_segnet_ros.classes import UNLABELLED
from squeeze_segnet_ros.engine.scores import Scores, first_maximum

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
WIDTHS = (*range(1, 35), *range(61, 68), *range(125, 132), *range(253, 258))
INF, NAN = float("inf"), float("nan")
VALUES = {
    "distinct": None,
    "ties": [-1.0, 0.5, 2.0],
    "signed zeros": [0.0, -0.0],
    "zeros on top": [0.0, -0.0, -3.0],
    "infinities": [INF, -INF, 1.0],
    "all least": [-INF],
}


@pytest.fixture(autouse=True)
def one_thread():
    """On planes this small a second thread gains nothing, and on a busy machine it waits for the first."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planes_of(values, classes, width, dtype):
    """Return (classes, 1, 3, width): normal values, or a random choice of these."""
    generator = torch.Generator().manual_seed(width)
    shape = (classes, 1, 3, width)
    if values is None:
        return torch.randn(shape, generator=generator).to(dtype)
    return torch.tensor(values)[torch.randint(len(values), shape, generator=generator)].to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("classes", [1, 2, 11, 255])
def test_the_first_maximum_is_argmax(values, classes, dtype):
    for width in WIDTHS:
        planes = planes_of(values, classes, width, dtype)
        labels, best = first_maximum(planes)
        assert labels.dtype == torch.uint8
        assert torch.equal(labels.long(), planes.argmax(0)), width
        assert torch.equal(best, planes.max(0).values)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("min_confidence", [0.0, 0.3])
@pytest.mark.parametrize("bits", ["quiet", "other"])
def test_what_is_not_a_number_is_unlabelled(bits, min_confidence, dtype):
    for width in WIDTHS:
        planes = planes_of(None, 11, width, dtype)
        where = torch.rand(planes.shape, generator=torch.Generator().manual_seed(1)) < 0.05
        wrong = torch.full((), NAN, dtype=dtype)
        if bits == "other":
            integers = torch.int32 if dtype == torch.float32 else torch.int16
            wrong = (wrong.view(integers) + 1).view(dtype).neg()
            assert wrong.isnan()
        planes = torch.where(where, wrong, planes)
        labels, confidence = Scores(planes, lambda pixels: pixels).decide(True, min_confidence)
        bad = where.any(0)
        assert (labels[bad] == UNLABELLED).all() and (confidence[bad] == 0).all()
        probability = planes.float().softmax(0).amax(0)
        good = ~bad & (probability >= min_confidence)
        assert torch.equal(labels[good].long(), planes.argmax(0)[good])
        assert (confidence[~bad] - 255 * probability[~bad]).abs().max() < 1 if (~bad).any() else True


def test_all_scores_that_are_not_a_number():
    planes = torch.full((11, 1, 4, 257), NAN)
    labels, confidence = Scores.of_logits(planes.movedim(0, 1)).decide(True)
    assert (labels == UNLABELLED).all() and (confidence == 0).all()


@pytest.mark.parametrize(
    ("scores", "label", "probability"),
    [
        ([1.0, INF, 2.0], 1, 1.0),
        ([INF, 0.0, INF], 0, 0.5),
        ([-INF, -INF, -INF], 0, 1 / 3),
        ([-INF, 0.0, 0.0], 1, 0.5),
        ([3.4e38, -3.4e38, 0.0], 0, 1.0),
        ([INF, NAN, 0.0], UNLABELLED, 0.0),
    ],
)
def test_infinite_scores_share_the_probability(scores, label, probability):
    planes = torch.tensor(scores).view(-1, 1, 1, 1)
    labels, confidence = Scores(planes, lambda pixels: pixels).decide(True)
    assert labels.item() == label
    assert confidence.item() == round(255 * probability)
    labels, _ = Scores(planes, lambda pixels: pixels).decide(False, min_confidence=0.4)
    assert labels.item() == (label if probability >= 0.4 else UNLABELLED)
