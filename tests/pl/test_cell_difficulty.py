import numpy as np
import pytest
from matplotlib.colors import to_hex

import omicsbal as ob
from omicsbal.pl._style import ALARM


@pytest.fixture
def four(fitted):
    """Cells in known corners: 50 % easy in both, 30 % in rna only, 20 % in neither; three suspects."""
    mdata = fitted(n=100, missing=0.0)
    mdata.obs["omicsbal_success_rna"] = np.repeat([1.0, 0.75, 0.0], [50, 30, 20])
    mdata.obs["omicsbal_success_atac"] = np.repeat([1.0, 0.5, 0.25], [50, 30, 20])
    mdata.obs["omicsbal_suspect"] = np.arange(100) < 3
    return mdata


def said(ax):
    return sorted(t.get_text() for t in ax.texts)


def test_corners_carry_their_share(four):
    ax = ob.pl.cell_difficulty(four)
    assert said(ax) == ["easy in both: 50%", "hard in both: 20%", "only atac: 0%", "only rna: 30%"]
    assert ax.get_title(loc="left") == "Cells told right out-of-fold, n = 100\n3 suspect labels (ring)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("success in rna alone", "success in atac alone")
    swapped = ob.pl.cell_difficulty(four, modalities=("atac", "rna"))
    assert said(swapped)[2:] == ["only atac: 0%", "only rna: 30%"] and swapped.get_xlabel() == "success in atac alone"
    place = {t.get_text()[:8]: t.get_position() for t in swapped.texts}
    assert place["only rna"][1] > 1 and place["only rna"][0] < 0


def test_points_stay_near_their_values_and_suspects_have_rings(four):
    ax = ob.pl.cell_difficulty(four)
    *classes, rings = ax.collections
    assert sum(len(c.get_offsets()) for c in classes) == 100 and len(rings.get_offsets()) == 3
    assert np.abs(rings.get_offsets() - 1).max() < 0.1
    points = np.vstack([c.get_offsets() for c in classes])
    assert np.abs(points - np.round(points * 4) / 4).max() < 0.1 and len(np.unique(points[:, 0])) == 100
    named = [t.get_text() for t in ax.get_legend().get_texts()]
    assert {"B cell", "NK", "T cell"} <= set(named)


def test_suspects_alone(four):
    ax = ob.pl.cell_difficulty(four, color="suspect")
    *classes, rings = ax.collections
    assert len({to_hex(c.get_facecolor()[0]) for c in classes}) == 1 and to_hex(rings.get_edgecolor()[0]) == ALARM.lower()
    assert ax.get_legend() is None


def test_cells_without_one_of_the_two_are_left_out(four):
    four.obs.loc[four.obs_names[:10], "omicsbal_success_atac"] = np.nan
    assert "n = 90" in ob.pl.cell_difficulty(four).get_title(loc="left")


def test_what_is_refused(four, fitted):
    with pytest.raises(ValueError, match=r"`color`: expected one of 'class', 'suspect'"):
        ob.pl.cell_difficulty(four, color="depth")
    with pytest.raises(KeyError, match=r"modalities with a success; found 'protein'"):
        ob.pl.cell_difficulty(four, modalities=("rna", "protein"))
    with pytest.raises(ValueError, match=r"expected two modalities; found \['rna', 'rna'\]"):
        ob.pl.cell_difficulty(four, modalities=("rna", "rna"))
    with pytest.raises(ValueError, match=r"expected two modalities; found \['rna'\]"):
        ob.pl.cell_difficulty(fitted(names=("rna",)))
    four.obs["omicsbal_success_atac"] = np.nan
    with pytest.raises(ValueError, match=r"cells that have 'rna' and 'atac'; found none"):
        ob.pl.cell_difficulty(four)
    del four.obs["omicsbal_suspect"]
    with pytest.raises(KeyError, match=r"ob\.tl\.cell_difficulty\(model, mdata\) first"):
        ob.pl.cell_difficulty(four)
