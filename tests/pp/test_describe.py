import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from omicsbal._validate import OmicsbalWarning
from omicsbal.pp import describe
from omicsbal.pp.describe import describe_text
from omicsbal.pp.sources import Options, plan


def _mudata(**X: np.ndarray) -> MuData:
    return MuData({m: AnnData(np.asarray(v, np.float32)) for m, v in X.items()})


def test_numbers_by_hand():
    mdata = _mudata(rna=[[1, 0, 2], [0, 0, 6], [0, 4, 0]], meth=[[0.1, np.nan], [0.4, 0.6], [0.0, 1.0]])
    mdata.obs["t"] = ["a", "b", None]
    table = describe(mdata, label_key="t")
    rna, meth = table.loc["rna"], table.loc["meth"]
    assert (rna["cells"], rna["present"], rna["features"], rna["kind"]) == (3, 1.0, 3, "counts")
    assert (rna["min"], rna["max"], rna["depth"], rna["recipe"], rna["components"]) == (0, 6, 4, "rna", 2)
    assert rna["sparsity"] == pytest.approx(5 / 9)
    assert (meth["kind"], meth["recipe"]) == ("fractions", "dense")
    assert meth["missing"] == pytest.approx(1 / 6)
    assert np.isnan(meth["depth"])
    assert table.attrs["labels"] == {"a": 1, "b": 1}
    assert table.attrs["unlabelled"] == 1
    assert table.attrs["patterns"] == {"rna+meth": 3}


def test_options_are_those_of_a_fit():
    mdata = _mudata(rna=np.arange(12).reshape(4, 3))
    mdata["rna"].layers["log"] = np.log1p(mdata["rna"].X)
    mdata["rna"].obsm["X_pca"] = mdata["rna"].X[:, :2] * 0.3
    assert describe(mdata, recipe="dense").loc["rna", "why"] == "asked for"
    assert describe(mdata, use_rep={"rna": "X_pca"}).loc["rna", ["recipe", "why"]].tolist() == ["dense", "obsm entry 'X_pca'"]
    assert describe(mdata, layer="log").loc["rna", "recipe"] == "dense"
    with pytest.raises(KeyError, match="label_key"):
        describe(mdata, label_key="typo")
    with pytest.raises(ValueError, match="one of 'rna'"):
        describe(mdata, recipe="rma")


def test_log_values_point_to_the_layer_with_counts():
    counts = np.random.default_rng(0).poisson(0.5, (60, 20)).astype(np.float32)
    mdata = _mudata(rna=np.log1p(counts / np.maximum(counts.sum(1, keepdims=True), 1) * 1e4))
    assert "values look log-transformed: give the raw counts" in describe(mdata).loc["rna", "warnings"]
    mdata["rna"].layers["raw_umi"] = counts
    assert "layer={'rna': \"raw_umi\"}" in describe(mdata).loc["rna", "warnings"]


SPOILT = [(np.nan, "3 NaN"), (-2.0, r"negative values \(lowest -2\)"), (np.inf, "3 infinite")]


@pytest.mark.parametrize(("value", "found"), SPOILT)
@pytest.mark.parametrize("typed", [False, True])
def test_spoilt_counts_are_told_and_refused_alike(value, found, typed):
    X = np.random.default_rng(0).poisson(3.0, (60, 30)).astype(np.float32)
    whole = X.copy()
    X[0, :3] = value
    mdata = _mudata(**{"first" if typed else "rna": X, "second": whole * 0.3})
    m = next(iter(mdata.mod))
    if typed:
        mdata[m].var["feature_types"] = "Gene Expression"
    mdata[m].layers["raw"] = whole
    told, training = describe(mdata).loc[m, "warnings"], np.ones(60, bool)
    with pytest.raises(ValueError, match=f"^`{m}`: expected .*; found {found}") as refused:
        plan(mdata, Options(modalities=[m]), training)
    assert told == str(refused.value), "describe says it once, and in the words of the fit"
    assert describe(mdata, layer={m: "raw"}).loc[m, "warnings"] == ""
    assert plan(mdata, Options(modalities=[m], layer={m: "raw"}), training)[0].recipe.name == "rna"
    if np.isinf(value):
        return
    assert "recipe={" + repr(m) + ': "dense"}' in told
    assert describe(mdata, recipe={m: "dense"}).loc[m, "warnings"] == ""
    assert plan(mdata, Options(modalities=[m], recipe={m: "dense"}), training)[0].recipe.name == "dense"


CHANGES = {"log1p": np.log1p, "z": lambda X: (X - X.mean(0)) / X.std(0), "shifted": lambda X: np.log1p(X) - 1}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_values_that_plainly_are_no_counts_stay_dense(change):
    mdata = _mudata(rna=change(np.random.default_rng(0).poisson(3.0, (40, 30))))
    assert plan(mdata, Options(modalities=["rna"]), np.ones(40, bool))[0].recipe.name == "dense"
    assert "expected counts" not in describe(mdata).loc["rna", "warnings"]


@pytest.mark.filterwarnings("ignore:.*not unique:UserWarning")
@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
def test_bad_data_are_told_not_raised():
    odd = AnnData(np.array([[np.inf, 1], [2, 3]], np.float32), var=pd.DataFrame(index=["g", "g"]))
    mdata = MuData({"rna": odd, "flat": AnnData(np.ones((2, 2), np.float32)), "empty": AnnData(np.ones((2, 0), np.float32))})
    mdata["rna"].obs["t"], mdata["flat"].obs["t"] = ["a", "b"], ["b", "b"]
    table = describe(mdata, label_key="t")
    assert "finite" in table.loc["rna", "warnings"]
    assert "repeated feature names: 'g'" in table.loc["rna", "warnings"]
    assert "same values in every cell" in table.loc["flat", "warnings"]
    assert "expected features" in table.loc["empty", "warnings"]
    assert any("different values on 1 rows" in note for note in table.attrs["notes"])
    assert describe(mdata[:0].copy()).attrs["n_obs"] == 0


def test_a_stale_modality_is_told():
    mdata = _mudata(rna=np.arange(6).reshape(3, 2))
    mdata.mod["rna"] = mdata["rna"][:2].copy()
    table = describe(mdata)
    assert "mdata.update()" in table.loc["rna", "warnings"]


def test_the_text_says_what_matters(read):
    text = describe_text(read("cite_bmmc_starter"), label_key="cell_type")
    assert text.startswith("600 cells, 2 modalities")
    assert "classes with fewer than 5 cells" in text
    assert "rna: rna (counts, named 'rna')" in text
    assert max(map(len, text.splitlines())) < 250


def test_unlabelled_cells_and_regression_targets(read):
    mdata = read("tcga_brca_incomplete")
    table = describe(mdata, label_key="pam50")
    assert table.attrs["unlabelled"] == 0
    assert table.loc["rna", "present"] == pytest.approx(345 / 835)
    assert sum(table.attrs["labels"].values()) == 835
    mdata.obs.loc[mdata.obs_names[:35], "pam50"] = np.nan
    assert describe(mdata, label_key="pam50").attrs["unlabelled"] == 35
    mdata.obs["age"] = np.linspace(20, 80, mdata.n_obs)
    assert "a target for regression: 20 to 80, median 50" in describe_text(mdata, label_key="age")


def test_describe_changes_nothing(cells):
    before = {m: a.X.copy() for m, a in cells.mod.items()}
    columns = list(cells.obs.columns)
    describe(cells, label_key="cell_type")
    assert list(cells.obs.columns) == columns
    for m, X in before.items():
        assert abs(X - cells[m].X).max() == 0


@pytest.mark.parametrize(("n", "warned"), [(19, True), (20, False)])
def test_a_modality_in_few_training_rows_is_told(n, warned):
    X = np.random.default_rng(0).poisson(3.0, (60, 5)).astype(np.float32)
    mdata, training = _mudata(rna=X, protein=X), np.arange(60) < n
    training[30:] = True
    mdata.mod["protein"] = mdata["protein"][:30].copy()
    mdata.update()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OmicsbalWarning)
        plan(mdata, Options(modalities=["rna", "protein"]), training)
    expected = "`protein`: expected at least 20 training rows that have it; found 19. Its scores will mean little; "
    expected += "to leave it out: modalities=['rna']."
    assert [str(w.message) for w in caught if w.category is OmicsbalWarning] == [expected] * warned
