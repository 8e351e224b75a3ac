"""Contributions against the truth of simulations, with the exact posteriors in place of a model."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score

import omicsbal as ob
from omicsbal.diagnostics.answers import MEASURES, answers_from, numbers_from
from omicsbal.diagnostics.confusions import confusion_rows
from omicsbal.diagnostics.contribution import contribution_rows
from omicsbal.diagnostics.shapley import make_game

SIZES = {"rna": 60, "atac": 80, "protein": 12}


def told_by_the_oracle(mdata, *, groups=None):
    names = list(mdata.mod)
    game = make_game(names)
    logs = [(c, mdata.obsm["oracle_" + "+".join(m for m in names if m in c)].to_numpy()) for c in game.coalitions if c]
    label = mdata.obs["cell_type"].cat
    return answers_from(game, logs, label.codes.to_numpy(int), groups=groups, classes=label.categories, rows="held-out")


@pytest.fixture(scope="module")
def mixed():
    return ob.datasets.simulate(n_obs=3000, n_truth=12_000, preset="mixed", n_features=SIZES, random_state=0)


@pytest.fixture(scope="module")
def oracle(mixed):
    told = told_by_the_oracle(mixed)
    return told, pd.DataFrame(contribution_rows(told, measures=MEASURES))


def pick(table, kind, measure, *, by_class=False):
    rows = table[(table["kind"] == kind) & (table["measure"] == measure) & ((table["class"] != "") == by_class)]
    return rows.set_index(["modality", "class"] if by_class else "modality")


def test_shares_are_the_true_ones_and_covered(mixed, oracle):
    truth = mixed.uns["truth"]["shapley"].set_index("modality")
    for measure, column, off in (("information", "information_nats", 0.03), ("accuracy", "accuracy", 0.015)):
        found = pick(oracle[1], "shapley", measure)
        true = truth.loc[found.index, column]
        assert np.abs(found["value"] - true).max() < off
        assert ((found["low"] <= true) & (true <= found["high"])).all()
        assert (found["n"] == 3000).all() and (found["note"] == "").all()
    assert np.abs(truth["information_nats"]).max() > 0.2, "there is something to find"


def test_needs_of_classes_are_the_true_ones(mixed, oracle):
    found = pick(oracle[1], "need", "information", by_class=True)
    true = mixed.uns["truth"]["need"].stack().swaplevel().loc[found.index]
    assert np.abs(found["value"] - true).max() < 0.15
    inside = (found["low"] <= true) & (true <= found["high"])  # the truth is of 12,000 cells, so that its own error is small
    assert len(inside) == 24 and inside.mean() > 0.85
    assert found["p"].between(0, 1).all() and (found["q"] >= found["p"] - 1e-12).all()


def test_solo_total_and_interaction_are_those_of_the_measure(oracle):
    told, table = oracle
    scores = {"accuracy": accuracy_score, "macro_f1": lambda y, g: max(f1_score(y, g, average="macro", zero_division=0), 1 / 8)}
    for measure, score in scores.items():
        value = {c: score(told.y, g) for c, g in zip(told.game.coalitions, told.guess.T, strict=True)}
        value[frozenset()] = {"accuracy": np.bincount(told.y).max() / 3000, "macro_f1": 1 / 8}[measure]
        whole = told.game.coalitions[-1]
        for m in told.game.names:
            one = frozenset({m})
            assert pick(table, "solo", measure).loc[m, "value"] == pytest.approx(value[one] - value[frozenset()], abs=1e-6)
            assert pick(table, "need", measure).loc[m, "value"] == pytest.approx(value[whole] - value[whole - one], abs=1e-6)
        total = pick(table, "total", measure)["value"].iloc[0]
        assert total == pytest.approx(pick(table, "shapley", measure)["value"].sum(), abs=1e-10)


def test_classes_weighted_by_their_size_and_cells_give_the_whole(oracle):
    told, table = oracle
    whole = pick(table, "shapley", "information")["value"]
    each = pick(table, "shapley", "information", by_class=True)
    weighted = (each["value"] * each["n"]).groupby("modality").sum() / len(told.y)
    for m, by_cell in zip(told.game.names, told.by_row().mean(axis=0), strict=True):
        assert weighted[m] == pytest.approx(whole[m], abs=1e-10) and by_cell == pytest.approx(whole[m], abs=1e-10)


def test_the_useless_get_nothing_and_the_rest_is_imbalanced():
    """A modality that is noise, and a posterior that is moved by it: every number of it covers 0."""
    sizes = {m: SIZES[m] for m in ("rna", "protein")}
    mdata = ob.datasets.simulate(
        n_obs=1000, n_truth=200, preset="useless", modalities=["rna", "protein"], n_features=sizes, random_state=0
    )
    told = told_by_the_oracle(mdata)
    moved = told.log_truth + np.random.default_rng(0).normal(0, 0.1, told.log_truth.shape) * [0, 0, 1, 1]
    table = pd.DataFrame(contribution_rows(dataclasses.replace(told, log_truth=moved), measures=["information"]))
    for kind in ("shapley", "solo", "need"):
        row = pick(table, kind, "information").loc["protein"]
        assert row["low"] < 0 < row["high"] and row["high"] - row["low"] < 0.05
    unequal = table[table["kind"] == "imbalance"].iloc[0]
    assert unequal["value"] > 0.9 and unequal["low"] > 0.8 and unequal["note"] == ""


def test_donors_are_drawn_whole(oracle):
    told, blind = oracle
    donor = np.arange(3000) % 12
    shifted = told.log_truth + np.random.default_rng(0).normal(0, 0.5, 12)[donor, None] * (np.arange(8) == 7)
    again = dataclasses.replace(told, log_truth=shifted, groups=donor)
    table = pd.DataFrame(contribution_rows(again, measures=["information"]))
    wide, narrow = (pick(t, "total", "information").iloc[0] for t in (table, blind))
    assert wide["high"] - wide["low"] > 3 * (narrow["high"] - narrow["low"])
    few = pd.DataFrame(contribution_rows(dataclasses.replace(told, groups=donor % 4), measures=["information"]))
    assert few["note"].str.contains("Only 4 groups").all()
    one = pd.DataFrame(contribution_rows(dataclasses.replace(told, groups=0 * donor), measures=["accuracy"]))
    assert one[["low", "high", "p"]].isna().all(axis=None) and one["note"].str.contains("A single group").all()
    assert one.loc[one["kind"] != "imbalance", "value"].notna().all()


def made(y, seen, classes=("x", "y", "z")):
    """Answers of modality a, which takes y for `seen`, b, which knows nothing, and both, which know all."""
    game = make_game("ab")
    right, wrong, flat = (np.log(0.85 * np.eye(3)[k] + 0.05) for k in (y, seen, 0 * y))
    asked = [(frozenset("a"), wrong), (frozenset("b"), flat), (frozenset("ab"), right)]
    return answers_from(game, asked, y, groups=None, classes=classes, rows="held-out")


def test_confusions_are_those_that_a_modality_resolves():
    y = np.repeat([0, 1, 2], [60, 40, 10])
    seen = y.copy()
    seen[60:75] = 2  # 15 of 40 of class y are taken for z without b
    table = pd.DataFrame(confusion_rows(made(y, seen)))
    mine = table[table["modality"] == "b"]
    (row,) = mine.to_dict("records")
    assert (row["class"], row["taken_for"], row["n"]) == ("y", "z", 40)
    assert (row["without"], row["with"], row["value"]) == pytest.approx((0.375, 0.0, 0.375))
    assert 0.2 < row["low"] < 0.375 < row["high"] < 0.55
    without_a = table[table["modality"] == "a"]
    assert list(without_a["class"]) == ["y", "z"] and set(without_a["taken_for"]) == {"x"}
    assert without_a["note"].tolist() == ["", "Fewer than 20 rows."]


def test_rare_classes_are_marked_and_recall_told():
    y = np.repeat([0, 1, 2], [60, 40, 2])
    seen = y.copy()
    seen[60:75] = 2
    table = pd.DataFrame(contribution_rows(made(y, seen), measures=["accuracy"]))
    need = pick(table, "need", "recall", by_class=True)
    assert need.loc[("b", "y"), "value"] == pytest.approx(0.375)
    rare = table[table["class"] == "z"]
    assert rare["note"].str.startswith("Fewer than 20 rows.").all() and rare["p"].isna().all()
    assert not table[table["class"] == "y"]["note"].str.contains("Fewer").any()


def test_what_cannot_be_measured_is_said():
    y = np.repeat([0, 1, 2], 20)
    told = made(y, y)
    few = made(y[:25], y[:25])
    alone = made(y[:0].repeat(0), y[:0])
    single = made(np.zeros(40, int), np.zeros(40, int))
    silent = dataclasses.replace(told, log_truth=np.where(np.arange(4) == 1, np.nan, told.log_truth))
    silence = "No head of the model speaks for a."
    said = {"Fewer than 30 rows": few, "Fewer than 30": alone, "A single class": single, silence: silent}
    for words, one in said.items():
        (row,) = contribution_rows(one, measures=["information"])
        assert words in row["note"] and np.isnan(row["value"]) and list(confusion_rows(one)) == []


def test_guesses_that_know_nothing_get_nothing():
    """Flat posteriors whose most probable class varies: no value of them is above that of the prior."""
    rng = np.random.default_rng(0)
    y = np.arange(900) % 3
    logs = [np.log(rng.dirichlet(np.full(3, 5000.0), 900)) for _ in range(3)]
    asked = list(zip((frozenset("a"), frozenset("b"), frozenset("ab")), logs, strict=True))
    told = answers_from(make_game("ab"), asked, y, groups=None, classes="xyz", rows="held-out")
    for measure in MEASURES:
        table = pd.DataFrame(contribution_rows(told, measures=[measure]))
        found = table[(table["class"] == "") & (table["kind"] != "imbalance")]
        assert ((found["low"] <= 0) & (found["high"] >= 0)).all(), measure
        assert found["value"].abs().max() < 0.06
        assert table.loc[table["kind"] == "imbalance", "note"].str.contains("noise").all()


def test_one_modality_has_no_imbalance():
    y = np.arange(60) % 2
    logs = np.log(0.8 * np.eye(2)[y] + 0.1)
    told = answers_from(make_game("a"), [(frozenset("a"), logs)], y, groups=None, classes="xy", rows="held-out")
    table = pd.DataFrame(contribution_rows(told, measures=["information"])).set_index("kind")
    assert table.loc["imbalance", "note"] == "A single modality." and np.isnan(table.loc["imbalance", "value"])
    assert "interaction" not in table.index


def test_permutation_is_the_mean_loss_of_score():
    y = np.repeat([0, 1, 2], 40)
    told = made(y, y)
    wrong = np.column_stack([np.where(np.arange(120) < lost, 2, y) for lost in (20, 40)])  # of 40 of class x, 20 and 40 are lost
    told = dataclasses.replace(told, permuted={"a": wrong, "b": np.column_stack([y, y])})
    table = pd.DataFrame(contribution_rows(told, measures=MEASURES))
    found = table[table["kind"] == "permutation"].set_index(["measure", "modality"])
    assert set(found.index) == {(v, m) for v in ("accuracy", "macro_f1") for m in "ab"}, "not on the scale of likelihoods"
    assert found.loc[("accuracy", "a"), "value"] == pytest.approx(30 / 120)
    f1 = np.mean([f1_score(y, w, average="macro") for w in wrong.T])
    assert found.loc[("macro_f1", "a"), "value"] == pytest.approx(1 - f1, abs=1e-6)
    assert 0.15 < found.loc[("accuracy", "a"), "low"] < 0.25 < found.loc[("accuracy", "a"), "high"] < 0.35
    assert found.loc[("accuracy", "b"), ["value", "low", "high"]].tolist() == pytest.approx([0, 0, 0])


def test_numbers_against_the_gaussian_truth():
    """y = a + b + noise, all standard normal, and c, which is noise: I = -1/2 ln(1 - R^2) of every subset."""
    rng = np.random.default_rng(0)
    x, n = rng.normal(size=(4, 6000)), 6000
    y, names = x[0] + x[1] + x[3], "abc"
    game = make_game(names)
    asked = [(c, sum((x[names.index(m)] for m in c if m != "c"), np.zeros(n))[:, None]) for c in game.coalitions if c]
    told = numbers_from(game, asked, y, folds=np.arange(n) % 5, groups=None, rows="held-out")
    table = pd.DataFrame(contribution_rows(told, measures=["information", "r2"]))
    solo, both = np.log(3 / 2) / 2, np.log(3) / 2
    share = pick(table, "shapley", "information")
    assert share["value"].to_numpy() == pytest.approx([both / 2, both / 2, 0], abs=0.02)
    assert pick(table, "solo", "information")["value"].to_numpy() == pytest.approx([solo, solo, 0], abs=0.02)
    assert pick(table, "shapley", "r2")["value"].to_numpy() == pytest.approx([1 / 3, 1 / 3, 0], abs=0.02)
    assert (share["low"] < [both / 2 + 0.01, both / 2 + 0.01, 0.01]).all() and (
        share["high"] > [both / 2, both / 2, -0.001]
    ).all()
    assert set(table["class"]) == {""} and list(confusion_rows(told)) == []
    flat = numbers_from(game, asked, 0 * y, folds=np.arange(n) % 5, groups=None, rows="held-out")
    (row,) = contribution_rows(flat, measures=["r2"])
    assert row["note"] == "A single value in these rows."


def test_naming_the_largest_class_is_worth_no_less_than_guessing():
    y = np.repeat([0, 1, 2], [300, 60, 40])
    flat = np.log(np.tile([0.75, 0.15, 0.1], (400, 1)))
    told = answers_from(make_game("a"), [(frozenset("a"), flat)], y, groups=None, classes="xyz", rows="held-out")
    found = pd.DataFrame(contribution_rows(told, measures=["macro_f1"])).query("`class` == '' and kind == 'solo'").iloc[0]
    assert (found["low"], found["value"], found["high"]) == (0, 0, 0)


def test_a_class_of_one_donor_has_no_interval():
    """Its donor is drawn or not: every draw has the same mean, which is no certainty."""
    y = np.repeat([0, 1, 2], [60, 60, 40])
    seen = y.copy()
    seen[100:110], seen[120:125] = 2, 1
    donor = np.where(y == 2, 0, np.arange(160) % 12)
    donor[y == 1] %= 4
    told = dataclasses.replace(made(y, seen), groups=donor)
    for table in (pd.DataFrame(contribution_rows(told, measures=["accuracy"])), pd.DataFrame(confusion_rows(told))):
        mine = {name: table[table["class"] == name] for name in "yz"}
        assert mine["z"][["low", "high"]].isna().all(axis=None) and (mine["z"]["note"] == "A single group: no interval.").all()
        assert mine["y"][["low", "high"]].notna().all(axis=None) and mine["y"]["note"].str.startswith("Only 4 groups").all()


def test_equal_shares_are_possible_where_they_are():
    """Two modalities that tell the same amount, wrong in different rows: the index of imbalance holds 0."""
    held = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        y = rng.integers(2, size=200)
        one, two = (np.where(rng.random(200) < 0.2, 1 - y, y) for _ in range(2))
        said = [np.log(0.6 * np.eye(2)[k] + 0.2) for k in (one, two)]
        both = sum(said) - np.logaddexp(*sum(said).T)[:, None]
        asked = [(frozenset("a"), said[0]), (frozenset("b"), said[1]), (frozenset("ab"), both)]
        told = answers_from(make_game("ab"), asked, y, groups=None, classes="xy", rows="held-out", random_state=seed)
        (row,) = (r for r in contribution_rows(told, measures=["information"]) if r["kind"] == "imbalance")
        held += row["low"] <= 0
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    assert held >= 16  # of 20: fewer have a probability below 1 in 100 at 95 %


def test_nothing_is_not_unequal():
    """Accuracies that are all the prior's, up to rounding: no index, and no interval of it."""
    y = np.repeat([0, 1, 2], [50, 40, 40])
    flat = np.tile(np.log([0.4, 0.3, 0.3]), (130, 1))
    asked = [(frozenset(c), flat) for c in ("a", "b", "c", "ab", "ac", "bc", "abc")]
    told = answers_from(make_game("abc"), asked, y, groups=None, classes="xyz", rows="held-out")
    (row,) = (r for r in contribution_rows(told, measures=["accuracy"]) if r["kind"] == "imbalance")
    assert np.isnan([row["value"], row["low"], row["high"]]).all()
