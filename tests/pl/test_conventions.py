"""What every figure has in common."""

import matplotlib
import mudata
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import omicsbal as ob

PANELS = {
    "modality_snr": 3,
    "cell_difficulty": 1,
    "compare": 3,
    "history": 4,
    "information": 2,
    "contribution": 4,
    "feature_importance": 2,
    "kd_gate": 2,
    "scores": 2,
    "confusion": 1,
    "calibration": 4,
    "embedding": 1,
    "pattern": 1,
    "utilization": 2,
    "robustness": 4,
    "tune": 5,
}
OPTIONS = {"embedding": {"basis": "pca"}}
SLOTS = {
    "history": ["history"],
    "scores": ["heads"],
    "confusion": ["folds", "classes"],
    "calibration": ["calibration"],
    "embedding": ["label_key"],
}


def draw(name, mdata, **kwargs):
    return getattr(ob.pl, name)(mdata, **OPTIONS.get(name, {}), **kwargs)


def test_every_figure_is_listed():
    assert set(PANELS) == set(ob.pl.__all__)


@pytest.mark.parametrize(("name", "n"), PANELS.items())
def test_axes_are_used_and_returned(fitted, name, n):
    mdata = fitted()
    _, axes = plt.subplots(n, 1, squeeze=False)
    before = plt.get_fignums()
    axes = axes.ravel()
    returned = draw(name, mdata, ax=axes[0] if n == 1 else axes)
    assert list(np.ravel(np.asarray(returned, dtype=object))) == list(axes)
    assert all(ax.has_data() for ax in axes)
    assert plt.get_fignums() == before


@pytest.mark.parametrize(("name", "n"), PANELS.items())
def test_wrong_axes_are_refused(fitted, name, n):
    _, axes = plt.subplots(1, n + 1)
    with pytest.raises(ValueError, match=f"{n + 1} Axes"):
        draw(name, fitted(), ax=axes)
    with pytest.raises(TypeError, match="matplotlib Axes"):
        draw(name, fitted(), ax="here")


@pytest.mark.parametrize("name", PANELS)
def test_returns_and_show(fitted, name, monkeypatch):
    mdata, shown = fitted(), []
    monkeypatch.setattr(plt, "show", lambda: shown.append(name))
    drawn = draw(name, mdata)
    assert isinstance(drawn, Axes | np.ndarray) and shown == []
    assert isinstance(draw(name, mdata, return_fig=True), Figure) and shown == []
    assert draw(name, mdata, show=True) is None and shown == [name]


CASES = {
    "two classes": {"classes": ["a", "b"]},
    "forty": {
        "n": 400,
        "classes": [f"a long name of class {i}" for i in range(40)],
        "names": ("rna", "atac", "protein", "cnv", "x"),
    },
    "regression": {"regression": True},
    "one modality": {"names": ("rna",)},
}


REFUSED = {
    ("cell_difficulty", "one modality"),
    ("cell_difficulty", "regression"),
    ("compare", "regression"),
    ("confusion", "regression"),
    ("contribution", "regression"),
    ("feature_importance", "regression"),
    ("information", "one modality"),
    ("information", "regression"),
    ("kd_gate", "one modality"),
    ("utilization", "regression"),
}


@pytest.mark.parametrize(("name", "case"), [(n, c) for n in PANELS for c in CASES if (n, c) not in REFUSED])
def test_rendering_warns_of_nothing_and_keeps_rcparams(fitted, name, case):
    before = dict(matplotlib.rcParams)
    figure = draw(name, fitted(**CASES[case]), return_fig=True)
    figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    title = figure.axes[0].get_title(loc="left")
    assert "n = " in title or "epochs" in title
    inside, whole = figure.get_tightbbox(), figure.get_size_inches()
    assert min(inside.x0, inside.y0) >= -0.03 and (np.array([inside.x1, inside.y1]) <= whole + 0.03).all()  # nothing is cut off


@pytest.mark.parametrize("name", PANELS)
def test_a_fit_read_back_from_disk_draws_the_same(fitted, name, tmp_path):
    mdata = fitted(sep=":")  # anndata warns of "/" in a name that it writes
    mdata.write_h5mu(tmp_path / "fit.h5mu")
    back = mudata.read_h5mu(tmp_path / "fit.h5mu")
    images = []
    for one in (mdata, back):
        figure = draw(name, one, return_fig=True)
        figure.canvas.draw()
        images.append(np.asarray(figure.canvas.buffer_rgba()).copy())
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("name", SLOTS)
def test_nothing_fitted(fitted, name):
    mdata = fitted()
    with pytest.raises(KeyError, match=r"ob\.tl\.fit first"):
        draw(name, mdata, key_added="other")
    for slot in SLOTS[name]:
        broken = fitted()
        del broken.uns["omicsbal"][slot]
        with pytest.raises(KeyError, match=rf"{slot}.*ob\.tl\.fit first"):
            draw(name, broken)
    with pytest.raises(TypeError, match="expected a MuData"):
        draw(name, mdata["rna"])
