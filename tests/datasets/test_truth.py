"""The tables of truth: golden numbers of four worlds, closed forms, and agreement of sampled with exact values."""

import numpy as np
import pytest
from scipy.stats import entropy

from omicsbal.datasets import simulate
from omicsbal.datasets._presets import PRESETS

PAIR = ("rna", "atac")
# H(Y), I1, I2, I12, R, U1, U2, S, phi1, phi2, accuracy 1, 2, 12: finite sums over two modalities.
GOLDEN = {
    "redundant": (
        1.279854,
        0.952434,
        0.555529,
        1.063798,
        0.555529,
        0.396905,
        0,
        0.111364,
        0.730352,
        0.333446,
        0.925,
        0.775,
        0.9258,
    ),
    "unique": (1.386294, 0.494632, 0.368064, 0.862696, 0, 0.494632, 0.368064, 0, 0.494632, 0.368064, 0.475, 0.45, 0.855),
    "xor": (0.673012, 0, 0, 0.366011, 0, 0, 0, 0.366011, 0.183006, 0.183006, 0.6, 0.6, 0.905),
    "mixed": (2.017189, 1.134963, 0.463926, 1.692854, 0.463926, 0.671037, 0, 0.557891, 1.181946, 0.510909, 0.529, 0.3145, 0.9111),
}


def truth_of(**options):
    """Truth of a small draw."""
    return simulate(**({"n_obs": 20, "n_truth": 100} | options)).uns["truth"]


@pytest.mark.parametrize("preset", GOLDEN)
def test_golden(preset):
    truth = truth_of(preset=preset, modalities=PAIR)
    states, shares, pid = truth["states"].set_index("subset"), truth["shapley"], truth["pid"].iloc[0]
    found = [
        truth["entropy_nats"],
        *states.loc[["rna", "atac", "rna+atac"], "information_nats"],
        *pid[["redundant", "unique_1", "unique_2", "synergistic"]],
        *shares["state_information_nats"],
    ]
    assert found == pytest.approx(GOLDEN[preset][:10], abs=1e-5)
    # The reference gives accuracies to three or four digits.
    assert list(states.loc[["rna", "atac", "rna+atac"], "bayes_accuracy"]) == pytest.approx(GOLDEN[preset][10:], abs=6e-5)


@pytest.mark.parametrize("preset", ["redundant", "xor", "mixed"])
def test_third_modality_leaves_the_pair_alone(preset):
    pid = truth_of(preset=preset)["pid"]
    assert len(pid) == 6
    pair = pid[(pid["source_1"] == "rna") & (pid["source_2"] == "atac")].iloc[0]
    assert list(pair[["redundant", "unique_1", "unique_2", "synergistic"]]) == pytest.approx(GOLDEN[preset][4:8], abs=1e-5)


def test_closed_forms():
    unique = truth_of(preset="unique", modalities=PAIR)["pid"].iloc[0]
    assert unique["unique_1"] == pytest.approx(np.log(2) - entropy([0.05, 0.95]), abs=1e-6)
    assert unique["unique_2"] == pytest.approx(np.log(2) - entropy([0.1, 0.9]), abs=1e-6)
    xor = truth_of(preset="xor")["states"].set_index("subset")
    assert xor.loc["rna+atac", "bayes_accuracy"] == pytest.approx(0.95**2 + 0.05**2)
    # Always guessing the first of two classes of .6 and .4: F1 = 1.2 / 1.6, and 0.
    assert xor.loc["none", "bayes_macro_f1"] == pytest.approx(0.75 / 2)


@pytest.mark.parametrize("preset", PRESETS)
def test_identities(preset):
    truth = truth_of(preset=preset, n_truth=400)
    exact, measured, shares = truth["states"].set_index("subset"), truth["subsets"].set_index("subset"), truth["shapley"]
    everything = "+".join(shares["modality"])
    for table, column, value in [
        (measured, "information_nats", "information_nats"),
        (exact, "state_information_nats", "information_nats"),
        (measured, "accuracy", "bayes_accuracy"),
        (exact, "state_accuracy", "bayes_accuracy"),
    ]:
        assert shares[column].sum() == pytest.approx(table.loc[everything, value] - table.loc["none", value], abs=1e-10)
    pid = truth["pid"]
    atoms = pid[["redundant", "unique_1", "unique_2", "synergistic"]]
    assert (atoms.to_numpy() >= 0).all()
    np.testing.assert_allclose(atoms.sum(axis=1), pid["total"], atol=1e-6)
    np.testing.assert_allclose(pid["total"], [exact.loc[_joined(row, shares), "information_nats"] for row in pid.itertuples()])
    # Measuring can only lose information (up to the Monte-Carlo error).
    assert (measured["information_nats"] <= exact["information_nats"] + 4 * measured["information_se"] + 1e-9).all()
    assert (exact["information_nats"] <= truth["entropy_nats"] + 1e-12).all()


def _joined(row, shares):
    """Name of the subset that the two sources make up."""
    held = {*row.source_1.split("+"), *row.source_2.split("+")}
    return "+".join(m for m in shares["modality"] if m in held)


@pytest.mark.parametrize("preset", GOLDEN)
def test_strong_measurement_reaches_the_states(preset):
    truth = truth_of(preset=preset, strength=2.0, n_truth=2000)
    exact, measured = truth["states"], truth["subsets"]
    np.testing.assert_allclose(measured["information_nats"], exact["information_nats"], atol=0.02)
    np.testing.assert_allclose(measured["bayes_accuracy"], exact["bayes_accuracy"], atol=0.02)


def test_standard_error_is_honest():
    values = [truth_of(preset="dominant", n_truth=300, random_state=0)["subsets"]]
    reference = truth_of(preset="dominant", n_truth=8000, random_state=0)["subsets"]
    error = np.hypot(values[0]["information_se"], reference["information_se"])
    assert (np.abs(values[0]["information_nats"] - reference["information_nats"]) < 4 * error + 1e-9).all()
    assert reference["information_se"].max() < 0.01


def test_noise_modality_is_worth_nothing():
    truth = truth_of(preset="useless", n_truth=2000)
    shares = truth["shapley"].set_index("modality")
    assert shares.loc["protein"].abs().max() < 1e-3
    assert truth["need"]["protein"].abs().max() < 1e-3
    assert shares.loc["rna", "information_nats"] > 0.3


@pytest.mark.parametrize("random_state", range(5))
def test_planted_types_need_atac(random_state):
    need = truth_of(preset="celltype", n_truth=1000, random_state=random_state)["need"]
    ranked = need["atac"].sort_values(ascending=False)
    assert set(ranked.index[:2]) == {"type_4", "type_5"}
    assert ranked.iloc[1] > 3 * ranked.iloc[2]


def test_mean_need_is_the_lost_information():
    truth = truth_of(preset="unique", n_truth=4000)
    known = truth["subsets"].set_index("subset")["information_nats"]
    need = truth["need"]["atac"].mean()  # balanced classes
    assert need == pytest.approx(known["rna+atac+protein"] - known["rna+protein"], abs=0.05)


def test_dials_move_the_truth():
    def states(**options):
        return truth_of(**options)["states"].set_index("subset")["information_nats"]

    by_error = [states(preset="redundant", error={"rna": e})["rna"] for e in (0.0, 0.2, 0.6, 1.0)]
    assert by_error == sorted(by_error, reverse=True)
    assert by_error[-1] == pytest.approx(0, abs=1e-12)
    by_synergy = [truth_of(preset="xor", synergy=s)["pid"].iloc[0]["synergistic"] for s in (0.0, 0.5, 1.0)]
    assert by_synergy == sorted(by_synergy)
    assert by_synergy[0] == pytest.approx(0, abs=1e-9)
    shared = [truth_of(preset="unique", shared=s)["pid"].iloc[0]["redundant"] for s in (0.0, 0.5, 1.0)]
    assert shared == sorted(shared)
    assert shared[0] < 1e-6 < 0.4 < shared[2]
    faint, strong = (
        truth_of(preset="redundant", strength={"atac": s}, n_truth=500)["subsets"].set_index("subset") for s in (0.0, 1.0)
    )
    assert abs(faint.loc["atac", "information_nats"]) < 1e-6 < strong.loc["atac", "information_nats"]
    shallow = truth_of(preset="redundant", depth={"rna": 0.05}, n_truth=500)["subsets"].set_index("subset")
    assert shallow.loc["rna", "information_nats"] < strong.loc["rna", "information_nats"] - 0.1


def test_default_truth_is_quick(record_property):
    from time import process_time

    start = process_time()
    simulate(random_state=1)
    used = process_time() - start
    record_property("cpu_seconds", used)
    assert used < 4  # about 0.5 on the machine it was written on; the promise is 2
