import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from omicsbal._validate import OmicsbalWarning
from omicsbal.pp import check_matrix, check_mdata
from omicsbal.pp.checks import Census, are_counts, census, nearly_counts


def _adata(n: int = 3, p: int = 2) -> AnnData:
    return AnnData(np.arange(n * p, dtype=np.float32).reshape(n, p))


def test_a_good_mudata_comes_back_untouched():
    mdata = MuData({"rna": _adata()})
    before = mdata.obs.copy()
    assert check_mdata(mdata) is mdata
    pd.testing.assert_frame_equal(mdata.obs, before)


@pytest.mark.parametrize(("kind", "name"), [(None, "rna"), ("Peaks", "atac"), ("Antibody Capture", "protein"), ("Custom", "rna")])
def test_an_anndata_is_wrapped_with_a_warning(kind, name):
    adata = _adata()
    if kind:
        adata.var["feature_types"] = kind
    with pytest.warns(OmicsbalWarning, match="found an AnnData"):
        assert list(check_mdata(adata).mod) == [name]


def test_what_is_refused():
    with pytest.raises(TypeError, match="found DataFrame"):
        check_mdata(pd.DataFrame())
    mdata = MuData({"rna": _adata(), "protein": _adata()})
    with pytest.raises(KeyError, match="Did you mean 'protein'"):
        check_mdata(mdata, modalities=["proteins"])
    with pytest.raises(ValueError, match="no cells"):
        check_mdata(mdata[:0].copy())
    with pytest.raises(ValueError, match="`protein`: expected features"):
        check_mdata(MuData({"rna": _adata(), "protein": _adata(p=0)}))
    with pytest.raises(ValueError, match="no modalities"):
        check_mdata(mdata, modalities=[])


@pytest.mark.filterwarnings("ignore:.*not unique:UserWarning")
@pytest.mark.filterwarnings("ignore:.*names are not unique:UserWarning")
def test_repeated_names_are_refused():
    adata = _adata()
    adata.var_names = ["a", "a"]
    with pytest.raises(ValueError, match="`rna`: expected unique feature names; found repeated 'a'"):
        check_mdata(MuData({"rna": adata}))


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_matrices(wrap):
    good = wrap(np.array([[1.0, 0.0], [0.0, 2.0]]))
    check_matrix("m", good, "rna")
    for X, recipe, found in [
        (np.zeros((3, 0)), "rna", "expected features"),
        (np.ones((1, 2)), "rna", "at least two cells"),
        (np.zeros((3, 2)), "dense", "same values in every cell"),
        (np.ones((3, 2)), "rna", "same values in every cell"),
        (np.array([[np.inf, 1.0], [0, 1]]), "dense", "finite"),
        (np.array([[np.nan, 1.0], [0, 1]]), "rna", "NaN"),
        (np.array([[-2.0, 1.0], [0, 1]]), "atac", "negative"),
        (np.array([[0.3, 1.0], [0, 1]]), "protein", "such as 0.3"),
    ]:
        with pytest.raises(ValueError, match=f"^`m`: .*{found}"):
            check_matrix("m", wrap(X), recipe)


def test_dense_takes_gaps_but_not_only_gaps():
    check_matrix("m", np.array([[np.nan, 1.0], [0, 2]]), "dense")
    with pytest.raises(ValueError, match="same values"):
        check_matrix("m", np.full((3, 2), np.nan), "dense")


@pytest.mark.parametrize("wrap", [np.asarray, sp.csr_matrix])
def test_what_varies_only_below_the_first_rows_varies(wrap):
    X = np.ones((500, 2))
    X[-1, 1] = 2
    check_matrix("m", wrap(X), "rna")


def test_values_are_counted_across_pieces():
    """Beside a count of everything at once, and with what is odd in the last of three pieces."""
    values = np.random.default_rng(0).poisson(1.0, 150_000).astype(np.float32)
    values[-5:] = np.nan, np.inf, -np.inf, -2.0, 0.25
    known = values[np.isfinite(values)]
    assert census(values) == Census(2, 1, np.count_nonzero(known), np.count_nonzero(known) - 2, -2.0)
    whole = values[:-5].astype(np.int64)
    assert census(whole) == census(values[:-5]) == Census(0, 0, np.count_nonzero(whole), np.count_nonzero(whole), 0.0)
    assert census(np.zeros(0)) == Census(0, 0, 0, 0, np.inf)
    assert are_counts(np.array([True, False]))


def test_a_few_fractions_are_still_counts():
    X = np.ones((1, 1000))
    X[0, :5] = 1.5
    assert are_counts(X)
    X[0, :50] = 1.5
    assert not are_counts(X)


def test_spoilt_counts_are_told_from_other_values():
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (40, 50)).astype(float)
    share = counts[counts > 0].size
    for value, few, many in [(np.nan, 1, share // 2), (-3.0, 1, share // 20), (np.inf, 1, share // 20)]:
        for n in (few, many):
            X = counts.ravel().copy()
            X[np.flatnonzero(X)[:n]] = value
            # NaN and infinite values do not count against the rest; negative ones do, since z-scores are half of them
            assert nearly_counts(X.reshape(counts.shape)) == (n == few or not value < 0), (value, n)
    assert nearly_counts(sp.csr_matrix(np.where(counts == 7, np.nan, counts)))
    for X in (
        counts,
        counts * 0,
        np.log1p(counts),
        rng.normal(size=(40, 50)),
        (counts - 2) / 1.5,
        np.sign(rng.normal(size=(40, 50))),
    ):
        assert not nearly_counts(X)
