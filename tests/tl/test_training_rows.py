"""A model knows the rows it was trained on, whatever became of the MuData of the fit, and takes no others for them."""

import re
import warnings

import mudata
import numpy as np
import pytest

import omicsbal as ob

VERBS = {
    "contribution": ob.tl.contribution,
    "information": ob.tl.information,
    "robustness": ob.tl.robustness,
    "utilization": ob.tl.utilization,
    "feature_importance": ob.tl.feature_importance,
}
SIZES = {"rna": 60, "atac": 80, "protein": 12}
NET, CONFIG = ob.NetConfig(width=8, depth=1, latent=4), ob.FitConfig(max_epochs=2, n_members=1)


@pytest.fixture(scope="module")
def _learnt():
    """100 cells, the last 20 of them without a label and so not trained on; some lack protein."""
    mdata = ob.datasets.simulate(
        n_obs=100, n_truth=200, preset="redundant", n_classes=3, n_features=SIZES, missing={"protein": 0.2}, random_state=0
    )
    mdata.obs["full"] = mdata.obs["cell_type"].astype(object)
    mdata.obs["part"] = mdata.obs["full"].where(np.arange(100) < 80, None)
    options = {"n_folds": 2, "experts": False, "device": "cpu", "progress": False, "net": NET, "config": CONFIG}
    return ob.tl.fit(mdata, label_key="part", **options), mdata


@pytest.fixture
def model(_learnt):
    return _learnt[0]


@pytest.fixture
def fitted(_learnt):
    """The MuData of the fit."""
    return _learnt[1].copy()


@pytest.fixture
def bare(fitted):
    """Its raw values with labels for all, and nothing of the fit."""
    return stripped(fitted)


def stripped(mdata, rows=None, rename=None):
    """Raw values, labels and names alone, of some rows, in their order."""
    rows = np.arange(mdata.n_obs) if rows is None else np.asarray(rows)
    wanted = mdata.obs_names[rows]
    mods = {}
    for m, a in mdata.mod.items():
        a = a[wanted[wanted.isin(a.obs_names)]].copy()
        a.obsm.clear()
        a.obs_names = [rename(n) for n in a.obs_names] if rename else a.obs_names
        mods[m] = a
    made = mudata.MuData(mods)
    assert list(made.obs_names) == [rename(n) if rename else n for n in wanted]
    made.obs["part"] = mdata.obs["full"].to_numpy()[rows]
    return made


def kind_of_rows(model, mdata):
    """Out-of-fold or held-out, as the quickest of the verbs says."""
    table = ob.tl.robustness(model, mdata, kinds="removed", device="cpu", progress=False)
    (kind,) = set(table["rows"])
    return kind


def refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("verb", VERBS)
def test_without_uns_training_rows_are_refused_by_every_verb(model, fitted, verb, frozen):
    del fitted.uns["omicsbal"]
    fitted.obs["part"] = fitted.obs["full"]
    before = frozen(fitted)
    words = (
        "`mdata`: expected rows that the model never saw; found 80 of 100 that it was trained on, without their folds. Pass .*"
    )
    refused(lambda: VERBS[verb](model, fitted, device="cpu"), words + re.escape("mdata[~model.trained_on(mdata)].copy()."))
    assert frozen(fitted) == before


def test_and_so_without_a_trace_of_the_fit_and_from_disk(model, bare, tmp_path):
    refused(lambda: ob.tl.information(model, bare, device="cpu"), "found 80 of 100 that it was trained on")
    folder = model.save(tmp_path / "model")
    bare.write(tmp_path / "bare.h5mu")
    again = mudata.read_h5mu(tmp_path / "bare.h5mu")
    refused(lambda: ob.tl.information(folder, again, device="cpu"), "found 80 of 100 that it was trained on")


def test_what_the_message_advises_works(model, bare):
    new = bare[~model.trained_on(bare)].copy()
    assert new.n_obs == 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ob.tl.predict(model, new, key_added="query", device="cpu")
    assert kind_of_rows(model, new) == "held-out"


def test_a_part_of_the_rows_under_another_key(model, fitted):
    part = fitted[fitted.obs_names[70:90]].copy()
    part.obs["part"] = part.obs["full"]
    refused(lambda: ob.tl.information(model, part, key_added="other", device="cpu"), "found 10 of 20 that it was trained on")


def test_in_another_order(model, fitted):
    rows = np.random.default_rng(0).permutation(100)
    shuffled = stripped(fitted, rows)
    np.testing.assert_array_equal(model.trained_on(shuffled), rows < 80)
    refused(lambda: ob.tl.information(model, shuffled, device="cpu"), "found 80 of 100 that it was trained on")


def test_renamed_rows_are_taken_for_new(model, fitted):
    renamed = stripped(fitted, rename=lambda name: f"new_{name}")
    assert not model.trained_on(renamed).any()
    assert kind_of_rows(model, renamed) == "held-out"


def test_the_same_names_with_other_values_are_new(model, fitted):
    names = list(fitted.obs_names)
    other = stripped(fitted, rename=lambda name: names[(names.index(name) + 1) % 100])
    assert set(other.obs_names) == set(names)
    assert not model.trained_on(other).any()
    assert kind_of_rows(model, other) == "held-out"


def test_half_of_the_modalities_decide(model, bare):
    def reversed_in(*changed):
        mods = {m: a.copy() for m, a in bare.mod.items()}
        for m in changed:
            mods[m].X = mods[m].X[::-1].copy()
        return model.trained_on(mudata.MuData(mods))

    three = bare.obs_names.isin(bare["protein"].obs_names) & (np.arange(100) < 80)
    assert three.any() and three.sum() < 80
    np.testing.assert_array_equal(reversed_in(), np.arange(100) < 80)
    np.testing.assert_array_equal(reversed_in("rna"), np.arange(100) < 80)  # two of three agree, or one of two
    assert not reversed_in("rna", "atac")[three].any()


def test_modalities_and_features_that_are_not_there(model, bare):
    expected = np.arange(100) < 80
    for kept in (["rna"], ["rna", "atac"]):
        np.testing.assert_array_equal(model.trained_on(mudata.MuData({m: bare[m] for m in kept})), expected)
    alone = mudata.MuData({"protein": bare["protein"]})
    np.testing.assert_array_equal(model.trained_on(alone), alone.obs_names.isin(bare.obs_names[:80]))
    few = mudata.MuData({"rna": bare["rna"][:, 6:].copy(), "atac": bare["atac"].copy()})
    np.testing.assert_array_equal(model.trained_on(few), expected)
    with pytest.raises(ValueError, match="at least 80% of the model's 60 features"):
        model.trained_on(mudata.MuData({"rna": bare["rna"][:, 30:].copy()}), min_coverage=0.8)
    with pytest.raises(ValueError, match="`min_coverage`"):
        model.trained_on(bare, min_coverage=5)


def test_features_that_were_dropped_make_no_row_new(model, bare):
    """Every modality lacks some: the values are no longer those of the fit."""
    less = mudata.MuData({m: a[:, 2:].copy() for m, a in bare.mod.items()})
    less.obs["part"] = bare.obs["part"]
    assert model.trained_on(less)[:80].mean() > 0.9 and not model.trained_on(less)[80:].any()
    refused(lambda: ob.tl.information(model, less, device="cpu"), "of 100 that it was trained on")


def test_where_all_rows_were_trained_on_there_is_nothing_to_leave_out(model, fitted):
    all_known = stripped(fitted, range(80))
    with pytest.raises(ValueError, match="found 80 of 80 that it was trained on") as told:
        ob.tl.information(model, all_known, device="cpu")
    assert "leave these rows out" not in str(told.value)


def test_features_that_are_gone_are_named(model, fitted):
    less = mudata.MuData({"rna": fitted["rna"][:, 12:].copy(), "atac": fitted["atac"], "protein": fitted["protein"]})
    less.obs["part"], less.uns["omicsbal"] = fitted.obs["part"], fitted.uns["omicsbal"]
    refused(lambda: ob.tl.information(model, less, device="cpu"), r"\(rna has 80\.0% of its features\)")


def test_folds_of_strangers_under_another_key_mean_nothing(model, fitted, quick):
    """A paired design: other cells, fitted by themselves on the same labels, and so on the same folds."""
    other = ob.datasets.simulate(n_obs=100, n_truth=200, preset="redundant", n_classes=3, n_features=SIZES, random_state=7)
    other.obs["part"] = fitted.obs["part"].to_numpy()
    quick(other, label_key="part", n_folds=2)
    np.testing.assert_array_equal(other.uns["omicsbal"]["folds"], fitted.uns["omicsbal"]["folds"])
    table = ob.tl.robustness(model, other, kinds="removed", device="cpu", key_added="first", progress=False)
    assert set(table["rows"]) == {"held-out"}


def test_folds_of_somebody_else_are_no_folds_of_a_fit(model, fitted):
    new = stripped(fitted, rename=lambda name: f"new_{name}")
    new.uns["cv"] = {"folds": np.array(["a", "b"] * 50)}
    new.uns["omicsbal_like"] = {"folds": np.zeros(100)}
    assert kind_of_rows(model, new) == "held-out"


@pytest.mark.parametrize("n_folds", [2, 3])  # the same folds, and others
def test_the_key_of_the_models_own_fit_is_named(fitted, model, quick, n_folds):
    mine = quick(fitted, label_key="part", n_folds=n_folds, key_added="mine")
    words = "This model's fit stands under 'mine': pass key_added='mine'"
    refused(lambda: ob.tl.information(mine, fitted, device="cpu"), words)
    refused(lambda: ob.report(mine, fitted, "page.html", compute=False), words)
    ob.tl.information(mine, fitted, key_added="mine", device="cpu")


def with_folds(mdata, fitted):
    """The results of the fit put into rows that are not in their places."""
    mdata.obs["part"] = mdata.obs["part"].where(fitted.uns["omicsbal"]["folds"] >= 0, None)
    mdata.uns["omicsbal"] = fitted.uns["omicsbal"]
    mdata.obsm["omicsbal_proba_part"] = fitted.obsm["omicsbal_proba_part"].set_axis(mdata.obs_names)
    return mdata


@pytest.mark.parametrize("rename", [None, "new_{}".format])
@pytest.mark.parametrize("verb", [kind_of_rows, ob.tl.cell_difficulty])
def test_two_rows_that_changed_places_under_copied_folds(model, fitted, rename, verb):
    rows = np.arange(100)
    same = with_folds(stripped(fitted, rows, rename), fitted)
    verb(model, same)
    rows[[3, 50]] = 50, 3
    other = with_folds(stripped(fitted, rows, rename), fitted)
    words = "`mdata`: expected training rows as they were at the fit; found 2 of 80 in another place, with other values"
    refused(lambda: verb(model, other), words)


def test_a_training_row_that_lost_a_modality_is_not_as_it_was(model, fitted):
    less = mudata.MuData({m: a[1 if m == "atac" else 0 :].copy() for m, a in fitted.mod.items()})
    less.obs["part"], less.uns["omicsbal"] = fitted.obs["part"].to_numpy(), fitted.uns["omicsbal"]
    refused(lambda: ob.tl.information(model, less, device="cpu"), "found 1 of 80 in another place")


def test_results_of_another_fit_with_the_same_folds_are_left_alone(fitted, model):
    """The rows are the same, and so are the folds: what was found would join the results of the other model."""
    options = {"n_folds": 2, "experts": False, "device": "cpu", "progress": False, "net": NET}
    ob.tl.fit(fitted, label_key="part", config=ob.FitConfig(max_epochs=3, n_members=1), **options)
    for verb in (ob.tl.information, ob.tl.cell_difficulty):
        refused(
            lambda verb=verb: verb(model, fitted, device="cpu"), r"`mdata\.obsm\['X_omicsbal'\]`: expected what the model says"
        )


def test_predict_says_how_many_rows_it_was_trained_on(model, fitted):
    part = stripped(fitted, range(70, 100))
    found = r"expected rows that the model never saw; found 10 of 30 that it was trained on\. .* in-sample .* out-of-fold ones"
    with pytest.warns(ob._validate.OmicsbalWarning, match=found) as told:
        table = ob.tl.predict(model, part, device="cpu")
    assert [w.filename for w in told] == [__file__], "the line of the caller"
    assert table["prediction"].notna().all() and "omicsbal_part" in part.obs
    with pytest.warns(UserWarning, match="found 10 of 30"):
        ob.tl.predict(model, part, modalities=["atac"], device="cpu")
    raised = stripped(fitted, range(70, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="found 10 of 30"):
            ob.tl.predict(model, raised, device="cpu")
    assert "omicsbal" not in raised.uns, "nothing was written"


def test_a_model_that_keeps_nothing_of_its_rows_checks_nothing(model, bare, tmp_path):
    older = ob.FittedModel(model.label_key, model.sources, model.predictor, model.params, model.tables)
    folder = older.save(tmp_path / "model")
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", "recipes.safetensors", "weights.safetensors"]
    again = ob.FittedModel.load(folder)
    assert len(again.training_rows) == 0
    assert kind_of_rows(again, bare) == "held-out"
    ob.tl.predict(again, bare, key_added="query", device="cpu")
    refused(
        lambda: again.trained_on(bare), "`model`: expected one that knows its training rows; found an older one. Fit it again"
    )


def test_and_still_takes_its_folds(model, fitted):
    older = ob.FittedModel(model.label_key, model.sources, model.predictor, model.params, model.tables)
    assert kind_of_rows(older, fitted) == "out-of-fold"


def test_a_loaded_model_knows_the_same_rows_and_no_names(model, bare, tmp_path):
    folder = model.save(tmp_path / "model")
    again = ob.FittedModel.load(folder)
    before, after = model.training_rows.state(), again.training_rows.state()
    assert set(after) == {"names", "sketch/rna", "sketch/atac", "sketch/protein"} == set(before)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
        assert after[name].dtype == values.dtype and len(values) == 80
    np.testing.assert_array_equal(again.trained_on(bare), np.arange(100) < 80)
    written = b"".join(p.read_bytes() for p in folder.iterdir())
    assert not [name for name in bare.obs_names if name.encode() in written]


def test_a_model_of_some_modalities_and_of_a_number(fitted, quick):
    fitted.obs["age"] = np.r_[np.random.default_rng(0).normal(60, 10, 70), [np.nan] * 30]
    model = quick(fitted, label_key="age", modalities=["rna", "protein"], key_added="age")
    plain = stripped(fitted)
    np.testing.assert_array_equal(model.trained_on(plain), np.arange(100) < 70)
    plain.obs["age"] = np.arange(100.0)
    refused(lambda: ob.tl.contribution(model, plain, device="cpu"), "found 70 of 100 that it was trained on")


@pytest.mark.parametrize("form", ["inductive", "transductive"])
def test_with_a_graph_only_rows_with_a_label_count(fitted, quick, form):
    net = ob.NetConfig(width=8, latent=4, graph_form=form, graph_neighbours=5)
    model = quick(fitted, label_key="part", encoder="graph", net=net, key_added="graph")
    np.testing.assert_array_equal(model.trained_on(stripped(fitted)), np.arange(100) < 80)


@pytest.mark.filterwarnings("ignore:.*found an AnnData")
def test_an_anndata(fitted, quick):
    adata = fitted["rna"].copy()
    adata.obs["part"] = fitted.obs["full"].to_numpy()
    model = quick(adata[:60].copy(), label_key="part")
    np.testing.assert_array_equal(model.trained_on(adata), np.arange(100) < 60)
