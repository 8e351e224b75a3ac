import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData, read_h5mu

from omicsbal.pp import match_features, matrix_of, modality_pattern, presence, take_features
from omicsbal.pp.align import per_modality


def _adata(names: str, p: int, start: int) -> AnnData:
    X = np.arange(start, start + len(names) * p, dtype=np.float32).reshape(len(names), p)
    return AnnData(X, obs=pd.DataFrame(index=list(names)), var=pd.DataFrame(index=[f"f{start}_{j}" for j in range(p)]))


@pytest.fixture
def mosaic() -> MuData:
    """Cells a-c have rna, c a d (in that order) have protein; e has neither after its modality is dropped."""
    mdata = MuData({"rna": _adata("abc", 2, 0), "protein": _adata("cad", 3, 100), "x": _adata("e", 1, 900)})
    return mdata


def test_patterns_follow_the_order_of_the_modalities(mosaic):
    pattern = modality_pattern(mosaic)
    assert dict(pattern.items()) == {"a": "rna+protein", "b": "rna", "c": "rna+protein", "d": "protein", "e": "x"}
    assert pattern.cat.categories[0] == "rna+protein"
    assert modality_pattern(mosaic, modalities=["protein", "rna"])["e"] == "none"
    with pytest.raises(KeyError, match="Did you mean 'protein'"):
        modality_pattern(mosaic, modalities=["protien"])


def test_rows_come_in_the_order_of_the_mudata(mosaic):
    X, rows, names = matrix_of(mosaic, "protein")
    cells = mosaic.obs_names[rows].tolist()
    assert cells == [c for c in mosaic.obs_names if c in "cad"]
    for cell, row in zip(cells, X, strict=True):
        np.testing.assert_array_equal(row, mosaic["protein"][cell].X.ravel())
    assert names == ["f100_0", "f100_1", "f100_2"]


def test_a_subset_view_keeps_rows_and_names_together(mosaic):
    for part in (mosaic[["d", "c", "b"]], mosaic[["d", "c", "b"]].copy()):
        X, rows, _ = matrix_of(part, "protein")
        for cell, row in zip(part.obs_names[rows], X, strict=True):
            np.testing.assert_array_equal(row, mosaic["protein"][cell].X.ravel())
        assert presence(part)["rna"].tolist() == [c in "abc" for c in part.obs_names]


def test_presence_ignores_values_and_a_stale_map_is_refused(mosaic):
    mosaic["rna"].X[:] = 0
    assert presence(mosaic)["rna"].sum() == 3
    mosaic.mod["rna"] = mosaic["rna"][["a", "b"]].copy()
    with pytest.raises(ValueError, match=r"mdata.update\(\)"):
        presence(mosaic)


def test_layers_and_representations(mosaic):
    rna = mosaic["rna"]
    rna.layers["counts"] = sp.csr_matrix(rna.X * 2)
    rna.obsm["X_pca"] = rna.X[:, :1]
    rna.obsm["sig"] = pd.DataFrame({"score": rna.X[:, 1]}, index=rna.obs_names)
    X = matrix_of(mosaic, "rna", layer="counts")[0]
    assert sp.isspmatrix_csr(X)
    np.testing.assert_array_equal(X.toarray(), rna.X * 2)
    assert matrix_of(mosaic, "rna", use_rep="X_pca")[2] == ["X_pca_0"]
    assert matrix_of(mosaic, "rna", use_rep="sig")[2] == ["score"]
    with pytest.raises(KeyError, match="Did you mean 'counts'"):
        matrix_of(mosaic, "rna", layer="count")
    with pytest.raises(ValueError, match="layer or use_rep"):
        matrix_of(mosaic, "rna", layer="counts", use_rep="sig")
    with pytest.raises(KeyError, match="rna"):
        matrix_of(mosaic, "RNA")


@pytest.mark.parametrize("sparse", [False, True])
def test_backed_data_are_read(mosaic, tmp_path, sparse):
    if sparse:
        mosaic["protein"].X = sp.csr_matrix(mosaic["protein"].X)
    mosaic.write(tmp_path / "m.h5mu")
    expected = matrix_of(mosaic, "protein")[0]
    backed = read_h5mu(tmp_path / "m.h5mu", backed="r")
    got = matrix_of(backed, "protein")[0]
    backed.file.close()
    np.testing.assert_array_equal(got.toarray() if sparse else got, expected.toarray() if sparse else expected)
    assert isinstance(got, sp.csr_matrix if sparse else np.ndarray)


def test_features_are_matched_by_name():
    positions, coverage = match_features(["a", "b", "c", "d"], ["d", "x", "b"])
    assert positions.tolist() == [-1, 2, -1, 0]
    assert coverage == 0.5
    with pytest.raises(ValueError, match="repeated 'x'"):
        match_features(["a"], ["x", "x"])


@pytest.mark.parametrize("fill", [0, np.nan])
def test_missing_features_take_the_fill(fill):
    X, positions = np.array([[1, 2, 3], [4, 5, 6]]), np.array([2, -1, 0])
    expected = np.array([[3, fill, 1], [6, fill, 4]])
    for given in (X, sp.csr_matrix(X)):
        out = take_features(given, positions, fill=fill)
        assert sp.issparse(out) == (sp.issparse(given) and fill == 0)
        np.testing.assert_array_equal(out.toarray() if sp.issparse(out) else out, expected)


def test_no_feature_in_common_still_has_the_right_shape():
    for given in (np.ones((2, 3)), sp.csr_matrix(np.ones((2, 3)))):
        assert take_features(given, np.array([-1, -1]), fill=0).shape == (2, 2)


def test_an_option_is_spread_over_modalities():
    assert per_modality("layer", "counts", ["rna", "atac"]) == {"rna": "counts", "atac": "counts"}
    with pytest.raises(KeyError, match="Did you mean 'rna'"):
        per_modality("layer", {"rn": "counts"}, ["rna", "atac"])


def test_real_patterns(read):
    assert modality_pattern(read("tcga_brca_incomplete")).value_counts().to_dict() == {"cnv+protein": 490, "cnv+protein+rna": 345}
    counts = modality_pattern(read("cite_pbmc_mosaic")).value_counts().to_dict()
    assert counts == {"rna+protein": 800, "rna": 400, "protein": 400}
