"""The anchored decomposition against worlds whose answer is known, fed the exact posteriors."""

import numpy as np
import pytest

from omicsbal.diagnostics.anchored import PARTS, anchored_pid
from omicsbal.diagnostics.broja import decompose, mutual_information

ATOMS = ["redundant", "unique_1", "unique_2", "synergistic"]


def values(table):
    return table.set_index("part")["value"]


@pytest.fixture(scope="module")
def worlds():
    """{preset: (oracle log-posteriors, labels, true parts)} of 1,000 cells in two modalities."""
    import omicsbal as ob

    found = {}
    for preset in ("redundant", "unique", "xor", "mixed"):
        mdata = ob.datasets.simulate(n_obs=1000, n_truth=100, preset=preset, modalities=["rna", "atac"], random_state=0)
        logs = [mdata.obsm[f"oracle_{s}"].to_numpy() for s in ("rna", "atac", "rna+atac")]
        found[preset] = logs, mdata.obs["cell_type"].cat.codes.to_numpy(), mdata.uns["truth"]["pid"].iloc[0]
    return found


def test_four_worlds_within_the_stated_bounds(worlds):
    """Mean error over the worlds as in the reference's table at 1,000 rows, and no part off by 0.1."""
    errors = []
    for logs, y, truth in worlds.values():
        found = values(anchored_pid(*logs, y, n_draws=2))
        errors.append([abs(found[atom] - truth[atom]) for atom in ATOMS])
    assert np.max(errors) < 0.1
    assert (np.mean(errors, axis=0) <= [0.03, 0.03, 0.01, 0.04]).all()


def test_the_smaller_information_would_not_do(worlds):
    """Why R is not min(I_1, I_2): where each modality has its own half of the label that says 0.3 nats and more."""
    logs, y, _ = worlds["unique"]
    found = values(anchored_pid(*logs, y, n_draws=2))
    assert min(found["information_1"], found["information_2"]) > 0.3 > 0.02 > found["redundant"]


def test_parts_add_up(worlds):
    for logs, y, _ in worlds.values():
        table = anchored_pid(*logs, y, n_draws=20)
        found = values(table)
        assert list(table["part"]) == list(PARTS) and found.min() >= 0
        assert found[ATOMS].sum() == pytest.approx(found["total"], abs=1e-9)
        assert found["redundant"] + found["unique_1"] == pytest.approx(found["information_1"], abs=1e-9)
        assert found["redundant"] + found["unique_2"] == pytest.approx(found["information_2"], abs=1e-9)
        assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


def test_each_source_holds_what_its_posteriors_are_worth(worlds):
    """Averaging over prototypes loses information; the power gives it back."""
    logs, y, _ = worlds["mixed"]
    share = np.bincount(y) / len(y)
    entropy = -(share * np.log(share)).sum()
    found = values(anchored_pid(*logs, y, n_draws=2))
    for name, log in zip(("information_1", "information_2", "total"), logs, strict=True):
        assert found[name] == pytest.approx(entropy + log[np.arange(len(y)), y].mean(), abs=1e-4)


def test_sources_may_be_swapped(worlds):
    (one, two, both), y, _ = worlds["mixed"]
    found, swapped = values(anchored_pid(one, two, both, y, n_draws=2)), values(anchored_pid(two, one, both, y, n_draws=2))
    assert swapped["unique_2"] == pytest.approx(found["unique_1"], abs=1e-3)
    assert swapped["synergistic"] == pytest.approx(found["synergistic"], abs=1e-3)


def test_one_seed_one_table(worlds):
    logs, y, _ = worlds["redundant"]
    one, two, other = (anchored_pid(*logs, y, n_draws=20, random_state=s) for s in (0, 0, 1))
    assert one.equals(two) and not one["low"].equals(other["low"])


def gate(rng, n, joint):
    """Rows of a table (x1, x2, y), their exact log-posteriors, and labels."""
    cell = rng.choice(joint.size, n, p=joint.ravel())
    x1, x2, y = np.unravel_index(cell, joint.shape)
    one, two = joint.sum(1), joint.sum(0)
    tables = [one / one.sum(1, keepdims=True), two / two.sum(1, keepdims=True), joint / joint.sum(2, keepdims=True)]
    return [np.log(tables[0][x1]), np.log(tables[1][x2]), np.log(tables[2][x1, x2])], y


def noisy_and(wrong=0.1):
    joint = np.zeros((2, 2, 2))
    for a in (0, 1):
        for b in (0, 1):
            joint[a, b, a & b], joint[a, b, 1 - (a & b)] = (1 - wrong) / 4, wrong / 4
    return joint


def test_intervals_cover_the_truth():
    """Of 30 samples of 400 rows: 24 hits or fewer have a probability below 1 in 100 at 95 %, and plain percentiles get them.

    A unique part of exactly 0 makes redundancy the smaller of two estimates, hence too low.
    """
    joint = noisy_and()
    total = mutual_information(joint.reshape(-1, 2))
    truth = decompose(joint.sum(1), joint.sum(0), total) | {"total": total, "information_1": mutual_information(joint.sum(1))}
    hits = dict.fromkeys(["redundant", "synergistic", "total", "information_1"], 0)
    for seed in range(30):
        logs, y = gate(np.random.default_rng(seed), 400, joint)
        table = anchored_pid(*logs, y, n_draws=100, random_state=seed).set_index("part")
        for part in hits:
            hits[part] += table.loc[part, "low"] <= truth[part] <= table.loc[part, "high"]
    assert min(hits.values()) >= 25, hits


def test_donors_are_drawn_whole():
    """Four copies of every row are no new evidence, if told that they belong together."""
    logs, y = gate(np.random.default_rng(0), 300, noisy_and())
    copies = [np.repeat(log, 4, axis=0) for log in logs], np.repeat(y, 4)

    def width(logs, y, groups):
        table = anchored_pid(*logs, y, groups=groups).set_index("part")
        return table.loc["total", "high"] - table.loc["total", "low"]

    single, blind, told = width(logs, y, None), width(*copies, None), width(*copies, np.repeat(np.arange(300), 4))
    assert told == pytest.approx(single, rel=0.25) and blind < 0.65 * single


def test_one_donor_has_no_interval():
    logs, y = gate(np.random.default_rng(0), 100, noisy_and())
    table = anchored_pid(*logs, y, groups=np.zeros(100), n_draws=3)
    assert table[["low", "high"]].isna().all(axis=None) and np.isfinite(table["value"]).all()


def test_synergy_is_a_lower_bound_until_all_is_told():
    """Nothing can be missing once the whole label is known."""
    for wrong, bound in ((0.1, 1), (1e-6, 0)):
        logs, y = gate(np.random.default_rng(0), 500, noisy_and(wrong))
        table = anchored_pid(*logs, y, n_draws=20).set_index("part")
        assert table.loc["synergistic", "lower_bound"] == table.loc["total", "lower_bound"] == bound
        assert not table.loc[["redundant", "unique_1", "unique_2"], "lower_bound"].any()


def test_posteriors_of_no_use_have_no_parts():
    logs, y = gate(np.random.default_rng(0), 500, noisy_and())
    y = np.random.default_rng(1).permutation(y)
    assert values(anchored_pid(*logs, y, n_draws=2)).max() < 1e-9


def test_what_is_refused():
    logs, y = gate(np.random.default_rng(0), 100, noisy_and())
    with pytest.raises(ValueError, match=r"`y`: expected at least 30 rows of at least two classes"):
        anchored_pid(*[log[:20] for log in logs], y[:20])
    with pytest.raises(ValueError, match=r"at least two classes"):
        anchored_pid(*logs, np.zeros(100, dtype=int))
    with pytest.raises(ValueError, match=r"`log_proba`: expected three finite tables"):
        anchored_pid(logs[0], logs[1][:50], logs[2], y)
    with pytest.raises(ValueError, match=r"`log_proba`: .* not finite"):
        anchored_pid(logs[0], np.where(logs[1] < -1, np.nan, logs[1]), logs[2], y)
