"""The gate's table: from a MuData, from a model, and all that is refused."""

from dataclasses import replace
from types import SimpleNamespace

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._keys import KD_GATE, REFERENCES
from omicsbal._validate import OmicsbalWarning
from omicsbal.balance import Distill, Mutual
from omicsbal.balance import _gate as gate
from omicsbal.train import intervals, stages
from omicsbal.train.graphs import member_graph

NET, CONFIG = ob.NetConfig(width=8, depth=1, latent=4), ob.FitConfig(max_epochs=3, n_members=0)
PAIRS = [("atac", "rna"), ("protein", "rna"), ("rna", "atac"), ("protein", "atac"), ("rna", "protein"), ("atac", "protein")]


def ask(mdata, **options):
    options = {"label_key": "cell_type", "n_folds": 3, "net": NET, "config": CONFIG, "device": "cpu", **options}
    return ob.tl.kd_gate(mdata, **{"progress": False, **options})


@pytest.fixture
def stubbed(monkeypatch):
    """A gap that always passes, and few bootstrap draws; returns the number of rows of each call."""
    calls = []

    def complementarity(teacher, student, y, *, folds=None):
        calls.append((len(y), folds is not None))
        told = {"value": 0.5, "low": 0.3, "high": 0.7, "se": 0.1, "within": 0.6, "extra": 0.1, "shared": 1.0, "relevant": 0.5}
        return SimpleNamespace(**told, decision="pass", n=len(y))

    monkeypatch.setattr(gate, "complementarity", complementarity)
    monkeypatch.setattr(intervals, "DRAWS", 2)
    return calls


def test_what_it_returns_is_what_it_writes_and_survives_a_file(tri, tmp_path):
    """With the gap as it is."""
    table = ask(tri)
    assert list(zip(table["teacher"], table["student"], strict=True)) == PAIRS
    assert set(table["decision"]) <= {"pass", "fail", "uncertain", "weaker"} and (table["n"] == 90).all()
    weaker = table["score_teacher"] - table["score_student"] < 0.02
    assert ((table["decision"] == "weaker") == weaker).all() and not table.loc[weaker, "chosen"].any()
    assert np.isfinite(table[list(gate.GAP)]).all(axis=None) and table[list(gate.GAIN)].isna().all(axis=None)
    np.testing.assert_allclose(table["gap"], table["within"] - table["extra"])
    assert ((table["gap_low"] < table["gap"]) & (table["gap"] < table["gap_high"])).all()
    said = tri.uns["omicsbal"]
    assert set(said) == {"label_key", "task", "metric", "modalities", "versions", KD_GATE, REFERENCES}
    pd.testing.assert_frame_equal(said[KD_GATE], table)
    alone = said[REFERENCES].set_index("modality")["macro_f1"]
    assert table["score_teacher"].to_numpy() == pytest.approx(alone[table["teacher"]].to_numpy())
    tri.write(tmp_path / "data.h5mu")
    again = mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"]
    for name in (KD_GATE, REFERENCES):
        pd.testing.assert_frame_equal(again[name].reset_index(drop=True), said[name], check_dtype=False, check_categorical=False)
    assert (again["label_key"], again["task"], again["metric"]) == ("cell_type", "classification", "macro_f1")


def test_the_table_returned_is_a_copy(tri, stubbed):
    table = ask(tri)
    table["gap"] = 9.0
    assert (tri.uns["omicsbal"][KD_GATE]["gap"] == 0.5).all()


def test_nothing_but_the_slot_is_written(tri, stubbed, frozen):
    before = frozen(tri)
    ask(tri, key_added="gate")
    del tri.uns["gate"]
    assert frozen(tri) == before


def test_it_joins_the_fit_of_the_same_label(tri, stubbed, quick):
    quick(tri, strategy="uniform")
    before = dict(tri.uns["omicsbal"])
    table = ask(tri)
    after = tri.uns["omicsbal"]
    assert set(after) == {*before, KD_GATE, REFERENCES} and after["strategy"] == "uniform"
    pd.testing.assert_frame_equal(after["history"], before["history"])
    ask(tri, margin=0.9)
    assert (after[KD_GATE]["decision"] != tri.uns["omicsbal"][KD_GATE]["decision"]).any(), "a second call replaces the first"
    assert (tri.uns["omicsbal"][KD_GATE]["decision"] == "weaker").all() and (table["decision"] == "pass").any()


def test_a_fit_replaces_what_the_gate_left(tri, stubbed, quick):
    ask(tri)
    quick(tri, strategy="uniform")
    assert {KD_GATE, REFERENCES}.isdisjoint(tri.uns["omicsbal"])


def test_one_seed_one_table(tri, stubbed):
    one, two, other = (ask(tri.copy(), random_state=s) for s in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert (one["score_teacher"] != other["score_teacher"]).any()


def test_margin_and_weight(tri, stubbed):
    shut, open_ = ask(tri, margin=0.9), ask(tri, margin=0.0, weight=0.6)
    assert (shut["decision"] == "weaker").all() and not shut["chosen"].any()
    assert set(open_.loc[open_["chosen"] == 1, "weight"]) == {0.6} and open_["chosen"].sum() >= 2


def test_all_pairs_are_measured_where_both_are(holed, stubbed):
    here = {m: holed.obs_names.isin(holed[m].obs_names) for m in holed.mod}
    table = ask(holed)
    assert [n for n, _ in stubbed] == table["n"].tolist() == [int((here[t] & here[s]).sum()) for t, s in PAIRS]
    assert all(by_fold for _, by_fold in stubbed) and table["n"].min() < 90


def test_embeddings_of_one_fold(tri, stubbed):
    table = ask(tri, space="embedding")
    assert stubbed == [(30, False)] * 6 and set(table["space"]) == {"embedding"} and set(table["n"]) == {30}


def test_some_of_the_modalities(tri, stubbed):
    table = ask(tri, modalities=["protein", "rna"])
    assert [*zip(table["teacher"], table["student"], strict=True)] == [("rna", "protein"), ("protein", "rna")]
    assert tri.uns["omicsbal"]["modalities"].tolist() == ["protein", "rna"]


def test_numbers_as_labels(tri, tmp_path):
    tri.obs["size"] = np.log1p(np.asarray(tri["rna"].X.sum(axis=1)).ravel())
    table = ask(tri, label_key="size", modalities=["rna", "protein"])
    assert set(table["metric"]) == {"r2"} and np.isfinite(table["gap"]).all()
    assert {"r2", "rmse"} <= set(tri.uns["omicsbal"][REFERENCES]) and tri.uns["omicsbal"]["task"] == "regression"
    tri.write(tmp_path / "data.h5mu")
    assert mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"]["metric"] == "r2"


def test_rows_without_a_label_change_nothing(tri, quick, stubbed):
    """Neither table nor model sees them: their counts may be anything."""
    tri.obs["part"] = tri.obs["cell_type"].astype(object)
    tri.obs.loc[tri.obs_names[70:], "part"] = None
    other = tri.copy()
    for m in other.mod:
        x = other[m].X.toarray() if hasattr(other[m].X, "toarray") else other[m].X.copy()
        x[70:] = 3 * x[70:][::-1] + 1
        other[m].X = x
    for mdata in (tri, other):
        for m in mdata.mod:
            mdata[m].X = np.asarray(mdata[m].X.toarray() if hasattr(mdata[m].X, "toarray") else mdata[m].X)
    one, two = (ask(mdata, label_key="part") for mdata in (tri, other))
    pd.testing.assert_frame_equal(one, two)
    options = {"label_key": "part", "strategy": Mutual(gate="always"), "n_folds": 3}
    first, second = (quick(mdata, **options).predictor.net.state_dict() for mdata in (tri, other))
    assert all(bool((first[name] == second[name]).all()) for name in first)


def test_a_transductive_graph_takes_in_rows_without_a_label(tri, stubbed, monkeypatch):
    tri.obs["part"] = tri.obs["cell_type"].astype(object)
    tri.obs.loc[tri.obs_names[70:], "part"] = None
    sizes = []

    def made(*given, **options):
        sizes.append(member_graph(*given, **options))
        return sizes[-1]

    monkeypatch.setattr(stages, "member_graph", made)
    for form in ("transductive", "inductive"):
        ask(tri, label_key="part", net=replace(NET, encoder="graph", graph_form=form, graph_neighbours=5))
    assert [graph.size for graph in sizes] == [90, 70]


@pytest.mark.parametrize("strategy", [Distill("always"), Mutual(kd="first", gate="always"), Mutual(gate="pilot"), "mutual"])
def test_a_models_table_is_that_of_its_fit(tri, quick, stubbed, tmp_path, strategy):
    model = quick(tri, strategy=strategy, n_folds=3)
    table = ob.tl.kd_gate(model)
    pd.testing.assert_frame_equal(table, model.tables[KD_GATE])
    pd.testing.assert_frame_equal(tri.uns["omicsbal"][KD_GATE], table)
    tried = table["chosen"].astype(bool) if getattr(strategy, "gate", "mi") != "pilot" else table["decision"] != "weaker"
    assert (np.isfinite(table["gain"]) == tried).all() and tried.any()
    folder = model.save(tmp_path / "model")
    for again in (folder, str(folder)):
        pd.testing.assert_frame_equal(ob.tl.kd_gate(again), table, check_dtype=False)
    table["gap"] = 9.0
    assert (model.tables[KD_GATE]["gap"] != 9.0).all(), "a copy"
    tri.write(tmp_path / "data.h5mu")
    written = mudata.read_h5mu(tmp_path / "data.h5mu").uns["omicsbal"][KD_GATE]
    pd.testing.assert_frame_equal(
        written.reset_index(drop=True), model.tables[KD_GATE], check_dtype=False, check_categorical=False
    )


@pytest.mark.parametrize("strategy", ["uniform", Distill("never")])
def test_a_model_without_teachers_has_no_table(tri, quick, strategy):
    model = quick(tri, strategy=strategy)
    name = "distill" if isinstance(strategy, Distill) else strategy
    with pytest.raises(ValueError, match=f"`model`: expected a model fitted with teachers; found a fit with strategy '{name}'"):
        ob.tl.kd_gate(model)


@pytest.fixture
def refused(frozen, monkeypatch):
    """Checks that a call raises this before training and changes nothing."""

    def no_training(*args, **kwargs):
        pytest.fail("training began")

    monkeypatch.setattr("omicsbal.train.stages.train", no_training)

    def _check(mdata, error, match, **options):
        before = frozen(mdata) if hasattr(mdata, "obs_names") else None
        with pytest.raises(error, match=match):
            ask(mdata, **options)
        assert before is None or frozen(mdata) == before

    return _check


def test_what_is_refused_before_training(refused, tri):
    refused(tri, ValueError, r"`label_key`: expected a column; found none\. With a MuData, pass label_key", label_key=None)
    refused(tri, KeyError, r"`label_key`.*Did you mean 'cell_type'", label_key="cel_type")
    refused(tri, ValueError, r"`modalities`: expected at least two; found \['rna'\]", modalities=["rna"])
    refused(tri, ValueError, r"`modalities`: expected at least two", modalities=["rna", "rna"])
    refused(tri, KeyError, r"`modalities`.*Did you mean 'protein'", modalities=["rna", "protien"])
    refused(tri, ValueError, r"`n_folds`: expected at least 3 for a strategy with teachers; found 2", n_folds=2)
    refused(tri, ValueError, r"`space`: expected one of 'logit', 'embedding'", space="pca")
    refused(tri, ValueError, r"`margin`: expected a number of at least 0", margin=-0.1)
    refused(tri, ValueError, r"`weight`: expected a number of at least 0 and at most 1", weight=2)
    refused(tri, TypeError, r"`margin`: expected a number", margin="much")
    refused(tri, ValueError, r"`random_state`", random_state=-1)
    refused(tri, ValueError, r"`device`", device="gpuu")
    refused(tri, ValueError, r"`key_added`: expected a name that is no modality", key_added="rna")
    refused(tri[:60], ValueError, r"`mdata`: expected a MuData to write to; found a view")


@pytest.mark.parametrize("data", [None, 3, pd.DataFrame(), np.zeros((3, 2))])
def test_what_is_neither_model_nor_mudata(refused, data):
    refused(data, TypeError, r"`mdata`: expected a MuData")


def test_one_modality_as_an_anndata(refused, tri):
    with pytest.warns(OmicsbalWarning, match="found an AnnData, taken as MuData"):
        refused(tri["rna"].copy(), ValueError, r"`modalities`: expected at least two; found \['rna'\]")


def test_slots_of_others_are_left_alone(refused, tri):
    tri.uns["omicsbal"] = {"mine": 1}
    refused(tri, ValueError, r"`key_added`: expected a free slot; found mdata\.uns\['omicsbal'\] of another origin")
    tri.uns["omicsbal"] = {"label_key": "donor", "versions": "{}"}
    refused(tri, ValueError, r"expected a free slot or one for 'cell_type'; found results for 'donor' in uns\['omicsbal'\]")


def test_an_error_in_training_writes_nothing(tri, frozen, monkeypatch):
    def burst(*args, **kwargs):
        raise FloatingPointError

    monkeypatch.setattr("omicsbal.train.stages.train", burst)
    before = frozen(tri)
    with pytest.raises(FloatingPointError):
        ask(tri)
    assert frozen(tri) == before
