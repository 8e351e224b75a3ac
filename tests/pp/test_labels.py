import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

from omicsbal.pp import find_label


def _adata(cells: str, **obs: list) -> AnnData:
    return AnnData(np.ones((len(cells), 2), np.float32), obs=pd.DataFrame(obs, index=list(cells)))


def _mudata(*, bare: bool, **mods: AnnData) -> MuData:
    """With `bare` as mudata 0.4 makes it: no column is pulled into mdata.obs."""
    mdata = MuData(mods)
    if bare:
        mdata.obs = pd.DataFrame(index=mdata.obs_names)
    return mdata


@pytest.fixture(params=[False, True], ids=["pulled", "bare"])
def bare(request) -> bool:
    return request.param


def test_the_shared_column_comes_first(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", t=["x", "y"]))
    mdata.obs["t"] = ["p", "q"]
    assert find_label(mdata, "t").tolist() == ["p", "q"]


def test_modalities_complete_each_other(bare):
    mdata = _mudata(bare=bare, rna=_adata("abc", t=["x", None, "y"]), protein=_adata("dba", t=["z", "w", "x"]))
    label = find_label(mdata, "t")
    assert label.name == "t"
    assert label.to_dict() == {"a": "x", "b": "w", "c": "y", "d": "z"}


def test_categories_survive_the_merge(bare):
    def cat(*values):
        return pd.Categorical(values)

    mdata = _mudata(bare=bare, rna=_adata("ab", t=cat("x", "y")), protein=_adata("bc", t=cat("y", "z")))
    assert find_label(mdata, "t").cat.categories.tolist() == ["x", "y", "z"]


def test_a_prefix_names_one_modality(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", t=["x", "y"]), protein=_adata("ab", t=["p", "q"]))
    assert find_label(mdata, "rna:t").tolist() == ["x", "y"]
    assert find_label(mdata, "protein:t").tolist() == ["p", "q"]


def test_disagreement_is_counted_and_named(bare):
    mdata = _mudata(bare=bare, rna=_adata("abc", t=["x", "y", "z"]), protein=_adata("abc", t=["x", "q", "r"]))
    with pytest.raises(ValueError, match="different values on 2 rows: 'b', 'c'"):
        find_label(mdata, "t")


def test_unknown_label_names_the_nearest_of_all_columns(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", cell_type=["x", "y"]))
    mdata.obs["donor"] = ["1", "2"]
    with pytest.raises(KeyError, match="Did you mean 'cell_type'"):
        find_label(mdata, "cel_type")
    with pytest.raises(KeyError, match="Did you mean 'donor'"):
        find_label(mdata, "doner")


def test_numbers_stay_numbers(bare):
    mdata = _mudata(bare=bare, rna=_adata("ab", age=[30.5, np.nan]), protein=_adata("bc", age=[1.5, 2.5]))
    label = find_label(mdata, "age")
    assert label.dtype.kind == "f"
    assert label.tolist() == [30.5, 1.5, 2.5]
