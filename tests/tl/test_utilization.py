"""What utilization writes, whom it finds wasted in fits that starve on purpose, and what it refuses."""

import re

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import UTILIZATION, VERDICTS
from omicsbal.balance import Strategy, scale_update

COLUMNS = ["kind", "measure", "modality", "value", "low", "high", "n", "rows", "note"]
OPTIONS = {
    "config": ob.FitConfig(max_epochs=15, evaluations=5, n_members=0),
    "net": ob.NetConfig(width=16, depth=1, latent=4),
    "n_folds": 3,
    "device": "cpu",
    "progress": False,
}
SIZES = {"rna": 100, "atac": 80, "protein": 12}


class Starving(Strategy):
    """Joint training in which the encoder of RNA moves a thousandth of each step."""

    unimodal = False

    def weights(self, state, losses, outputs, batch):
        scale_update(state, "rna", 1e-3)
        return {}


def pair():
    """200 cells of 3 types, RNA and protein, which both read all of the label."""
    return ob.datasets.simulate(
        n_obs=200,
        n_truth=200,
        preset="redundant",
        n_classes=3,
        n_features={"rna": 100, "protein": 12},
        modalities=["rna", "protein"],
        random_state=0,
    )


def judged(mdata, strategy, label="cell_type", **asked):
    """Fit, ask, and return the verdicts and the nats by kind and modality."""
    model = ob.tl.fit(mdata, label_key=label, strategy=strategy, experts=False, **OPTIONS)
    table = ob.tl.utilization(model, mdata, device="cpu", progress=False, **asked)
    nats = table[table["measure"] == "information"].set_index(["kind", "modality"])
    return mdata.uns[asked.get("key_added", "omicsbal")][VERDICTS].set_index("modality"), nats


@pytest.fixture(scope="module")
def learnt():
    """200 labelled cells, ATAC missing in 10 of them, protein pure noise, 20 more without a label; model, table."""
    mdata = ob.datasets.simulate(n_obs=220, n_truth=200, preset="useless", n_classes=3, n_features=SIZES, random_state=0)
    obs = mdata.obs.copy()
    mdata = mudata.MuData({"rna": mdata["rna"].copy(), "atac": mdata["atac"][10:].copy(), "protein": mdata["protein"].copy()})
    for column in ("cell_type", "donor"):
        mdata.obs[column] = obs[column].loc[mdata.obs_names].to_numpy()
    mdata.obs["part"] = mdata.obs["cell_type"].astype(object)
    mdata.obs.loc[mdata.obs_names[200:], "part"] = None
    model = ob.tl.fit(mdata, label_key="part", **OPTIONS)
    return mdata, model, ob.tl.utilization(model, mdata, device="cpu", progress=False)


def test_what_it_returns_is_what_it_writes_and_survives_a_file(learnt, tmp_path):
    mdata, _, table = learnt
    said = mdata.uns["omicsbal"]
    assert list(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(table, said[UTILIZATION])
    assert {"folds", "history", "heads"} <= set(said), "beside the fit"
    mdata.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    for name in (UTILIZATION, VERDICTS):
        read = again.uns["omicsbal"][name].reset_index(drop=True)
        pd.testing.assert_frame_equal(read, said[name], check_dtype=False, check_categorical=False)
    assert len(ob.pl.utilization(again)) == 2


def test_the_page_of_slots_names_all_there_is(learnt, repository):
    mdata, _, table = learnt
    page = (repository / "docs" / "slots.md").read_text().split("after `utilization`")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", page))
    columns = {c.removesuffix("_low").removesuffix("_high") for c in mdata.uns["omicsbal"][VERDICTS].columns}
    assert {*table.columns, *table["kind"], *table["measure"], *table["rows"], *columns} <= words
    assert set(mdata.uns["omicsbal"][VERDICTS]["verdict"]) <= words


def test_rows_notes_and_speeds(learnt):
    _, _, table = learnt
    timed = table["kind"].str.startswith("speed")
    assert (table.loc[~timed, "n"] == 190).all() and set(table["rows"]) == {"out-of-fold"}
    total = table[(table["kind"] == "total") & (table["measure"] == "information")]
    assert total["note"].iloc[0] == "Left out: 10 rows that lack a modality." and total["low"].iloc[0] > 0.1
    ceilings = table[(table["kind"] == "ceiling") & (table["measure"] == "information")]
    assert (ceilings["note"] == "Calibrated pool of the network alone and the linear model.").all()
    solo = table[table["kind"] == "solo"]
    assert solo["note"].str.startswith("The fused head was not trained with modalities hidden").all()
    speeds = table[(table["kind"] == "speed") & (table["modality"] == "rna")].set_index("measure")["value"]
    assert 3 <= speeds["epoch"] <= 15 and speeds["share"] == speeds["epoch"] / 15


def test_noise_is_uninformative_and_nobody_is_told_to_boost_it(learnt):
    mdata, _, table = learnt
    verdicts = mdata.uns["omicsbal"][VERDICTS].set_index("modality")
    assert verdicts.loc["protein", "verdict"] == "uninformative" and verdicts.loc["protein", "certainty"] > 0.8
    assert verdicts.loc["protein", "sentence"].endswith("There is nothing to boost.")
    assert verdicts.loc["rna", "verdict"] != "uninformative"
    kept = table[(table["kind"] == "retention") & (table["modality"] == "protein") & (table["measure"] == "information")]
    assert kept["value"].isna().all() and kept["note"].str.contains("nothing to retain").all()


def test_a_starved_modality_is_found_and_not_when_it_is_fed():
    mdata = pair()
    verdicts, nats = judged(mdata, Starving())
    assert verdicts.loc["rna", "verdict"] == "under-used" and verdicts.loc["rna", "certainty"] > 0.9
    assert nats.loc[("retention", "rna"), "high"] < 0.9 and nats.loc[("retention", "rna"), "value"] < 0.7
    assert nats.loc[("retention", "protein"), "value"] > 0.9
    words = verdicts.loc["rna", "sentence"]
    assert words.startswith("rna: under-used. Alone it tells ") and "Try another strategy" in words
    assert nats.loc[("solo", "rna"), "note"].startswith("The fused head was not trained with modalities hidden")
    untimed = mdata.uns["omicsbal"][UTILIZATION].query("kind == 'speed'")
    assert untimed["value"].isna().all() and (untimed["note"] == "Its head was not trained.").all()
    verdicts, nats = judged(pair(), "uniform")
    assert "under-used" not in set(verdicts["verdict"])
    assert (nats.loc["retention", "value"] > 0.85).all()


def test_what_was_trained_alone_retains_all_of_it():
    mdata = pair()
    _, nats = judged(mdata, "unimodal")
    np.testing.assert_allclose(nats.loc["retention", "value"].to_numpy(float), 1, atol=1e-9)
    assert nats.loc["total", "note"].iloc[0].startswith("No fused head")


def test_a_copy_is_not_under_used():
    mdata = pair()
    copied = mudata.MuData({"rna": mdata["rna"].copy(), "copy": mdata["rna"].copy()})
    copied["copy"].var_names = [f"c{v}" for v in copied["copy"].var_names]
    copied.update()
    copied.obs["cell_type"] = mdata.obs["cell_type"].loc[copied.obs_names].to_numpy()
    verdicts, nats = judged(copied, "uniform")
    assert list(verdicts["verdict"]) == ["fair", "fair"]
    assert nats.loc[("need", "rna"), "value"] < 0.5 * nats.loc[("ceiling", "rna"), "value"], "little needed, and not wasted"


def test_permuted_labels_leave_nothing():
    mdata = pair()
    mdata.obs["mixed"] = np.random.default_rng(1).permutation(mdata.obs["cell_type"].astype(str).to_numpy())
    verdicts, nats = judged(mdata, "uniform", "mixed")
    assert set(verdicts["verdict"]) == {"uninformative"}
    assert (nats.loc["total", "low"] <= 0).all()


def test_a_masked_head_is_asked_without_a_warning_and_donors_are_drawn_under_another_key():
    mdata = pair()
    verdicts, nats = judged(mdata, ob.balance.ModalityDropout(), group_key="donor", key_added="by_donor")
    assert (nats.loc["solo", "note"] == "Only 6 groups: the interval is too narrow.").all() and len(verdicts) == 2
    assert "folds" not in mdata.uns["by_donor"] and UTILIZATION not in mdata.uns["omicsbal"]


def test_a_single_modality_is_told_of_without_talk_of_hiding():
    mdata = mudata.MuData({"protein": pair()["protein"].copy()})
    mdata.obs["cell_type"] = pair().obs["cell_type"].to_numpy()
    verdicts, nats = judged(mdata, "uniform")
    assert list(verdicts["verdict"]) == ["fair"] and not nats["note"].str.contains("hidden").any()
    assert nats.loc[("solo", "protein"), "value"] == nats.loc[("total", "protein"), "value"]


def test_what_is_refused_and_nothing_is_written(learnt, frozen, tri, quick, tmp_path):
    mdata, model, _ = learnt
    before = frozen(mdata)
    for error, match, options in (
        (ValueError, "`random_state`", {"random_state": -1}),
        (KeyError, "`group_key`.*Did you mean 'donor'", {"group_key": "doner"}),
        (ValueError, "`key_added`", {"key_added": "rna"}),
        (ValueError, "`min_coverage`", {"min_coverage": 2}),
    ):
        with pytest.raises(error, match=match):
            ob.tl.utilization(model, mdata, device="cpu", **options)
    assert frozen(mdata) == before
    query = ob.datasets.simulate(n_obs=90, n_truth=200, preset="useless", n_classes=3, n_features=SIZES, random_state=0)
    query.obs["part"] = query.obs["cell_type"].astype(object)
    with pytest.raises(ValueError, match=r"expected rows that the model was trained on; found none of them"):
        ob.tl.utilization(model.save(tmp_path / "model"), query, device="cpu")
    assert "omicsbal" not in query.uns
    tri.obs["size"] = np.asarray(tri["rna"].X.sum(axis=1)).ravel() / 7
    number = quick(tri, label_key="size")
    with pytest.raises(ValueError, match=r"`model`: expected a model of classes; found one of 'size'.*not defined here yet"):
        ob.tl.utilization(number, tri, device="cpu")
