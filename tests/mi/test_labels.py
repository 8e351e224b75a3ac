from functools import partial

import numpy as np
import pytest
from scipy.special import logsumexp

from omicsbal.mi import labels
from omicsbal.mi.labels import NEIGHBOURS, with_labels
from omicsbal.mi.probe import usable

COLUMNS = 16


def world(kind, n, seed=0):
    """Gaussian blobs of three or two classes in four of 16 rotated columns, and I(Z;Y) by Monte Carlo."""
    rng = np.random.default_rng(seed)
    centre, told = {
        "linear": (1.2 * rng.normal(size=(3, 4)), np.arange(3)),
        "modal": (2.0 * rng.normal(size=(6, 4)), np.arange(6) % 3),
        "xor": (1.5 * np.array([[s, t, 0, 0] for s in (-1, 1) for t in (-1, 1)]), np.array([0, 1, 1, 0])),
    }[kind]

    def draw(m):
        blob = rng.integers(len(told), size=m)
        return centre[blob] + rng.normal(size=(m, 4)), told[blob]

    x, y = draw(20_000)
    logs = -0.5 * ((x[:, None] - centre) ** 2).sum(-1)
    own = logsumexp(np.where(told == y[:, None], logs, -np.inf), axis=1) - logsumexp(logs, axis=1)
    truth = float(own.mean() + np.log(told.max() + 1))
    x, y = draw(n)
    turn = np.linalg.qr(rng.normal(size=(COLUMNS, COLUMNS)))[0]
    return np.hstack([x, rng.normal(size=(n, COLUMNS - 4))]) @ turn, y, truth


@pytest.fixture
def light(monkeypatch):
    """Classifiers without the network, for what does not depend on them."""
    monkeypatch.setattr(labels, "usable", partial(usable, learners=("logistic", "small_kernel")))


@pytest.mark.slow
@pytest.mark.parametrize(("n", "target", "seeds"), [(150, np.inf, 1), (500, 0.15, 2), (2000, 0.05, 1)])
def test_error_against_the_truth(n, target, seeds):
    errors = []
    for kind in ("linear", "modal", "xor"):
        for seed in range(seeds):
            z, y, truth = world(kind, n, seed)
            errors.append(with_labels(z, y, n_null=2).value - truth)
    assert np.sqrt(np.mean(np.square(errors))) <= target
    assert max(errors) <= 0.1


@pytest.mark.slow
@pytest.mark.parametrize("n", [150, 500])
def test_shuffled_labels_lie_in_the_null_band(light, n):
    inside = []
    for seed in range(10):
        z, y, _ = world("linear", n, seed)
        found = with_labels(z, np.random.default_rng(seed).permutation(y), n_null=8)
        inside.append(not found.detected)
        assert found.value < 0.2
    assert np.mean(inside) >= 0.8  # 0.975 expected


def test_the_largest_form_is_named_and_none_exceeds_the_entropy(light):
    z, y, _ = world("xor", 300)
    found = with_labels(z, y, n_null=3)
    assert list(found.forms) == ["usable", *NEIGHBOURS] and found.method == "ross_pc4" and found.detected
    assert found.value == max(found.forms.values()) == found.forms[found.method] and found.se > 0
    clear = with_labels(z[:, :2] + 50 * y[:, None], y, n_null=3)
    share = np.bincount(y) / len(y)
    assert max(clear.forms.values()) <= -(share * np.log(share)).sum() + 1e-12 and clear.null[0] == 0
    assert clear.dims == (2, 2) and clear.n == 300


def test_donors_tell_nothing_about_new_donors(light):
    rng = np.random.default_rng(0)
    donor = np.repeat(np.arange(20), 20)
    y = donor % 2  # one condition a donor, unrelated to where the donor lies
    z = (3 * rng.normal(size=(20, 4)))[donor] + rng.normal(size=(400, 4))
    blind, found = with_labels(z, y, n_null=3), with_labels(z, y, groups=donor, n_null=3)
    assert blind.value > 0.4 and found.forms["ross_pc4"] > 0.4
    assert found.method == "usable" and found.value < 0.1 and any("new group" in note for note in found.notes)


def test_order_of_rows_changes_nothing(light):
    z, y, _ = world("linear", 200)
    moved = np.random.default_rng(1).permutation(200)
    folds = np.arange(200) % 4
    plain, other = with_labels(z, y, folds=folds, n_null=3), with_labels(z[moved], y[moved], folds=folds[moved], n_null=3)
    assert plain.forms["usable"] == other.forms["usable"] and plain.value == pytest.approx(other.value, abs=1e-9)
    assert plain.se == pytest.approx(other.se) and plain.null == pytest.approx(other.null)


def test_few_rows_and_merged_classes_are_said(light):
    z, y, _ = world("linear", 120)
    y = np.where(np.arange(120) < 6, 3 + np.arange(120) % 2, y)
    found = with_labels(z, y, n_null=3)
    assert any("lower bound" in note and "120 rows" in note for note in found.notes)
    assert any("'3'" in note and "'4'" in note for note in found.notes)
    assert np.isfinite([found.value, found.se, *found.null]).all()


def test_a_class_of_one_row_and_blocks_without_a_class_do_no_harm(light):
    z, y, _ = world("linear", 400)
    y = np.where(np.arange(400) < 390, 0, 1)
    y[0] = 2
    found = with_labels(z + 3 * y[:, None], y, n_null=3)
    assert np.isfinite([found.value, found.se, *found.null]).all() and found.value > 0


def test_too_few_shuffles_and_missing_labels_are_refused():
    z, y, _ = world("linear", 60)
    with pytest.raises(ValueError, match="n_null"):
        with_labels(z, y, n_null=1)
    with pytest.raises(ValueError, match="missing"):
        with_labels(z, np.where(y == 0, None, "a"))
