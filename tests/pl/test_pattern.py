import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData

import omicsbal as ob


def mosaic(counts, names):
    rows = {m: [] for m in names}
    i = 0
    for present, n in counts.items():
        for _ in range(n):
            for m in present:
                rows[m].append(f"cell{i}")
            i += 1
    var = {m: pd.DataFrame(index=[f"{m}0"]) for m in names}
    return MuData({m: AnnData(np.ones((len(r), 1)), obs=pd.DataFrame(index=r), var=var[m]) for m, r in rows.items()})


def test_counts_and_dots_by_hand():
    mdata = mosaic({("rna", "atac"): 30, ("rna",): 50, ("atac", "protein"): 20}, ["rna", "atac", "protein"])
    ax = ob.pl.pattern(mdata)
    assert [bar.get_width() for bar in ax.patches] == [50, 30, 20]
    assert [text.get_text() for text in ax.texts if "%" in text.get_text()] == ["50 (50%)", "30 (30%)", "20 (20%)"]
    every, filled = ([c.get_offsets()[:, 0].tolist() for c in ax.collections[start::2]] for start in (0, 1))
    assert filled == [[every[0][0]], every[0][:2], every[0][1:]]
    assert [text.get_text() for text in ax.texts if "%" not in text.get_text()] == ["rna", "atac", "protein"]
    assert ax.get_title(loc="left") == "3 patterns of 3 modalities, n = 100"


def test_a_choice_of_modalities():
    mdata = mosaic({("rna", "atac"): 3, ("atac",): 2}, ["rna", "atac"])
    ax = ob.pl.pattern(mdata, modalities=["rna"])
    assert [text.get_text() for text in ax.texts if "%" not in text.get_text()] == ["rna"]
    with pytest.raises(KeyError, match="Did you mean 'rna'"):
        ob.pl.pattern(mdata, modalities=["rnaa"])


def test_rare_patterns_beyond_the_grid_are_counted():
    names = ["a", "b", "c", "d", "e", "f"]
    subsets = [tuple(m for j, m in enumerate(names) if code >> j & 1) for code in range(1, 64)]
    ax = ob.pl.pattern(mosaic({subset: 64 - i for i, subset in enumerate(subsets)}, names))
    assert len(ax.patches) == 31
    assert "32 rarer patterns (560 rows) not drawn" in ax.get_title(loc="left").replace("\n", " ")


def test_an_anndata_is_refused():
    with pytest.raises(TypeError, match="expected a MuData"):
        ob.pl.pattern(AnnData(np.ones((2, 2))))
