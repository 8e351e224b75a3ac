"""Shapley values and decompositions over a grid of worlds with exact posteriors, against the truth of the simulator.

Two kinds of world. *Measured*: `ob.datasets.simulate`, two or three modalities (it has no fourth), features so strong that the
states' decomposition is also that of the data. *States*: the simulator's hidden states themselves, two to four modalities, whose
truth is a finite sum, so that coverage can be counted over many draws.
"""

import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal.datasets._presets import Space, spread
from omicsbal.datasets._truth import shapley, state_table
from omicsbal.datasets._world import World, channel, power_prior, subset_name, subsets
from omicsbal.diagnostics.anchored import anchored_pid
from omicsbal.diagnostics.answers import answers_from
from omicsbal.diagnostics.broja import decompose, mutual_information
from omicsbal.diagnostics.contribution import contribution_rows
from omicsbal.diagnostics.shapley import make_game

NAMES = ("a", "b", "c", "d")
PARTS = ("redundant", "unique_1", "unique_2", "synergistic")
SIZES = {"rna": 60, "atac": 100, "protein": 16}


def states(n_modalities, *, shared, synergy, error, n_classes=4):
    """A world of hidden states; with `synergy` the first two also hold the halves of a secret about the label."""
    names = NAMES[:n_modalities]
    space = Space(n_classes, 2, names)
    reads = spread(space, shared=shared)
    if synergy:
        for name, half in zip(names, (space.key, space.cipher), strict=False):
            reads[name] = [*reads.get(name, []), half(synergy)]
    noise = np.full((n_classes, 2, 2), 0.5)
    reads = {m: reads.get(m) or [noise] for m in names}
    return World(power_prior(n_classes, 0.5), {m: channel(reads[m], error) for m in names}, {})


def drawn(world, n, seed):
    """Labels of n cells, and exact log-posteriors given the states of every subset."""
    rng = np.random.default_rng(seed)
    y, nuisance = rng.choice(len(world.prior), size=n, p=world.prior), rng.integers(world.n_nuisance, size=n)
    state = {m: (rng.random(n)[:, None] > t[y, nuisance].cumsum(axis=1)).sum(axis=1) for m, t in world.tables.items()}
    logs = {}
    for subset in subsets(world.tables)[1:]:
        joint = world.joint(subset)
        code = np.ravel_multi_index([state[m] for m in subset], [world.tables[m].shape[2] for m in subset])
        logs[frozenset(subset)] = np.log(np.maximum(joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300), 1e-12))[code]
    return y, logs


def measured(n_modalities, *, n, **dials):
    """Labels, log-posteriors of every subset, and the truth, of a simulated MuData."""
    names = ["rna", "atac", "protein"][:n_modalities]
    sizes = {m: SIZES[m] for m in names}
    mdata = ob.datasets.simulate(
        n_obs=n, preset="redundant", modalities=names, n_classes=4, n_features=sizes, strength=3.0, n_truth=1500, **dials
    )
    logs = {frozenset(s): mdata.obsm[f"oracle_{subset_name(s)}"].to_numpy() for s in subsets(names)[1:]}
    return mdata.obs["cell_type"].cat.codes.to_numpy(int), logs, mdata.uns["truth"]


def told(y, logs, names):
    return answers_from(make_game(names), logs.items(), y, groups=None, classes=[f"type_{k}" for k in range(4)], rows="held-out")


def shares(y, logs, names, measures=("information",)):
    table = pd.DataFrame(contribution_rows(told(y, logs, names), measures=measures))
    return table[(table["kind"] == "shapley") & (table["class"] == "")].set_index("modality")


def truth_of(world):
    """Exact Shapley values in nats of the states."""
    table = state_table(world).set_index("subset")["information_nats"]
    return pd.Series(shapley(table.to_dict(), tuple(world.tables)))


GRID = [
    (modalities, shared, synergy, error)
    for modalities in (2, 3)
    for shared, synergy in ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0))
    for error in (0.1, 0.4)
]


@pytest.mark.parametrize(("n", "mean", "most"), [(200, 0.05, 0.25), (1000, 0.025, 0.14), (5000, 0.012, 0.06)])
def test_measured_worlds_are_told_within_bounds(n, mean, most):
    """Mean and largest error in nats over the grid of redundancy, synergy and strength, of shares and of parts.

    A single cell's gain has a standard deviation of up to 1.3 nats here, 0.04 in the mean of 1,000; 12 worlds of 4 parts each.
    """
    off_share, off_part = [], []
    for i, (modalities, shared, synergy, error) in enumerate(GRID):
        if n == 5000 and modalities == 2:
            continue  # the three have these pairs
        y, logs, truth = measured(modalities, n=n, shared=shared, synergy=synergy, error=error, random_state=i)
        true = truth["shapley"].set_index("modality")["information_nats"]
        off_share.append(np.abs(told(y, logs, list(true.index)).by_row().mean(axis=0) - true.to_numpy()))
        row = truth["pid"].iloc[0]
        one, two = frozenset({row["source_1"]}), frozenset({row["source_2"]})
        table = anchored_pid(logs[one], logs[two], logs[one | two], y, n_draws=2).set_index("part")["value"]
        off_part.append(np.abs(table[list(PARTS)] - row[list(PARTS)].astype(float)).to_numpy())
    for off in (np.concatenate(off_share), np.concatenate(off_part)):
        assert off.mean() < mean and off.max() < most, (off.mean(), off.max())


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_intervals_of_shares_hold_the_truth(modalities):
    """Of 95 % intervals of 120 data sets of 200 cells, at least 108 hold the truth of each modality.

    With true coverage of 0.95, fewer than 108 of 120 happen once in 100 times; 0.9 of nominal 0.95 is what a bootstrap of 200
    cells is asked for.
    """
    world = states(modalities, shared=0.5, synergy=0.8, error=0.2)
    true = truth_of(world)
    held = 0
    for seed in range(120):
        found = shares(*drawn(world, 200, seed), list(world.tables))
        held += ((found["low"] <= true) & (true <= found["high"])).to_numpy(float)
    assert (held >= 108).all(), held
    assert (held < 120).any(), "nor are they boundless"


@pytest.mark.parametrize(("name", "shared", "synergy"), [("unique", 0.0, 0.0), ("mixed", 0.5, 0.8)])
def test_intervals_of_parts_hold_the_truth(name, shared, synergy):
    """At 500 cells, 40 data sets: each part's interval holds the truth in at least 33 (binomial 0.95: fewer once in 200 times).

    Posteriors are exact here. Those of a model know less, and its parts are then those of what it knows.
    """
    world = states(2, shared=shared, synergy=synergy, error=0.2)
    one, two = world.joint("a"), world.joint("b")
    true = decompose(one, two, mutual_information(world.joint("ab")))
    held = pd.Series(0, index=list(PARTS))
    for seed in range(40):
        y, logs = drawn(world, 500, seed)
        a, b, both = (logs[frozenset(s)] for s in ("a", "b", "ab"))
        table = anchored_pid(a, b, both, y, n_draws=100, random_state=seed).set_index("part")
        for part in PARTS:
            held[part] += table.loc[part, "low"] - 0.005 <= true[part] <= table.loc[part, "high"] + 0.005
    assert (held >= 33).all(), (name, held)


def test_noise_secrets_and_copies_are_told_apart():
    """XOR shows synergy and nothing else, a copy redundancy and nothing else, and noise covers zero, at every n."""
    for n, off in ((200, 0.1), (1000, 0.05), (5000, 0.02)):
        y, logs = drawn(states(3, shared=0.0, synergy=1.0, error=0.0, n_classes=2), n, 0)  # "b" has the other half alone
        y2, secret = drawn(World(np.full(2, 0.5), _xor(), {}), n, 1)
        a, b, both = (secret[frozenset(s)] for s in ("a", "b", "ab"))
        parts = anchored_pid(a, b, both, y2, n_draws=20).set_index("part")["value"]
        assert parts["synergistic"] == pytest.approx(np.log(2), abs=off)
        assert parts[["redundant", "unique_1", "unique_2"]].max() < off
        noise = shares(y2, secret, "abc").loc["c"]
        assert noise["low"] <= 0 <= noise["high"] and abs(noise["value"]) < off
        first = logs[frozenset("a")]
        copy = anchored_pid(first, first, first, y, n_draws=20).set_index("part")["value"]
        assert copy["redundant"] == pytest.approx(copy["total"], abs=off) and copy["redundant"] > 0.3
        assert copy[["unique_1", "unique_2", "synergistic"]].max() < off


def _xor():
    """Two halves of a secret about two classes, and a modality that holds nothing."""
    space = Space(2, 2, ("a", "b", "c"))
    return {"a": channel([space.key()], 0.0), "b": channel([space.cipher()], 0.0), "c": np.full((2, 2, 2), 0.5)}


def test_permuted_labels_cover_zero():
    """Posteriors calibrated to labels that were shuffled say the prior; those that are not lose, and gain nothing."""
    world = states(3, shared=0.5, synergy=0.0, error=0.2)
    gained = 0
    for seed in range(20):
        y, logs = drawn(world, 300, seed)
        shuffled = np.random.default_rng(seed).permutation(y)
        flat = {s: np.log(0.05 * np.exp(v) + 0.95 * world.prior) for s, v in logs.items()}  # as calibrating makes them, nearly
        gained += (shares(shuffled, flat, "abc")["low"] > 0).to_numpy(int)
    assert (gained <= 3).all(), "2.5 % of 20 would be half a one"


def test_efficiency_symmetry_and_null_hold_exactly():
    """A copy gets the share of what it copies, what says nothing gets 0, and shares sum to the total: by cell, and in all."""
    world = states(2, shared=0.5, synergy=0.8, error=0.2)
    y, logs = drawn(world, 400, 0)
    flat = np.log(np.tile(world.prior, (400, 1)))
    y_prior = np.log(np.bincount(y, minlength=4) / 400)
    asked = {}
    for subset in subsets(NAMES)[1:]:
        here = {"c": "a"}.get  # c is a copy of a, and d says nothing
        core = frozenset(here(m, m) for m in subset if m != "d")
        asked[frozenset(subset)] = logs[core] if core else flat * 0 + y_prior
    answers = told(y, asked, NAMES)
    by_row = answers.by_row()
    np.testing.assert_allclose(by_row.sum(axis=1), answers.log_truth[:, -1] - answers.log_truth[:, 0], atol=1e-12)
    np.testing.assert_allclose(by_row[:, 0], by_row[:, 2], atol=1e-12)
    np.testing.assert_allclose(by_row[:, 3], 0, atol=1e-12)
    for measure in ("information", "accuracy", "macro_f1"):
        table = pd.DataFrame(contribution_rows(answers, measures=[measure])).query("`class` == ''")
        found = table[table["kind"] == "shapley"].set_index("modality")["value"]
        assert found.sum() == pytest.approx(table.loc[table["kind"] == "total", "value"].iloc[0], abs=1e-6)
        assert found["a"] == pytest.approx(found["c"], abs=1e-6)
        assert found["d"] == pytest.approx(0, abs=1e-6) or measure == "macro_f1", "macro-F1 of nothing is that of guessing"
