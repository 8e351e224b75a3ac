import numpy as np
import pandas as pd
import pytest
from mudata import read_h5mu

from omicsbal._validate import OmicsbalWarning
from omicsbal.io import from_dataframes

RNA = pd.DataFrame({"g1": [1, 0, 3], "g2": [3, 4, 0]}, index=["s1", "s2", "s3"])
METH = pd.DataFrame({"p1": [0.1, np.nan], "p2": [0.5, 0.6], "p3": [0.7, 0.8]}, index=["s3", "s4"])
OBS = pd.DataFrame({"grade": ["low", "high", "low"], "age": [50, 60, 70]}, index=["s4", "s1", "s9"])


def test_frames_files_and_labels_meet(tmp_path):
    RNA.to_csv(tmp_path / "rna.csv")
    METH.to_csv(tmp_path / "meth.tsv.gz", sep="\t")
    OBS.to_csv(tmp_path / "obs.csv")
    files = from_dataframes({"rna": tmp_path / "rna.csv", "meth": str(tmp_path / "meth.tsv.gz")}, obs=tmp_path / "obs.csv")
    frames = from_dataframes({"rna": RNA, "meth": METH}, obs=OBS)
    for mdata in (files, frames):
        assert mdata.obs_names.tolist() == ["s1", "s2", "s3", "s4"]
        np.testing.assert_array_equal(mdata["rna"].X, RNA.to_numpy("float32"))
        np.testing.assert_array_equal(mdata["meth"].X, METH.to_numpy("float32"))
        assert mdata["meth"].var_names.tolist() == ["p1", "p2", "p3"]
        assert mdata.obs["grade"].astype(object).fillna("?").tolist() == ["high", "?", "?", "low"]
        assert mdata.obs["age"].fillna(0).tolist() == [60, 0, 0, 50]
    files.write(tmp_path / "m.h5mu")
    assert read_h5mu(tmp_path / "m.h5mu").obs["grade"].notna().sum() == 2


@pytest.mark.parametrize(
    ("frames", "obs", "name"),
    [
        ({"rna": RNA.T}, OBS, "rna"),
        ({"rna": RNA, "meth": METH.T}, OBS, "meth"),
        ({"rna": RNA, "meth": METH.T}, None, "meth"),
        ({"rna": RNA.T, "meth": METH}, None, "rna"),
        ({"rna": RNA}, OBS.T, "obs"),
    ],
)
def test_a_lying_table_is_to_be_transposed(frames, obs, name):
    with pytest.raises(ValueError, match=f"^`{name}`: .*transpose it, {name}.T"):
        from_dataframes(frames, obs=obs)


def test_strangers():
    with pytest.raises(ValueError, match="Compare 's1', 's2' and 1 more with 'q'"):
        from_dataframes({"rna": RNA}, obs=pd.DataFrame({"grade": ["low"]}, index=["q"]))
    with pytest.warns(OmicsbalWarning, match="cells shared by modalities"):
        from_dataframes({"rna": RNA, "meth": METH.set_index(pd.Index(["x", "y"]))})


def test_what_is_refused(tmp_path):
    with pytest.raises(TypeError, match="found DataFrame"):
        from_dataframes(RNA)
    with pytest.raises(TypeError, match="found int"):
        from_dataframes({"rna": 3})
    with pytest.raises(ValueError, match="text in 'g3'"):
        from_dataframes({"rna": RNA.assign(g3="high")})
    with pytest.raises(ValueError, match="unique sample names; found repeated 's1'"):
        from_dataframes({"rna": pd.concat([RNA, RNA[:1]])})
    with pytest.raises(ValueError, match="ending in"):
        from_dataframes({"rna": tmp_path / "rna.parquet"})
