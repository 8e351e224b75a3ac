import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from omicsbal.mi import gate
from omicsbal.mi.gate import complementarity, label_facing


def independent(seed, n=300, c=3, d=3):
    """Teacher and student that share nothing but the label, of which the student knows less."""
    rng = np.random.default_rng(seed)
    y = rng.choice(c, size=n)
    t, s = (rng.normal(size=(n, d)) + strength * rng.normal(size=(c, d))[y] for strength in (1.0, 0.6))
    return t, s, y


def thirds(n):
    """Three folds: two fifths fewer fits than the five of the default."""
    return np.arange(n) % 3


def held_out(x, y):
    """Out-of-fold log-probabilities of a softmax probe, in the folds of `thirds`."""
    parts = [(np.flatnonzero(thirds(len(y)) != k), np.flatnonzero(thirds(len(y)) == k)) for k in range(3)]
    return cross_val_predict(LogisticRegression(max_iter=300), x, y, cv=parts, method="predict_log_proba")


def jointly_gaussian(n, rho, *, seed=0):
    """Numbers y, teacher, student; the student keeps 0.5 of y, and its residual a correlation of rho with the teacher's."""
    ts = 0.7 * 0.5 + rho * np.sqrt((1 - 0.7**2) * (1 - 0.5**2))
    covariance = [[1, 0.7, 0.5], [0.7, 1, ts], [0.5, ts, 1]]
    y, t, s = np.random.default_rng(seed).multivariate_normal(np.zeros(3), covariance, size=n).T
    return t, s, y, -0.5 * np.log(1 - ts**2) + 0.5 * np.log(1 - 0.5**2)


@pytest.mark.slow
def test_independent_given_the_label_never_passes():
    decisions = [complementarity(*independent(seed), folds=thirds(300)).decision for seed in range(20)]
    assert "pass" not in decisions and decisions.count("fail") > 5


@pytest.mark.slow
def test_nor_with_shared_nuisance_in_label_facing_space():
    decisions = []
    for seed in range(20):
        t, s, y = independent(seed)
        nuisance = 3 * np.random.default_rng(seed + 100).normal(size=(300, 2))
        t, s = np.hstack([t, nuisance]), np.hstack([s, nuisance])
        decisions.append(
            complementarity(label_facing(held_out(t, y)), label_facing(held_out(s, y)), y, folds=thirds(300)).decision
        )
        if seed == 0:  # the embeddings themselves, the nuisance in them, would open the gate
            assert complementarity(t, s, y).decision == "pass"
    assert "pass" not in decisions


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["spread", "skew", "common scale"])
def test_nor_where_rows_differ_in_shape(kind):
    """Spread or skew that goes with the class, or a scale that is common to both sides, is no shared knowledge."""
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        y = rng.choice(3, size=300)
        e, f = rng.normal(size=(2, 300, 3))
        size = np.array([0.5, 1.0, 3.0])[y][:, None]
        if kind == "spread":
            e, f = e * size, f * size
        elif kind == "skew":
            e, f = np.expm1(0.4 * size * e), np.expm1(0.4 * size * f)
        else:
            scale = np.exp(0.7 * rng.normal(size=(300, 1)))
            e, f = e * scale, f * scale
        found.append(complementarity(e + rng.normal(size=(3, 3))[y], f + 0.4 * rng.normal(size=(3, 3))[y], y, folds=thirds(300)))
    assert not any(g.decision == "pass" for g in found)
    assert abs(np.mean([g.within for g in found])) < 0.03


def test_a_teacher_that_is_the_student_and_more_passes():
    _, s, y = independent(0)
    found = complementarity(s + 0.2 * np.random.default_rng(1).normal(size=s.shape), 0.1 * s, y)
    assert found.decision == "pass" and found.low > 0 and found.within > 1 > 0.1 > found.extra >= 0


@pytest.mark.parametrize("numbers", [False, True])
def test_permuting_the_teacher_closes_the_gate(numbers):
    t, s, y, _ = jointly_gaussian(400, 0.8)
    y = y if numbers else (y > 0).astype(int)
    assert complementarity(t, s, y).decision == "pass"
    closed = complementarity(np.random.default_rng(1).permutation(t), s, y)
    assert closed.decision != "pass" and closed.value < -0.03 and abs(closed.within) < 0.02


def test_a_student_of_noise_is_uncertain_or_fails():
    t, s, y = independent(0)
    noise = np.random.default_rng(5).normal(size=s.shape)
    assert complementarity(t, noise, y).decision != "pass"


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_numbers_match_the_exact_gaussian_gap(rho):
    truth = jointly_gaussian(20, rho)[-1]
    found = [complementarity(*jointly_gaussian(300, rho, seed=s)[:3]) for s in range(60)]
    value, se = (np.array([getattr(g, name) for g in found]) for name in ("value", "se"))
    assert value.mean() == pytest.approx(truth, abs=0.02)
    assert se.mean() == pytest.approx(value.std(ddof=1), rel=0.25)
    assert np.mean(np.abs(value - truth) <= 1.645 * se) > 0.78
    assert np.mean([g.low <= truth <= g.high for g in found]) > 0.9
    assert np.mean(np.sign(value) == np.sign(truth)) > 0.95
    assert found[0].value == pytest.approx(found[0].shared - found[0].relevant, abs=0.05)


@pytest.mark.parametrize(("rho", "sign"), [(0.0, -1), (0.7, 1)])
def test_sign_with_a_discretised_label(rho, sign):
    for seed in range(2):
        t, s, y, _ = jointly_gaussian(500, rho, seed=seed)
        assert np.sign(complementarity(t, s, np.digitize(y, [-0.6, 0.6])).value) == sign


def test_few_rows_are_uncertain():
    t, s, y, truth = jointly_gaussian(60, 0.5)
    assert truth > 0.1
    for label in (y, (y > 0).astype(int)):
        assert complementarity(t, s, label).decision == "uncertain"


@pytest.mark.parametrize("n", [100, 200, 400])
def test_the_interval_is_wider_where_rows_are_few(n):
    t, s, y, _ = jointly_gaussian(n, 0.5)
    found = complementarity(t, s, y)
    excess = (found.high - found.low) / 2 - 1.65 * found.se
    assert excess == pytest.approx(min(1, 200 / n) * (0.1 + 0.35 * found.se), abs=0.002)
    assert complementarity(t, s, y, level=0.99).high > found.high


def test_folds_explain_what_they_have_in_common():
    """Networks that learnt little predict the class frequencies of their own training part: alike for both sides."""
    rng = np.random.default_rng(0)
    y, folds = rng.integers(0, 2, size=300), np.arange(300) % 5
    offset = rng.normal(size=(5, 1))[folds]
    t, s = (offset + 0.5 * rng.normal(size=(300, 1)) for _ in range(2))
    assert complementarity(t, s, y).within > 0.2 > 0.02 > abs(complementarity(t, s, y, folds=folds).within)


def test_terms_add_up():
    found = complementarity(*independent(3))
    assert found.value == pytest.approx(found.within - found.extra) == pytest.approx(found.shared - found.relevant)
    assert found.low < found.value < found.high and found.n == 300 and found.notes == ()


def test_groups_widen_the_error_and_stay_whole():
    rng = np.random.default_rng(0)
    donor = np.repeat(np.arange(30), 10)
    y = rng.integers(0, 2, size=300)
    common = rng.normal(size=(30, 1))[donor]
    t, s = (common + 0.3 * rng.normal(size=(300, 1)) + y[:, None] for _ in range(2))
    assert complementarity(t, s, y, groups=donor).se > 1.5 * complementarity(t, s, y).se
    with pytest.raises(ValueError, match="group in several"):
        complementarity(t, s, y, groups=donor, folds=np.arange(300) % 5)


@pytest.mark.parametrize("numbers", [False, True])
def test_order_of_rows_changes_nothing(numbers):
    t, s, y, _ = jointly_gaussian(150, 0.5)
    y = y if numbers else (y > 0).astype(int)
    folds, moved = np.arange(150) % 5, np.random.default_rng(0).permutation(150)
    plain, again = (complementarity(t, s, y, folds=folds) for _ in range(2))
    other = complementarity(t[moved], s[moved], y[moved], folds=folds[moved])
    assert plain == again
    assert [other.value, other.se, other.low] == pytest.approx([plain.value, plain.se, plain.low], abs=1e-9)


def test_many_rows_are_thinned_evenly(monkeypatch):
    monkeypatch.setattr(gate, "PLENTY", 200)
    t, s, y, _ = jointly_gaussian(1000, 0.8)
    label, folds = (y > 1).astype(int), np.arange(1000) % 5
    for target in (y, label):
        found = complementarity(t, s, target, folds=folds, groups=np.arange(1000))
        assert found.n == 200 and found.decision == "pass"


def test_rare_classes_and_wide_sides_are_said():
    rng = np.random.default_rng(0)
    t, s = rng.normal(size=(2, 60, 30))
    y = np.array([0, 1] * 28 + [2, 2, 3, 3])
    found = complementarity(t, s, y)
    assert any("'2'" in note for note in found.notes) and sum("reduced" in note for note in found.notes) == 2
    assert found.decision == "uncertain"


def test_a_constant_side_shares_nothing():
    _, s, y = independent(0)
    found = complementarity(np.ones((300, 1)), s, y)
    assert found.within == 0 and found.decision != "pass"
    assert complementarity(s, np.ones((300, 1)), y).decision == "uncertain"


def test_label_facing_coordinates():
    raw = np.random.default_rng(0).normal(size=(200, 4))
    told = raw - np.log(np.exp(raw).sum(1, keepdims=True))
    found = label_facing(told)
    assert found.shape == (200, 3)
    np.testing.assert_allclose(found.T @ found / 200, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(label_facing(told + np.arange(200)[:, None] * 1e-2), found, atol=1e-6)  # only contrasts count
    assert label_facing(told, most=2).shape == (200, 2)
    np.testing.assert_allclose(label_facing(told, most=2), found[:, :2])


def test_label_facing_numbers_certainty_and_constants():
    x = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(label_facing(3 * x + 1)[:, 0], (x - x.mean()) / x.std())
    sure = np.tile([[0.0, -np.inf], [np.log(0.4), np.log(0.6)]], (15, 1))
    assert np.isfinite(label_facing(sure)).all() and label_facing(sure).shape == (30, 1)
    assert np.array_equal(label_facing(np.full((30, 3), np.log(1 / 3))), np.zeros((30, 1)))
    with pytest.raises(ValueError, match="finite"):
        label_facing(np.full((30, 3), np.nan))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": 0.2}, "level"),
        ({"y": np.full(300, np.nan)}, "finite"),
        ({"y": np.zeros(300, dtype=int)}, "classes"),
        ({"student": np.zeros((299, 2))}, "rows"),
        ({"teacher": np.full((300, 2), np.nan)}, "finite"),
    ],
)
def test_what_cannot_be_used_is_said(change, said):
    t, s, y = independent(0)
    arguments = {"teacher": t, "student": s, "y": y} | change
    with pytest.raises(ValueError, match=said):
        complementarity(arguments.pop("teacher"), arguments.pop("student"), arguments.pop("y"), **arguments)
