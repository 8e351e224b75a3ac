"""What a modality may be called."""

import numpy as np
import pytest
from mudata import MuData


def _renamed(mdata, old, new):
    return MuData({new if m == old else m: a for m, a in mdata.mod.items()})


@pytest.mark.parametrize("name", ["fused", "pool", "product", "concat", "lr:rna", "ridge:x"])
def test_a_modality_named_like_a_head_is_refused(tri, quick, name):
    mdata = _renamed(tri, "protein", name)
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    with pytest.raises(ValueError, match=rf"`modalities`: expected names other than .*; found '{name}'\. Rename it"):
        quick(mdata)
    assert not mdata.uns and not mdata.obsm.get("X_omicsbal", ())


def test_one_that_is_left_out_does_not_matter(tri, quick):
    mdata = _renamed(tri, "protein", "fused")
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    quick(mdata, modalities=["rna", "atac"])
    assert "X_omicsbal" in mdata.obsm and "X_omicsbal" not in mdata["fused"].obsm


@pytest.mark.filterwarnings("ignore:.*in-sample")
@pytest.mark.parametrize("name", ["a.b", "train", "weight", "x y", "0", "log_loss", "X_pca"])
def test_any_other_name_will_do(tri, quick, name, tmp_path):
    import omicsbal as ob

    mdata = _renamed(tri, "rna", name)
    mdata.obs["cell_type"] = tri.obs["cell_type"]
    query = mdata.copy()
    model = quick(mdata, modalities=[name, "protein"], experts=True)
    direct = ob.tl.predict(model, query, key_added="direct")
    stored = ob.tl.predict(model.save(tmp_path / "model"), query, key_added="stored")
    np.testing.assert_array_equal(direct["confidence"], stored["confidence"])
    assert set(model.heads.index) >= {name, f"lr:{name}", "lr:concat", "fused", "pool", "product"}
