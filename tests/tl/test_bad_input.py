"""Everything that cannot be learnt from is refused before training, in three parts, and leaves the MuData untouched."""

import warnings

import numpy as np
import pandas as pd
import pytest
from mudata import MuData

import omicsbal as ob
from omicsbal._validate import OmicsbalWarning


@pytest.fixture
def refused(quick, frozen, monkeypatch):
    """Checks that a fit raises this, in the one wording, before training, and changes nothing."""

    def no_training(*args, **kwargs):
        pytest.fail("training began")

    monkeypatch.setattr("omicsbal.tl._fit.fit_predictor", no_training)

    def _check(mdata, error, name, expected, found, do, **options):
        before = frozen(mdata) if hasattr(mdata, "obs_names") else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(error) as caught:
                quick(mdata, **options)
        text = str(caught.value.args[0])
        head, _, rest = text.partition("; found ")
        assert head.startswith(f"`{name}`: expected ") and expected in head, text
        assert found in rest and do in rest and ". " in rest, text
        assert before is None or frozen(mdata) == before

    return _check


@pytest.mark.parametrize("data", [pd.DataFrame(), None, "pbmc.h5mu", np.zeros((3, 2))])
def test_not_a_mudata(refused, data):
    refused(data, TypeError, "mdata", "a MuData", type(data).__name__, "omicsbal.io")


def test_unknown_names_with_the_nearest(refused, tri):
    refused(tri, KeyError, "label_key", "a column", "'cel_type'", "Did you mean 'cell_type'?", label_key="cel_type")
    refused(tri, KeyError, "modalities", "modalities of", "'protien'", "Did you mean 'protein'?", modalities=["protien"])
    refused(tri, ValueError, "strategy", "'joint'", "'unifrom'", "Did you mean 'uniform'?", strategy="unifrom")
    refused(tri, TypeError, "strategy", "a Strategy", "int", "ob.balance", strategy=3)
    refused(tri, ValueError, "recipe", "'rna'", "'protien'", "Did you mean 'protein'?", recipe={"protein": "protien"})
    refused(tri, KeyError, "recipe", "modalities", "'adt'", "Choose from", recipe={"adt": "protein"})
    refused(tri, KeyError, "use_rep", "obsm", "'X_pca'", "Choose from", use_rep={"rna": "X_pca"})
    refused(tri, KeyError, "layer", "layers", "'counts'", "Choose from", layer={"rna": "counts"})
    refused(tri, KeyError, "group_key", "a column", "'donr'", "Did you mean 'donor'?", group_key="donr")
    refused(tri, ValueError, "task", "'classification'", "'regresion'", "Did you mean 'regression'?", task="regresion")
    refused(tri, ValueError, "device", "'cpu'", "'gpuu'", "Choose", device="gpuu")
    refused(tri, ValueError, "rare", "'drop'", "'dropp'", "Did you mean 'drop'?", rare="dropp")


def test_labels_that_cannot_be_learnt(refused, tri):
    def label(values):
        mdata = tri.copy()
        mdata.obs["cell_type"] = values
        return mdata

    n = tri.n_obs
    refused(label(["a"] * n), ValueError, "label_key", "at least two classes", "1 ('a')", "Lower n_folds")
    refused(label([None] * n), ValueError, "label_key", "labelled cells", "only missing", "mdata.obs")
    refused(label(["a"] * (n - 1) + ["b"]), ValueError, "label_key", "two classes", "'b' (1)", "Lower n_folds")
    three = ["a"] * (n - 3) + ["b"] * 3
    refused(label(three), ValueError, "label_key", "5 rows a class", "'b' (3)", 'rare="drop"', rare="error", n_folds=5)
    numbers = np.arange(n, dtype=float)
    refused(label([*numbers[:-1], np.inf]), ValueError, "label_key", "finite", "infinite", "NaN")
    refused(label(np.ones(n)), ValueError, "label_key", "vary", "single", "another label", task="regression")
    refused(tri, ValueError, "label_key", "numbers", "type_", "classification", task="regression")


@pytest.mark.parametrize("rare", ["drop", "merge", "fewer_folds"])
def test_what_was_done_to_small_classes_is_said(quick, tri, rare):
    names = ["a"] * 40 + ["b"] * 40 + ["c"] * 3 + ["d"] * 3 + ["e"] * 4
    tri.obs["cell_type"] = pd.Categorical(names)
    said = {"drop": "Dropped 3 classes", "merge": "Merged into 'rare", "fewer_folds": "Folds lowered from 5 to 3"}[rare]
    with pytest.warns(OmicsbalWarning, match=said):
        model = quick(tri, rare=rare, n_folds=5)
    assert {"drop": ["a", "b"], "merge": ["a", "b", "rare (merged)"], "fewer_folds": ["a", "b", "c", "d", "e"]}[
        rare
    ] == model.classes
    assert model.params["rare"].startswith(said) and tri.obs["cell_type"].tolist() == names
    folds = tri.uns["omicsbal"]["folds"]
    assert (folds[80:] >= 0).all() == (rare != "drop")
    assert tri.obs["omicsbal_cell_type"].notna().all()  # dropped rows are predicted like any unlabelled one


def test_values_that_a_counts_recipe_cannot_take(refused, tri):
    def spoilt(m, value):
        mdata = tri.copy()
        X = mdata[m].X
        if hasattr(X, "data") and hasattr(X, "indptr"):
            X.data[0] = value
        else:
            X[0, 0] = value
        return mdata

    for m in ("rna", "atac", "protein"):
        recipe = {m: m}
        refused(spoilt(m, np.nan), ValueError, m, "counts", "1 NaN", "dense", recipe=recipe)
        refused(spoilt(m, np.inf), ValueError, m, "finite values", "1 infinite", "NaN", recipe=recipe)
        refused(spoilt(m, np.inf), ValueError, m, "finite values", "1 infinite", "NaN")
        refused(spoilt(m, -1), ValueError, m, "counts", "negative values (lowest -1)", "layer=", recipe=recipe)


@pytest.mark.filterwarnings("ignore:The behavior of DataFrame concatenation:FutureWarning")  # mudata, of no features
def test_modalities_that_hold_nothing(refused, tri):
    empty = MuData({"rna": tri["rna"].copy(), "protein": tri["protein"][:, :0].copy()})
    empty.obs["cell_type"] = tri.obs["cell_type"]
    refused(empty, ValueError, "protein", "features", "none", "modalities=")
    flat = tri.copy()
    flat["protein"].X[:] = 3
    refused(flat, ValueError, "protein", "vary", "same values", "modalities=")
    refused(tri[:0].copy(), ValueError, "mdata", "cells", "no cells", "subset")
    refused(tri, ValueError, "mdata", "modalities", "no modalities", "subset", modalities=[])


def test_a_modality_that_no_training_row_has(refused, tri):
    half = tri.obs_names[:45]
    mdata = MuData({"rna": tri["rna"].copy(), "protein": tri["protein"][half].copy()})
    mdata.obs["cell_type"] = tri.obs["cell_type"].astype(object).reindex(mdata.obs_names).where(~mdata.obs_names.isin(half))
    refused(mdata, ValueError, "protein", "training rows", "none", "modalities=['rna']")
    refused(mdata, ValueError, "label_key", "labelled cells that have a modality", "none", "mdata.obs", modalities=["protein"])


@pytest.mark.filterwarnings("ignore:.*not unique:UserWarning", "ignore:.*names are not unique:UserWarning")
def test_repeated_names(refused, tri):
    genes = tri["rna"].copy()
    genes.var_names = [genes.var_names[1], *genes.var_names[1:]]
    mdata = MuData({"rna": genes, "atac": tri["atac"].copy()})
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    refused(mdata, ValueError, "rna", "unique feature names", "gene_", ".var_names_make_unique()")
    cells = tri["rna"].copy()
    cells.obs_names = [cells.obs_names[1], *cells.obs_names[1:]]
    mdata = MuData({"rna": cells})
    mdata.obs["cell_type"] = tri.obs["cell_type"].to_numpy()
    refused(mdata, ValueError, "mdata", "unique cell names", "cell_", ".obs_names_make_unique()")


def test_a_modality_changed_without_an_update(refused, tri):
    tri.mod["rna"] = tri["rna"][:50].copy()
    refused(tri, ValueError, "rna", "rows that agree", "50 cells", "mdata.update()")


def test_fewer_groups_than_folds(refused, tri):
    tri.obs["patient"] = ["p1", "p2"] * 45
    refused(tri, ValueError, "n_folds", "at most the 2 groups", "5", "n_folds=2", group_key="patient", n_folds=5)
    tri.obs["patient"] = [None, *["p1", "p2", "p3"] * 29, "p1", "p2"]
    refused(tri, ValueError, "groups", "a group for every labelled row", "1 labelled row", "Fill", group_key="patient")


def test_numbers_out_of_range(refused, tri):
    refused(tri, ValueError, "n_folds", "at least 2", "1", "range", n_folds=1)
    refused(tri, TypeError, "n_folds", "an integer", "2.5", "integer", n_folds=2.5)
    refused(tri, ValueError, "n_folds", "at least 2", "0", "range", n_folds=0)
    refused(tri, ValueError, "random_state", "at least 0", "-1", "range", random_state=-1)


def test_keys_that_are_not_free(refused, tri):
    refused(tri, ValueError, "key_added", "no modality", "'rna'", "another", key_added="rna")
    refused(tri, ValueError, "key_added", "no '/'", "'a/b'", "another", key_added="a/b")
    refused(tri, ValueError, "key_added", "a name", "''", "another", key_added="")
    refused(tri, ValueError, "key_added", "a free slot", "uns['truth']", "another", key_added="truth")


def test_a_checkpoint_that_cannot_be_written_is_found_out_first(refused, tri, tmp_path):
    (tmp_path / "file").write_text("x")
    refused(tri, FileNotFoundError, "checkpoint", "a folder that exists", "no", "Create", checkpoint=tmp_path / "no" / "run")
    refused(tri, OSError, "checkpoint", "a path in a folder", "file", "Create", checkpoint=tmp_path / "file" / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_cells_without_any_modality_are_left_out_and_predicted_as_missing(quick, tri):
    import anndata

    rest = anndata.AnnData(
        np.ones((90, 2), np.float32), obs=pd.DataFrame(index=tri.obs_names), var=pd.DataFrame(index=["a", "b"])
    )
    mdata = MuData({"rna": tri["rna"][:70].copy(), "other": rest})
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    quick(mdata, modalities=["rna"])
    bare = ~mdata.obs_names.isin(tri.obs_names[:70])
    assert mdata.obs["omicsbal_cell_type"].isna().to_numpy().tolist() == bare.tolist()
    assert np.isnan(mdata.obsm["X_omicsbal"][bare]).all() and not np.isnan(mdata.obsm["X_omicsbal"][~bare]).any()
    assert (mdata.uns["omicsbal"]["folds"][bare] == -1).all()


def test_an_anndata_is_taken_as_one_modality_and_that_is_said(quick, tri):
    adata = tri["protein"].copy()
    adata.obs["cell_type"] = tri.obs["cell_type"]
    with pytest.warns(OmicsbalWarning, match=r"expected a MuData; found an AnnData, taken as MuData\(\{'protein': adata\}\)"):
        model = quick(adata)
    assert model.modalities == ["protein"]


def test_a_nan_loss_ends_the_fit_and_leaves_the_mudata(quick, tri, frozen):
    before = frozen(tri)
    with pytest.raises(FloatingPointError, match=r"loss term '\w+' became .*nan.* in epoch \d+\. Nothing was written\."):
        quick(tri, config=ob.FitConfig(max_epochs=20, n_members=2, learning_rate=1e38))
    assert frozen(tri) == before
