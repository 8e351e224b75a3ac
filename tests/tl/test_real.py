"""Real data with everything that simulations lack: a short fit, the slots, a file, and held-out raw rows after a save."""

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob

CASES = {
    "tcga_brca_5omics": "age",  # regression
    "tcga_brca_incomplete": None,  # rows lack modalities
    "cite_pbmc_mosaic": None,  # so do whole batches
}


def _label(mdata):
    """The first column with 2 to 12 classes of at least ten rows, in the MuData or a modality."""
    columns = {c: mdata.obs[c] for c in mdata.obs} | {c: a.obs[c] for a in mdata.mod.values() for c in a.obs}
    for name, column in columns.items():
        if 2 <= column.nunique() <= 12 and column.value_counts().min() >= 10 and column.dtype.kind not in "f":
            return name
    return pytest.skip("no label of use")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::omicsbal._validate.OmicsbalWarning")
@pytest.mark.parametrize("name", CASES)
def test_a_short_fit(read, quick, name, tmp_path):
    mdata = read(name)
    label = CASES[name] or _label(mdata)
    rows = np.sort(np.random.default_rng(0).choice(mdata.n_obs, min(300, mdata.n_obs), replace=False))
    mdata = mdata[rows].copy()
    held = np.arange(mdata.n_obs) % 5 == 0
    train, query = mdata[~held].copy(), mdata[held].copy()
    model = quick(train, label_key=label, key_added="ours")
    assert model.task == ("regression" if CASES[name] else "classification")
    train.write(tmp_path / "train.h5mu")
    again = mudata.read_h5mu(tmp_path / "train.h5mu")
    place = again.obs_names.get_indexer(train.obs_names)
    np.testing.assert_array_equal(again.obsm["X_ours"][place], train.obsm["X_ours"])
    assert again.obs[f"ours_{label}"].iloc[place].astype(str).tolist() == train.obs[f"ours_{label}"].astype(str).tolist()
    folder = model.save(tmp_path / "model")
    direct, stored = ob.tl.predict(model, query.copy()), ob.tl.predict(folder, query.copy())
    numbers = direct.select_dtypes("number").columns
    np.testing.assert_allclose(stored[numbers], direct[numbers], atol=1e-6)
    assert direct["prediction"].notna().all() and len(direct) == held.sum()
    assert isinstance(direct.index, pd.Index) and direct.index.equals(query.obs_names)
