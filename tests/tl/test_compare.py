"""Comparisons: one set of folds, nothing learnt from test rows, every piece once, and failures that stay where they are."""

import json
import warnings
from threading import Event

import joblib
import mudata
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.naive_bayes import GaussianNB

import omicsbal as ob
from omicsbal._validate import OmicsbalWarning
from omicsbal.balance import OgmGe
from omicsbal.diagnostics.comparison import METRICS
from omicsbal.tl import _compare as module
from omicsbal.tl._outer_fold import _tuning_folds, run_piece
from omicsbal.tl._systems import default_names, parse_systems

QUICK = {
    "quick": {"config": ob.FitConfig(max_epochs=2, n_members=1), "net": ob.NetConfig(width=8, depth=1, latent=4), "n_folds": 2}
}


@pytest.fixture
def duo(simulated):
    """90 cells of 3 types in rna and protein."""
    sizes = {"rna": 60, "protein": 12}
    return simulated(n_obs=90, n_truth=100, n_classes=3, modalities=["rna", "protein"], n_features=sizes, random_state=0)


@pytest.fixture
def pieces(monkeypatch):
    """What was handed to the systems, in a list that fills as they run."""
    seen = []

    def spy(piece):
        seen.append(piece)
        return run_piece(piece)

    monkeypatch.setattr(module, "run_piece", spy)
    return seen


def compare(mdata, systems, **options):
    return ob.tl.compare(mdata, **{"label_key": "cell_type", "systems": systems, "folds": 3, "progress": False, **options})


def test_identical_folds_a_row_each_and_a_file(duo, tmp_path):
    systems = ["lr:rna", "lr:pool", "lr:late", "lr:stack", "gb:concat", QUICK, {"bayes": GaussianNB()}]
    table = compare(duo, systems, repeats=1, key_added="mine")
    assert len(table) == 3 * 7 and not table.duplicated(["repeat", "fold", "system"]).any()
    assert table["error"].eq("").all()
    assert table.groupby("fold")[["n_train", "n_test"]].nunique().eq(1).all(axis=None)
    assert table.drop_duplicates("fold")["n_test"].sum() == 90
    assert table["macro_f1"].between(0, 1).all() and (table[["log_loss", "seconds", "cpu_seconds"]] > 0).all(axis=None)
    assert table.groupby("system")["macro_f1"].mean()["lr:pool"] > 0.45
    summary = duo.uns["mine"]["compare_summary"]
    assert summary["against"].eq("lr:rna").all() and set(summary["metric"]) == set(METRICS)
    duo.write_h5mu(tmp_path / "a.h5mu")
    back = mudata.read_h5mu(tmp_path / "a.h5mu").uns["mine"]
    pd.testing.assert_frame_equal(back["compare"], table, check_dtype=False)
    pd.testing.assert_frame_equal(back["compare_summary"], summary, check_dtype=False)


def test_no_label_of_a_test_row_reaches_a_system(duo, pieces):
    compare(duo, ["lr:concat", QUICK])
    truth = duo.obs["cell_type"].astype(str).to_numpy()
    assert len(pieces) == 6
    for piece in pieces:
        assert set(piece["test"]) == {"rna", "protein"} and len(piece["labels"]) == piece["n_train"] == 60
        assert sum(isinstance(v, np.ndarray | list) and len(v) == 90 for v in piece.values()) == 0
    told = np.concatenate([p["labels"] for p in pieces[::2]])
    assert sorted(told) == sorted([*truth, *truth])  # each row trains two of three folds


def test_test_rows_change_nothing_that_is_learnt(duo, pieces):
    compare(duo, ["lr:pool", "gb:concat", QUICK])
    for piece in pieces[:2]:  # the fit and the baselines of the first fold
        before = {r["system"]: r["proba"] for r in run_piece(piece)}
        spoilt = {m: type(t)(t.X.copy(), t.rows, t.features, t.types) for m, t in piece["test"].items()}
        for table in spoilt.values():
            table.X[1:] = table.X[1:].multiply(3) if hasattr(table.X, "multiply") else table.X[1:] * 3
        after = {r["system"]: r["proba"] for r in run_piece({**piece, "test": spoilt})}
        for name, proba in before.items():
            np.testing.assert_allclose(after[name][0], proba[0], atol=1e-6, err_msg=name)  # the row that stayed as it was
            assert not np.allclose(after[name], proba, atol=1e-3), name


def test_donors_stay_whole(simulated, pieces):
    mdata = simulated(n_obs=120, n_truth=100, n_classes=2, n_donors=6, modalities=["rna", "protein"], random_state=0)
    donor = mdata.obs["donor"].astype(str).to_numpy()
    table = compare(mdata, ["lr:concat", QUICK], group_key="donor")
    assert table["error"].eq("").all()
    sizes = {k: set(table[table["fold"] == k]["n_test"]) for k in range(3)}
    for piece in pieces:
        groups = np.unique(piece["groups"])
        assert 2 <= len(groups) < len(np.unique(donor))
        counts = pd.Series(piece["groups"]).value_counts()
        codes = pd.Series(pd.factorize(mdata.obs["donor"])[0].astype(str)).value_counts()
        assert counts.equals(codes[counts.index]) or (counts.sort_index() == codes[counts.sort_index().index]).all()
        assert sizes[piece["fold"]] == {piece["n_test"]}


def test_a_system_that_fails_is_told_and_the_rest_goes_on(duo):
    class Fragile(DummyClassifier):
        def fit(self, X, y):
            raise RuntimeError("no luck")

    with pytest.warns(OmicsbalWarning, match=r"'fragile' in 3 of 3 folds \(RuntimeError: no luck\)"):
        table = compare(duo, ["lr:rna", {"fragile": Fragile()}])
    failed = table[table["system"] == "fragile"]
    assert failed["error"].eq("RuntimeError: no luck").all() and failed["macro_f1"].isna().all()
    assert table.loc[table["system"] == "lr:rna", "error"].eq("").all()
    summary = duo.uns["omicsbal_compare"]["compare_summary"].set_index(["metric", "system"])
    row = summary.loc[("log_loss", "fragile")]
    assert np.isnan(row["mean"]) and row["n"] == 0 and row["rank"] == 2 and "Failed in 3 of 3" in row["note"]


def test_absent_modalities_and_unlabelled_rows(simulated):
    mdata = simulated(
        n_obs=110, n_truth=100, n_classes=2, missing={"protein": 0.3}, modalities=["rna", "protein"], random_state=0
    )
    mdata.obs["cell_type"] = mdata.obs["cell_type"].astype(object).where(np.arange(mdata.n_obs) >= 10)
    systems = [
        "lr:protein",
        "lr:late",
        "lr:pool",
        QUICK,
        {"alone": QUICK["quick"] | {"modalities": ["protein"], "head": "protein"}},
    ]
    table = compare(mdata, systems)
    assert table["error"].eq("").all() and table["log_loss"].notna().all()
    assert table.drop_duplicates("fold")["n_test"].sum() == 100


def test_going_on_from_a_file(duo, tmp_path, pieces):
    path = tmp_path / "lines.jsonl"
    whole = compare(duo, ["lr:rna", "lr:pool"], checkpoint=path)
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 6 and len(pieces) == 3
    path.write_bytes(b"".join([*lines[:4], lines[2], lines[5][:20]]))  # one twice, one cut short
    again = compare(duo, ["lr:rna", "lr:pool"], checkpoint=path)
    pd.testing.assert_frame_equal(again.drop(columns=["seconds", "cpu_seconds"]), whole.drop(columns=["seconds", "cpu_seconds"]))
    assert [sorted(s.name for s in p["systems"]) for p in pieces[3:]] == [["lr:pool"], ["lr:pool", "lr:rna"]]
    before = len(pieces)
    more = compare(duo, ["lr:rna", "lr:pool", "lr:late"], checkpoint=path)
    assert len(more) == 9 and [s.name for p in pieces[before:] for s in p["systems"]] == ["lr:late"] * 3
    kept = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert len({(k["fold"], k["system"]) for k in kept}) == 9


def test_a_file_of_something_else_is_refused_and_left(duo, tmp_path, frozen):
    path = tmp_path / "lines.jsonl"
    compare(duo, [{"bayes": GaussianNB()}], checkpoint=path)
    held = path.read_bytes()
    changed = duo.copy()
    changed["rna"].X[0, 0] += 1
    with pytest.raises(ValueError, match="other data or settings"):
        compare(changed, ["lr:rna"], checkpoint=path)
    with pytest.raises(ValueError, match="other data or settings"):
        compare(duo, ["lr:rna"], checkpoint=path, folds=2)
    before = frozen(duo)
    with pytest.raises(ValueError, match="other settings of 'bayes'"):
        compare(duo, [{"bayes": GaussianNB(var_smoothing=0.1)}], checkpoint=path)
    assert path.read_bytes() == held and frozen(duo) == before
    for text in (b"not ours", b"not ours\n", b"[1]\n"):
        path.write_bytes(text)
        with pytest.raises(ValueError, match="something else"):
            compare(duo, ["lr:rna"], checkpoint=path)
        assert path.read_bytes() == text
    with pytest.raises(FileNotFoundError, match="folder that exists"):
        compare(duo, ["lr:rna"], checkpoint=tmp_path / "no" / "lines.jsonl")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"systems": ["lr:concatt"]}, KeyError, "lr:concat"),
        ({"systems": ["omicsbal:nonsense"]}, ValueError, "one of"),
        ({"systems": ["lr:rna", "lr:rna"]}, ValueError, "twice"),
        ({"systems": []}, ValueError, "found none"),
        ({"systems": [GaussianNB()]}, TypeError, "dictionaries"),
        ({"systems": {"x": object()}}, TypeError, "predict_proba"),
        ({"systems": {"x": {"stratgy": "joint"}}}, KeyError, "strategy"),
        ({"systems": {"x": {"modalities": ["atac"]}}}, KeyError, "atac"),
        ({"systems": {"x": {"strategy": "nonsense"}}}, ValueError, "nonsense"),
        ({"systems": {"x": "lr:rna"}}, ValueError, "baseline"),
        ({"against": "lr:protein"}, ValueError, "against"),
        ({"folds": 1}, ValueError, "folds"),
        ({"repeats": 0}, ValueError, "repeats"),
        ({"label_key": "number"}, ValueError, "a number"),
        ({"label_key": "nothing"}, KeyError, "label_key"),
        ({"device": "tpu"}, ValueError, "device"),
        ({"recipe": {"atac": "dense"}}, KeyError, "atac"),
    ],
)
def test_bad_input_is_refused_before_anything(duo, frozen, pieces, options, error, match):
    duo.obs["number"] = np.linspace(0, 1, duo.n_obs)
    before = frozen(duo)
    with pytest.raises(error, match=match):
        compare(duo, **{"systems": ["lr:rna"], **options})
    assert frozen(duo) == before and not pieces


def test_another_label_under_the_same_key_is_refused(duo):
    compare(duo, ["lr:rna"])
    duo.obs["other"] = np.tile(["a", "b"], 45)
    with pytest.raises(ValueError, match="results for 'cell_type'"):
        compare(duo, ["lr:rna"], label_key="other")


def test_a_fit_and_a_comparison_take_nothing_from_each_other(duo, quick, frozen):
    quick(duo)
    before = frozen(duo)
    table = compare(duo, ["lr:rna"])
    written = duo.uns.pop("omicsbal_compare")
    assert set(written) == {"compare", "compare_summary", "label_key", "task", "modalities", "versions"}
    assert frozen(duo) == before
    duo.uns["omicsbal_compare"], summary = written, written["compare_summary"].copy()
    duo.obs["other"] = np.tile(["a", "b"], 45)
    quick(duo, label_key="other")
    kept = duo.uns["omicsbal_compare"]
    assert set(kept) == set(written) and kept["label_key"] == "cell_type"
    pd.testing.assert_frame_equal(kept["compare"], table)
    pd.testing.assert_frame_equal(kept["compare_summary"], summary)


def test_under_the_key_of_a_fit_it_stands_beside_it(duo, quick, frozen):
    quick(duo)
    before = frozen(duo)
    compare(duo, ["lr:rna"], key_added="omicsbal")
    written = {name: duo.uns["omicsbal"].pop(name) for name in ("compare", "compare_summary")}
    assert all(isinstance(table, pd.DataFrame) for table in written.values()) and frozen(duo) == before


def test_ours_is_the_fit_itself(duo, pieces):
    """What "omicsbal" scores in a fold is what a fit on its training rows predicts of the others."""
    settings = QUICK["quick"]
    compare(duo, [QUICK])
    result = run_piece(pieces[0])[0]
    asked = {"label_key": "cell_type", "modalities": ["rna", "protein"], "task": "auto", "rare": "drop"}
    fold = module.make_design(duo, **asked, group_key=None, n_folds=3, random_state=0).folds
    train, test = duo[np.flatnonzero(fold != 0)].copy(), duo[np.flatnonzero(fold == 0)].copy()
    model = ob.tl.fit(train, label_key="cell_type", progress=False, **settings)
    ob.tl.predict(model, test)
    np.testing.assert_allclose(result["proba"], test.obsm["omicsbal_proba_cell_type"].to_numpy(), atol=1e-6)


def test_the_default_systems():
    pair = ["omicsbal", "lr:rna", "lr:atac", "lr:concat", "lr:late", "lr:stack", "lr:pool", "rf:concat", "gb:concat"]
    assert default_names(["rna", "atac"]) == pair == [s.name for s in parse_systems(None, ["rna", "atac"])]
    assert default_names(["rna"]) == ["omicsbal", "lr:rna", "rf:concat", "gb:concat"]


def test_digests_tell_settings_apart():
    given = [{"x": {"strategy": OgmGe(alpha=alpha)}} for alpha in (0.1, 0.2, 0.1)]
    one, two, same = (parse_systems(systems, ["rna"])[0].digest for systems in given)
    assert one == same != two
    wide, narrow = (parse_systems({"x": {"net": ob.NetConfig(width=w)}}, ["rna"])[0].digest for w in (8, 16))
    assert wide != narrow


def test_baselines_tune_on_whole_donors_however_few():
    y, donor = np.tile([0, 1], 20), np.repeat(["a", "b"], 20)
    inner = _tuning_folds(y, donor, 0)
    assert pd.Series(inner).groupby(donor).nunique().eq(1).all() and set(inner) == {0, 1}
    with pytest.warns(OmicsbalWarning, match="split donors"):
        assert set(_tuning_folds(y, np.repeat("a", 40), 0)) == {0, 1, 2}


def test_a_note_does_not_depend_on_which_baseline_comes_first(duo, tmp_path):
    duo.obs["donor2"] = np.repeat(["a", "b"], 45)
    options = {"folds": 2, "group_key": "donor2"}
    whole = compare(duo, ["lr:rna", "lr:pool"], **options)
    assert whole["note"].str.contains("split donors").all()
    path = tmp_path / "lines.jsonl"
    compare(duo, ["lr:rna"], checkpoint=path, **options)
    again = compare(duo, ["lr:rna", "lr:pool"], checkpoint=path, **options)
    assert again["note"].tolist() == whole["note"].tolist()


def test_a_modality_of_one_class_costs_no_baseline_its_answer(duo):
    cells = duo.obs["cell_type"].astype(str)
    few = np.flatnonzero(cells == cells.iloc[0])
    odd = mudata.MuData({"rna": duo["rna"].copy(), "protein": duo["protein"][few].copy()})
    odd.obs["cell_type"] = cells.reindex(odd.obs_names).to_numpy()
    table = compare(odd, ["lr:protein", "lr:rna", "lr:late", "lr:stack", "lr:pool"]).set_index(["fold", "system"])
    assert table["error"].eq("").all() and table["log_loss"].notna().all()
    scores = table["log_loss"].unstack()
    np.testing.assert_allclose(scores["lr:late"], scores["lr:rna"])
    np.testing.assert_allclose(scores["lr:protein"], np.log(3), atol=0.1)  # the shares of three classes of like size


def test_threads_leave_the_filters_of_warnings_as_they_were(duo, monkeypatch):
    compare(duo, ["lr:rna"])  # imports may add filters of their own
    before, (first, second, left) = (list(warnings.filters), warnings.showwarning), (Event() for _ in range(3))

    def crossing(piece):
        """The first to begin to listen ends first: the other one then puts back the filters of the first."""
        if piece["fold"]:
            first.wait(60)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            (second if piece["fold"] else first).set()
            (left if piece["fold"] else second).wait(60)
            results = run_piece(piece) if piece["fold"] else []
        left.set()
        return results or run_piece(piece)

    monkeypatch.setattr(module, "run_piece", crossing)
    with joblib.parallel_config("threading", n_jobs=2):
        table = compare(duo, ["lr:rna"], folds=2)
    assert left.is_set() and table["error"].eq("").all()
    assert (list(warnings.filters), warnings.showwarning) == before


def test_rare_classes_are_said_in_terms_of_compare(duo):
    names = duo.obs["cell_type"].astype(str).to_numpy()
    duo.obs["cell_type"] = np.where(np.arange(90) < 2, "few", names)
    with pytest.warns(OmicsbalWarning, match=r"'few' \(2\)\. Change this with folds=\.\.\.\."):
        compare(duo, ["lr:protein"])


def test_values_that_no_system_can_read_are_refused_before_anything(duo, frozen, pieces):
    duo["rna"].X = np.asarray(duo["rna"].X.todense(), dtype=float)
    duo["rna"].X[3, 4] = np.inf
    before = frozen(duo)
    with pytest.raises(ValueError, match="finite values"):
        compare(duo, ["lr:rna"])
    assert frozen(duo) == before and not pieces
