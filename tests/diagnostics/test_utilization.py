"""Ceiling, learned and used from posteriors made by hand; the rule of verdicts on numbers made by hand; probes."""

import numpy as np
import pandas as pd
import pytest
import torch

from omicsbal._types import Arrays
from omicsbal.config import FitConfig, NetConfig
from omicsbal.diagnostics.answers import Answers
from omicsbal.diagnostics.ceilings import linear_alone, speed, train_alone
from omicsbal.diagnostics.probes import probe
from omicsbal.diagnostics.shapley import make_game
from omicsbal.diagnostics.utilization import COLUMNS, Utilized, product_of, utilization_rows
from omicsbal.diagnostics.verdicts import VERDICTS, Numbers, decide, rule, verdict_rows
from omicsbal.train.classes import Classes

FULL = np.log(2)  # nats of a fair coin
CLASSES = Classes.learn(pd.Series(["T", "B"] * 50))


def gain(share_right, n=400):
    """(n,) log p(y | x) of a channel that is sure by 0.9 where it is right, and the classes it names for y = 0."""
    right = np.arange(n) % 100 < 100 * share_right
    return np.where(right, np.log(0.9), np.log(0.1)), np.where(right, 0, 1)


def made(used=(0.9, 0.5, 0.9), groups=None, masked=False, n=400, **extra):
    """Two modalities a and b: shares of right answers of the fused head from a, b and both, and of the other quantities."""
    y = np.arange(n) // 100 % 2
    game = make_game("ab")
    assert [sorted(c) for c in game.coalitions] == [[], ["a"], ["b"], ["a", "b"]]
    columns, names = [(np.full(n, -FULL), np.zeros(n, int))], {}
    columns += [gain(share, n) if share != 0.5 else (np.full(n, -FULL), np.arange(n) % 2) for share in used]
    for key, share in extra.items():
        kind, m = key.rsplit("_", 1)
        names[kind, {"both": "a+b"}.get(m, m)] = len(columns)
        columns.append(gain(share, n) if share != 0.5 else (np.full(n, -FULL), np.arange(n) % 2))
    truth, guess = (np.stack(c, axis=1) for c in zip(*columns, strict=True))
    guess = np.where(y[:, None] == 0, guess, 1 - guess)
    return Utilized(Answers(game, truth, guess, y, groups, ("T", "B"), "out-of-fold"), names, masked=masked)


def all_of(a, b, learned_b=None, product=0.9, **options):
    """Both with all that is measured: a and b trained alone, b's encoder in the joint model, the product."""
    shares = {"ceiling_a": a, "alone_probe_a": a, "learned_a": a, "ceiling_b": b, "alone_probe_b": b}
    return made(**shares, learned_b=b if learned_b is None else learned_b, product_both=product, **options)


def nats(share):
    return FULL + share * np.log(0.9) + (1 - share) * np.log(0.1)


def test_every_number_of_a_table_worked_by_hand():
    used = all_of(0.9, 0.8, learned_b=0.78, used=(0.9, 0.5, 0.95), product=0.97)
    table = pd.DataFrame(utilization_rows(used), columns=COLUMNS)
    told = table[table["measure"] == "information"].set_index(["kind", "modality"])["value"]
    assert table["note"].str.startswith("Best alone: a.").sum() == 2
    expected = {
        ("ceiling", "a"): nats(0.9),
        ("ceiling", "b"): nats(0.8),
        ("learned", "b"): nats(0.78),
        ("solo", "a"): nats(0.9),
        ("solo", "b"): 0.0,
        ("need", "b"): nats(0.95) - nats(0.9),
        ("need", "a"): nats(0.95),
        ("retention", "b"): nats(0.78) / nats(0.8),
        ("lost", "b"): nats(0.8) - nats(0.78),
        ("gap", "b"): nats(0.8) - nats(0.78),
        ("ignored", "b"): nats(0.78),
        ("utilization", "a"): 1.0,
        ("total", "a+b"): nats(0.95),
        ("competition", "a+b"): nats(0.9) - nats(0.95),
        ("fusion_value", "a+b"): nats(0.95) - nats(0.97),
        ("share", "b"): (nats(0.95) - nats(0.9)) / 2 / nats(0.95),
    }
    assert {k: told[k] for k in expected} == pytest.approx(expected, abs=1e-6)
    inside = table[table["value"].notna()]
    assert ((inside["low"] <= inside["value"] + 1e-12) & (inside["value"] <= inside["high"] + 1e-12)).all()
    f1 = table[(table["measure"] == "macro_f1") & (table["kind"] == "learned") & (table["modality"] == "b")]["value"]
    assert f1.iloc[0] == pytest.approx(0.78 - 0.5)


def test_the_draws_are_the_same_for_all_so_that_ratios_are_surer_than_their_parts():
    numbers = all_of(0.9, 0.8).numbers("information")
    assert numbers["ceiling", "b"][1].std() > 0.02
    np.testing.assert_allclose(numbers["retention", "b"][1], 1)
    np.testing.assert_allclose(numbers["lost", "b"][1], 0)


@pytest.mark.parametrize(
    ("numbers", "masked", "expected"),
    [
        ({}, False, ["fair", "fair"]),
        ({"ceiling": [0.5, 0.02]}, False, ["fair", "uninformative"]),
        ({"ceiling": [0.5, 0.02], "share": [0.9, 0.1]}, False, ["fair", "uninformative"]),  # nothing else to listen to
        ({"learned": [0.5, 0.4], "share": [0.6, 0.4]}, False, ["fair", "under-used"]),
        ({"learned": [0.5, 0.46]}, False, ["fair", "fair"]),  # less than a tenth
        ({"ceiling": [0.5, 0.1], "alone_probe": [0.5, 0.1], "learned": [0.5, 0.085]}, False, ["fair", "fair"]),  # 0.015 nats
        ({"solo": [0.5, 0.1]}, False, ["fair", "fair"]),  # a head that never saw a mask is not asked
        ({"solo": [0.5, 0.1]}, True, ["fair", "under-used"]),
        ({"share": [0.7, 0.3]}, False, ["fair", "fair"]),
        ({"share": [0.8, 0.2]}, False, ["dominant", "fair"]),
        ({"share": [0.8, 0.2], "learned": [0.5, 0.2]}, False, ["dominant", "under-used"]),
    ],
)
def test_the_rule(numbers, masked, expected):
    plain = {"ceiling": [0.5, 0.5], "alone_probe": [0.5, 0.5], "learned": [0.5, 0.5], "solo": [0.5, 0.5], "share": [0.5, 0.5]}
    codes = rule(Numbers(**{k: np.array([v]) for k, v in (plain | numbers).items()}), masked=masked)
    assert [VERDICTS[i] for i in codes[0]] == expected


def test_an_alarm_takes_nine_draws_of_ten():
    yes, no = np.array([True, True]), np.array([True, False])
    assert decide(np.array([[0, 0.9, 0, 0.1], [0, 0, 0.6, 0.4]]), yes) == ["under-used", "dominant"]
    assert decide(np.array([[0, 0.89, 0, 0.11], [0, 0, 0.6, 0.4]]), yes) == ["fair", "fair"]
    assert decide(np.array([[0, 0, 0.9, 0.1], [0, 0.95, 0, 0.05]]), no) == ["dominant", "uninformative"]


def test_verdicts_and_sentences_state_their_numbers():
    rows = {r["modality"]: r for r in verdict_rows(all_of(0.9, 0.8, learned_b=0.68, used=(0.9, 0.6, 0.9)), advice="Try x.")}
    assert [rows[m]["verdict"] for m in "ab"] == ["dominant", "under-used"]
    words = rows["b"]["sentence"]
    assert words.startswith(f"b: under-used. Alone it tells {nats(0.8):.2f} nats [")
    assert f"(retention {100 * nats(0.68) / nats(0.8):.0f} % [" in words and "% sure" in words and words.endswith("Try x.")
    assert rows["b"]["certainty"] > 0.9 and rows["b"]["retention"] == pytest.approx(nats(0.68) / nats(0.8), abs=1e-6)
    assert "Try x." not in rows["a"]["sentence"]


def test_a_share_of_nothing_is_left_out_of_the_sentence():
    shares = {"ceiling_a": 0.9, "alone_probe_a": 0.5, "learned_a": 0.9, "ceiling_b": 0.9, "alone_probe_b": 0.9, "learned_b": 0.9}
    row = verdict_rows(made(used=(0.9, 0.9, 0.95), product_both=0.95, **shares), advice="")[0]
    assert np.isnan(row["retention"]) and row["verdict"] == "fair"
    assert "nan" not in row["sentence"] and "retention" not in row["sentence"]


def test_noise_is_not_to_be_boosted_and_weak_is_fair():
    noise, weak = (verdict_rows(all_of(0.95, share, used=(0.95, 0.5, 0.95)), advice="Try x.") for share in (0.5, 0.8))
    assert [r["verdict"] for r in noise] == ["fair", "uninformative"]
    assert noise[1]["sentence"].endswith("There is nothing to boost.") and noise[1]["certainty"] == 1
    assert weak[1]["verdict"] == "fair", "also with nothing on top of the other: what is redundant is not wasted"
    assert "Try x." not in weak[1]["sentence"]


def test_a_ratio_to_nothing_is_no_number_and_is_said_to_be_noise():
    shares = {f"{kind}_{m}": 0.9 for kind in ("ceiling", "alone_probe", "learned") for m in "ab"}
    used = made(**shares | {"alone_probe_b": 0.7}, used=(0.9, 0.5, 0.9), product_both=0.9)  # linear models alone read b
    used.numbers_in_nats["alone_probe", "b"] = (0.001, np.linspace(-0.01, 0.02, 500))
    table = pd.DataFrame(utilization_rows(used), columns=COLUMNS).set_index(["kind", "modality", "measure"])
    row = table.loc[("retention", "b", "information")]
    assert np.isnan(row["value"]) and row["note"].startswith("A probe finds nothing for sure in the encoder trained alone")
    assert table.loc[("retention_of_ceiling", "b", "information"), "value"] == pytest.approx(1)
    said = verdict_rows(used, advice="")
    assert np.isnan(said[1]["retention"]) and "retention" not in said[1]["sentence"] and "nan" not in said[1]["sentence"]
    assert said[0]["retention"] == pytest.approx(1)
    deaf = pd.DataFrame(utilization_rows(made(**shares, used=(0.5, 0.5, 0.7), product_both=0.9)), columns=COLUMNS)
    ratios = deaf["kind"].isin(["utilization", "share"])
    assert deaf.loc[ratios, "note"].str.startswith("All together tell nothing for sure").all()
    assert not deaf.loc[~ratios, "note"].str.contains("All together").any()
    noise = verdict_rows(all_of(0.95, 0.5, used=(0.95, 0.5, 0.95)), advice="")[1]
    assert np.isnan(noise["retention"]) and np.isnan(noise["retention_low"])


def test_ignored_by_a_head_that_saw_masks():
    for masked, verdict in ((True, "under-used"), (False, "fair")):
        row = verdict_rows(all_of(0.9, 0.9, used=(0.9, 0.5, 0.9), masked=masked), advice="Try x.")[1]
        assert row["verdict"] == verdict
        assert ("of which the fused head alone with it says 0.00 nats" in row["sentence"]) == masked


def test_donors_are_drawn_whole_and_a_single_one_gives_no_certainty():
    groups = np.arange(400) // 100
    wide = all_of(0.9, 0.8, groups=groups)
    assert wide.told.draws().reshape(500, 4, 100).std(axis=2).max() == 0
    assert "Only 4 groups" in pd.DataFrame(utilization_rows(wide))["note"].iloc[0]
    one = verdict_rows(all_of(0.9, 0.8, groups=np.zeros(400, int)), advice="")
    assert np.isnan(one[0]["certainty"]) and "single group" in one[0]["sentence"]


def test_what_cannot_be_measured_is_said():
    few = all_of(0.9, 0.8, n=20)
    (row,) = utilization_rows(few)
    assert np.isnan(row["value"]) and row["note"] == "Fewer than 30 rows have every modality."
    assert [r["verdict"] for r in verdict_rows(few, advice="")] == ["", ""]


def test_the_product_of_independent_witnesses_is_the_posterior():
    rng = np.random.default_rng(0)
    prior = np.array([0.7, 0.2, 0.1])
    outcome = Classes(("a", "b", "c"), np.log(prior))
    likelihood = rng.dirichlet(np.ones(4), size=(2, 3))  # p(x_m | y)
    x = rng.integers(0, 4, (50, 2))
    each = [np.log(prior * likelihood[m][:, x[:, m]].T) for m in range(2)]
    each = [e - np.log(np.exp(e).sum(axis=1, keepdims=True)) for e in each]
    joint = prior * likelihood[0][:, x[:, 0]].T * likelihood[1][:, x[:, 1]].T
    np.testing.assert_allclose(np.exp(product_of(each, outcome)), joint / joint.sum(axis=1, keepdims=True), atol=1e-9)


def test_a_probe_reads_each_member_in_its_own_coordinates():
    rng = np.random.default_rng(1)
    y, folds = rng.integers(0, 2, 200), np.arange(200) % 4
    signal = np.stack([y * 2.0 - 1, np.zeros(200)], axis=1) + rng.normal(0, 0.3, (200, 2))
    turns = [np.linalg.qr(rng.normal(size=(2, 2)))[0] for _ in range(4)]
    rows = np.arange(200) >= 10
    told = probe(np.stack([signal @ t + k for k, t in enumerate(turns)]), y, rows, folds, CLASSES)
    assert np.isnan(told[:10]).all() and ((told[10:].argmax(axis=1) == y[10:]).mean()) > 0.97
    mixed = np.stack([np.where(np.arange(200)[:, None] % 2, signal, -signal)] * 4)
    assert (probe(mixed, y, rows, folds, CLASSES)[10:].argmax(axis=1) == y[10:]).mean() < 0.7, "the test can fail"
    assert probe(np.ones((4, 200, 2)), np.zeros(200, int), rows, folds, CLASSES) is None


def test_a_probe_does_not_see_the_fold_it_speaks_of():
    rng = np.random.default_rng(2)
    y, folds = rng.integers(0, 2, 120), np.arange(120) % 3
    leaky = np.stack([np.where(folds == k, 5.0 * (2 * y - 1), rng.normal(size=120)) for k in range(3)])[..., None]
    told = probe(leaky, y, np.ones(120, bool), folds, CLASSES)
    scale = np.abs(told[:, 0] - told[:, 1])
    assert scale.max() < 3, "learnt from noise alone, it stays unsure"


def test_on_a_graph_a_modality_alone_does_not_look_at_the_others():
    rng = np.random.default_rng(4)
    y, folds, here = np.arange(60) % 2, np.arange(60) // 2 % 3, torch.ones(60, dtype=torch.bool)
    sure, weak = (torch.from_numpy(a * (2 * y[:, None] - 1) + rng.normal(size=(60, 6))).float() for a in (5.0, 0.3))
    has = torch.arange(60) >= 6
    how = {"net": NetConfig(width=4, depth=1, latent=2, encoder="graph", graph_neighbours=5), "random_state": 1}
    how |= {"config": FitConfig(max_epochs=1, n_members=0)}

    def alone(other):
        weight = torch.ones(60)
        data = Arrays({"weak": weak, "other": other}, {"weak": has, "other": here}, torch.from_numpy(y), weight)
        return train_alone(data, folds, CLASSES, **how)

    one, two = alone(sure), alone(torch.flip(sure, [0]))
    np.testing.assert_array_equal(one.raw["weak"], two.raw["weak"])
    np.testing.assert_array_equal(one.embeddings["weak"], two.embeddings["weak"])
    assert np.abs(one.raw["other"] - two.raw["other"]).max() > 0.01
    assert np.isnan(one.raw["weak"][:6]).all() and np.isfinite(one.raw["weak"][6:]).all()
    assert one.embeddings["weak"].shape == (3, 60, 2) and list(one.history) == ["weak", "other"]


def test_linear_alone_speaks_of_its_rows():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 90)
    x = np.stack([y + rng.normal(0, 0.2, 90), rng.normal(size=90)], axis=1)
    rows = np.arange(90) < 80
    told = linear_alone(x, y, rows, np.arange(90) % 3, CLASSES)
    assert np.isnan(told[80:]).all() and (told[:80].argmax(axis=1) == y[:80]).mean() > 0.95
    assert linear_alone(x, np.zeros(90, int), rows, np.arange(90) % 3, CLASSES) is None


def test_speed_is_when_nine_tenths_of_the_gain_were_there():
    table = pd.DataFrame({"epoch": range(1, 11), "s": [0.25, 0.3, np.nan, 0.6, 0.89, 0.93, 1, 1, 1, 1.0]})
    assert speed(table, "s", 0.25) == (6.0, 0.6, "")
    assert speed(table, "s", 0.0) == (6.0, 0.6, "")
    assert speed(table, "t", 0.25)[2] == "Its head was not trained."
    assert speed(table.assign(s=0.2), "s", 0.25)[2] == "It ended no better than guessing."


def test_most_draws_without_enough_of_them_are_a_leaning() -> None:
    fair = {"ceiling_a": 0.9, "alone_probe_a": 0.9, "learned_a": 0.877, "ceiling_b": 0.9, "alone_probe_b": 0.9, "learned_b": 0.9}
    row = verdict_rows(made(used=(0.9, 0.9, 0.95), product_both=0.95, **fair), advice="ADVICE")[0]
    shares = (row["certainty"], row["leaning"])
    assert row["verdict"] == "fair" and shares[0] < 0.5 and shares[1] == "under-used", row
    assert "under-used in most draws" in row["sentence"] and "ADVICE" not in row["sentence"]
