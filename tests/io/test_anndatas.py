import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from omicsbal._validate import OmicsbalWarning
from omicsbal.io import from_anndatas


def _adata(cells: str, **obs: list) -> AnnData:
    return AnnData(np.ones((len(cells), 2), np.float32), obs=pd.DataFrame(obs, index=list(cells)))


def test_union_of_cells_and_columns_that_all_agree_on():
    rna = _adata("abc", t=["x", "y", "z"], depth=[1, 2, 3], only=[1, 1, 1])
    mdata = from_anndatas({"rna": rna, "protein": _adata("cd", t=["z", "w"], depth=[9, 9])})
    assert mdata.obs_names.tolist() == ["a", "b", "c", "d"]
    assert mdata.obs["t"].tolist() == ["x", "y", "z", "w"]
    assert "depth" not in mdata.obs
    assert "only" not in mdata.obs
    mdata["rna"].X[:] = 0
    assert rna.X.all()


def test_what_is_refused():
    with pytest.raises(TypeError, match="found AnnData"):
        from_anndatas(_adata("a"))
    with pytest.raises(TypeError, match="rna: DataFrame"):
        from_anndatas({"rna": pd.DataFrame()})
    with pytest.raises(ValueError, match="at least one"):
        from_anndatas({})


@pytest.mark.filterwarnings("ignore:Observation names are not unique:UserWarning")
def test_repeated_cells_are_refused():
    with pytest.raises(ValueError, match="`rna`: expected unique cell names"):
        from_anndatas({"rna": _adata("aa")})


def test_disjoint_barcodes_warn():
    with pytest.warns(OmicsbalWarning, match="found none .rna: 'a', protein: 'c'"):
        from_anndatas({"rna": _adata("ab"), "protein": _adata("cd")})


def test_written_and_read_back(tmp_path):
    from mudata import read_h5mu

    mdata = from_anndatas({"rna": _adata("abc", t=["x", "y", "z"]), "protein": _adata("cd", t=["z", "w"])})
    mdata.write(tmp_path / "m.h5mu")
    assert read_h5mu(tmp_path / "m.h5mu").obs["t"].astype(str).tolist() == ["x", "y", "z", "w"]
