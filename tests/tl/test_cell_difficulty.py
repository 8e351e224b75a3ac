"""Cells that are easy in one modality, suspects that were made wrong on purpose, and all that is refused."""

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import DIFFICULTY

COLUMNS = ["measure", "modality", "class", "value", "low", "high", "n", "note"]


@pytest.fixture(scope="module")
def learnt():
    """Protein is noise; eight labels are wrong on purpose."""
    sizes = {"n_features": {"rna": 60, "protein": 12}, "modalities": ["rna", "protein"], "n_classes": 2, "n_truth": 100}
    mdata = ob.datasets.simulate(n_obs=160, preset="useless", random_state=0, **sizes)
    label = mdata.obs["cell_type"].astype(str).to_numpy()
    label[:8] = np.where(label[:8] == "type_0", "type_1", "type_0")
    mdata.obs["label"] = label
    options = {
        "n_folds": 2,
        "experts": False,
        "progress": False,
        "device": "cpu",
        "net": ob.NetConfig(width=16, depth=1, latent=8),
    }
    model = ob.tl.fit(mdata, label_key="label", config=ob.FitConfig(max_epochs=12, n_members=0), **options)
    return model, mdata


def test_easy_in_rna_alone_and_the_wrong_labels_are_suspect(learnt):
    model, mdata = learnt[0], learnt[1].copy()
    table = ob.tl.cell_difficulty(model, mdata)
    assert table["success_rna"].mean() > 0.75 and 0.3 < table["success_protein"].mean() < 0.7
    assert table["suspect"][:8].mean() > 0.6 and table["suspect"][8:].mean() < 0.25
    assert (table["suggested"][table["suspect"]] != mdata.obs["label"][table["suspect"].to_numpy()]).all()
    assert set(table["suggested"][~table["suspect"]]) == {""}
    assert table["success_rna"][:8].mean() < 0.4 < table["success_rna"][8:].mean()
    assert ((table["variability"] >= 0) & (table["variability"] <= 0.5)).all()
    told = mdata.uns["omicsbal"][DIFFICULTY].set_index(["measure", "modality", "class"])
    rna, protein = told.loc[("success", "rna", "")], told.loc[("success", "protein", "")]
    assert rna["low"] > protein["high"] and protein["low"] < protein["value"] < protein["high"]
    assert rna["value"] == pytest.approx(table["success_rna"].mean()) and rna["n"] == 160


def test_what_is_written_survives_a_file(holed, quick, tmp_path, frozen):
    holed.obs["part"] = holed.obs["cell_type"].astype(object)
    holed.obs.loc[holed.obs_names[:9], "part"] = None
    model = quick(holed, label_key="part")
    before = frozen(holed)
    table = ob.tl.cell_difficulty(model, holed, passes=3)
    assert table.index.equals(holed.obs_names[9:])
    columns = ["success", "variability", *(f"success_{m}" for m in holed.mod)]
    for column in columns:
        written = holed.obs[f"omicsbal_{column}"]
        assert written[:9].isna().all() and written[9:].equals(table[column].rename(written.name))
    assert set((table["success"] * 3).round(6)) <= {0, 1, 2, 3}
    absent = ~table.index.isin(holed["protein"].obs_names)
    assert (table["success_protein"].isna() == absent).all() and absent.any()
    assert holed.obs["omicsbal_suspect"].dtype == bool and (holed.obs["omicsbal_suspect"][9:] == table["suspect"]).all()
    told = holed.uns["omicsbal"][DIFFICULTY]
    assert told.columns.tolist() == COLUMNS and set(told["measure"]) == {"success", "depth", "at_equal_depth"}
    assert (told["value"].isna() | told["low"].isna() | (told["low"] <= told["high"])).all()
    holed.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu")
    pd.testing.assert_frame_equal(
        again.uns["omicsbal"][DIFFICULTY].reset_index(drop=True), told, check_dtype=False, check_categorical=False
    )
    assert again.obs["omicsbal_success"].equals(holed.obs["omicsbal_success"])
    for slot in [f"omicsbal_{c}" for c in (*columns, "suspect")]:
        del holed.obs[slot]
    del holed.uns["omicsbal"][DIFFICULTY]
    now = frozen(holed)
    assert now["obs"] == before["obs"] and now["uns"] == before["uns"] and now["mod"].keys() == before["mod"].keys()


def test_one_seed_one_table_and_another_key(learnt):
    model, mdata = learnt[0], learnt[1].copy()
    one, two, other = (ob.tl.cell_difficulty(model, mdata, passes=4, random_state=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert (one["variability"] != other["variability"]).any() and one["suspect"].equals(other["suspect"])
    ob.tl.cell_difficulty(model, mdata, passes=4, key_added="again")
    assert {"again_success", "again_suspect"} <= set(mdata.obs) and set(mdata.uns["again"]) == {
        "versions",
        "label_key",
        DIFFICULTY,
    }


def test_donors_widen_the_intervals(learnt):
    model, mdata = learnt[0], learnt[1].copy()

    def width(**options):
        ob.tl.cell_difficulty(model, mdata, passes=2, **options)
        told = mdata.uns["omicsbal"][DIFFICULTY].set_index(["measure", "modality", "class"]).loc[("success", "", "")]
        return told["high"] - told["low"], told["value"]

    (narrow, value), (wide, same) = width(), width(group_key="donor")
    assert wide != narrow and value == same


def test_depth_is_told_for_counts_only(simulated, quick):
    mdata = simulated(n_obs=60, preset="small", modalities=["rna", "meth"], n_classes=2, n_truth=100, random_state=0)
    model = quick(mdata)
    ob.tl.cell_difficulty(model, mdata, passes=2)
    assert set(mdata.uns["omicsbal"][DIFFICULTY]["measure"]) == {"success"}


def test_a_strategy_without_heads_of_modalities(tri, quick):
    model = quick(tri, strategy="joint")
    assert ob.tl.cell_difficulty(model, tri, passes=2).columns.tolist() == ["success", "variability", "suspect", "suggested"]
    model = quick(tri, strategy="unimodal")
    assert "success_atac" in ob.tl.cell_difficulty(model, tri, passes=2), "and no fused head"


def test_what_is_refused(learnt, tri, quick):
    model, mdata = learnt
    with pytest.raises(ValueError, match=r"`passes`: expected an integer of at least 2; found 1"):
        ob.tl.cell_difficulty(model, mdata, passes=1)
    with pytest.raises(TypeError, match="expected a FittedModel or its folder"):
        ob.tl.cell_difficulty(mdata, mdata)
    with pytest.raises(
        ValueError, match=r"expected the MuData that the model was fitted on; found no folds of this model in uns"
    ):
        ob.tl.cell_difficulty(model, tri)
    tri.obs["age"] = np.random.default_rng(0).normal(size=90)
    number = quick(tri, label_key="age", key_added="age")
    with pytest.raises(ValueError, match=r"expected a model of classes; found one of 'age', a number"):
        ob.tl.cell_difficulty(number, tri, key_added="age")
    changed = mdata.copy()
    changed.obs.loc[changed.obs_names[:3], "label"] = "unheard of"
    with pytest.raises(ValueError, match="found 3 training cells without a class of the model"):
        ob.tl.cell_difficulty(model, changed)
    bare = mdata.copy()
    del bare.obsm["omicsbal_proba_label"]
    with pytest.raises(KeyError, match="expected the probabilities of the fit; found none"):
        ob.tl.cell_difficulty(model, bare)
