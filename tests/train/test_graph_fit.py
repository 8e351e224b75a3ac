"""Fits on a graph: honest where they say so, whole where they are saved."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import omicsbal as ob
from omicsbal._types import Arrays
from omicsbal.balance import fresh
from omicsbal.config import FitConfig, NetConfig
from omicsbal.train.fitting import fit_predictor
from omicsbal.train.forward import all_members, everyone, out_of_fold
from omicsbal.train.graphs import member_graph, schedule_for
from omicsbal.train.members import Members
from omicsbal.train.predictor import POOL, PRODUCT, subset
from omicsbal.train.stages import Stages

GRAPH = NetConfig(width=6, depth=2, latent=4, dropout=0.2, encoder="graph", graph_neighbours=5, tilt=0.0)
ONCE = FitConfig(max_epochs=1, evaluations=1, n_members=1)  # one epoch, so that there is none to choose by out-of-fold rows
HELD = 7  # a row; it is in fold 1 of `case`


def fit(toy, *, net=GRAPH, config=ONCE, strategy="uniform", **options):
    options = {"experts": False, "random_state": 0, **options}
    return fit_predictor(toy.data, toy.folds, toy.outcome, fresh(strategy), net=net, config=config, **options)


@pytest.fixture
def case(toy):
    """60 rows in three folds, row 7 in fold 1; `flip` gives the same with the features of that row mirrored.

    Mirrored, because the tilt (here off) and the recipes may know a row's length and each column's spread, in all folds.
    """
    first = toy(absent=0.0)
    first.folds[:] = np.arange(60) % 3

    def flip():
        second = toy(absent=0.0)
        second.folds[:] = first.folds
        for x in second.data.x.values():
            x[HELD] *= -1
        return second

    return first, flip


def parameters(result, member):
    return [p[member] for p in result.predictor.net.parameters()]


@pytest.mark.parametrize("strategy", ["uniform", "modality_dropout"])
def test_inductive_a_held_out_row_touches_neither_training_nor_other_predictions(case, strategy):
    first, flip = case
    one, two = (fit(t, strategy=strategy, config=replace(ONCE, max_epochs=3)) for t in (first, flip()))
    assert all(torch.equal(a, b) for a, b in zip(parameters(one, 1), parameters(two, 1), strict=True)), "bit for bit"
    assert not all(torch.equal(a, b) for a, b in zip(parameters(one, 0), parameters(two, 0), strict=True)), "fold 0 trained on it"
    seen = []
    for result, rows in ((one, first), (two, flip())):
        predictor = result.predictor
        seen.append(out_of_fold(predictor.net, predictor.strategy, rows.data, predictor.members).fused[0])
    others = (first.folds == 1) & (np.arange(60) != HELD)
    assert torch.equal(seen[0][others], seen[1][others])
    assert not torch.equal(seen[0][HELD], seen[1][HELD])


def test_transductive_a_held_out_row_shapes_what_training_sees(case):
    first, flip = case
    net = replace(GRAPH, graph_form="transductive")
    one, two = (fit(t, net=net) for t in (first, flip()))
    assert not all(torch.equal(a, b) for a, b in zip(parameters(one, 1), parameters(two, 1), strict=True))


@pytest.mark.parametrize("form", ["inductive", "transductive"])
def test_labels_of_held_out_rows_change_nothing_in_their_member(case, toy, form):
    first, _ = case
    second = toy(absent=0.0)
    second.folds[:] = first.folds
    rows = torch.from_numpy(first.folds == 1)
    second.data.y[rows] = (second.data.y[rows] + 1) % 3
    one, two = (fit(t, net=replace(GRAPH, graph_form=form), config=replace(ONCE, max_epochs=3)) for t in (first, second))
    assert all(torch.equal(a, b) for a, b in zip(parameters(one, 1), parameters(two, 1), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(parameters(one, 0), parameters(two, 0), strict=True))


@pytest.fixture(scope="module")
def holed(toy):
    rows = toy(n=120, absent=0.3)
    return rows, fit(rows, config=FitConfig(max_epochs=4, n_members=2), experts=True)


def test_new_rows_one_by_one_and_together(holed, toy):
    new, predictor = toy(n=20, absent=0.3, seed=5).data, holed[1].predictor
    for head in (POOL, PRODUCT, "fused", "rna"):
        whole = predictor.predict(new, head=head)
        for rows in (np.array([5]), np.arange(20)[::-1].copy(), np.array([3, 3, 11])):
            np.testing.assert_allclose(predictor.predict(subset(new, rows), head=head), whole[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["inductive", "transductive"])
@pytest.mark.parametrize("only", [None, frozenset({"atac"})])
def test_chunks_change_nothing(toy, monkeypatch, form, only):
    rows = toy(n=50, absent=0.3)
    predictor = fit(rows, net=replace(GRAPH, graph_form=form)).predictor
    net, strategy = predictor.net, predictor.strategy

    def told():
        found = [out_of_fold(net, strategy, rows.data, predictor.members, only=only).fused]
        found.append(torch.cat([o.fused for o in everyone(net, strategy, rows.data)], 1))
        return [*found, torch.cat([o.fused for o in all_members(net, strategy, rows.data, only=only)], 1)]

    whole = told()
    monkeypatch.setattr("omicsbal.train.forward.CHUNK", 7)
    for a, b in zip(whole, told(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("only", [None, frozenset({"atac"})])
def test_out_of_fold_is_what_the_fold_member_would_say_of_a_new_row(holed, only):
    """In the inductive form a held-out row is as new to its member as any other row."""
    rows, result = holed
    predictor = result.predictor
    told = out_of_fold(predictor.net, predictor.strategy, rows.data, predictor.members, only=only)
    new = next(all_members(predictor.net, predictor.strategy, rows.data, only=only))
    at = torch.arange(120)
    for head in ("fused", "rna", "atac"):
        torch.testing.assert_close(told.head(head)[0], new.head(head)[rows.folds, at], rtol=1e-4, atol=1e-5)


def test_pools_are_fitted_on_what_a_pattern_can_see(toy):
    """With a modality hidden, a row's neighbours are others, so its unimodal heads are asked again."""
    rows = toy(n=90)
    result = fit(rows, config=FitConfig(max_epochs=3, n_members=0))
    predictor = result.predictor
    raw = out_of_fold(predictor.net, predictor.strategy, rows.data, predictor.members, only=frozenset({"rna"})).unimodal["rna"][0]
    link = predictor.outcome.link(raw.double().numpy())
    pool = predictor.pools[frozenset({"rna"})]
    at = pool.heads.index("rna")
    expected = predictor.outcome.temperature(rows.y, link)
    full = predictor.pools[frozenset({"rna", "atac", "protein"})]
    assert pool.temperatures[at] == pytest.approx(expected)
    assert full.temperatures[full.heads.index("rna")] != pytest.approx(expected)


def test_pair_members_hold_out_two_folds_in_their_graph_too(toy):
    rows, members = toy(n=45), Members(toy(n=45).folds, 1, in_pairs=True)
    graph = member_graph(rows.data, members, GRAPH)
    assert len(graph.inside) == 7 and len(graph.graph_of) == 7
    index, weight = graph.settled()
    trained = members.scored(torch.device("cpu")).bool()
    for member in range(7):
        assert trained[member][index[member]][weight[member] > 0].all()
    assert member_graph(rows.data, members, NetConfig()) is None


def test_a_strategy_with_stages_runs_on_one_graph_after_the_other(toy):
    rows = toy(n=60)
    stages = Stages(rows.data, rows.folds, rows.outcome, GRAPH, replace(ONCE, n_members=1), 0)
    references = stages.make_references()
    assert set(references.scores) == set(rows.data.x)
    assert all(torch.isfinite(t).all() for t in references.targets.values())
    before = stages.graph
    stages.new_net(Members(rows.folds, 1))
    assert before.inside.shape[0] == 6 and stages.graph.inside.shape[0] == 4


def test_a_batch_is_all_rows_and_there_are_fewer_steps_unless_told_otherwise():
    assert schedule_for(GRAPH, FitConfig(), 77).schedule(77) == (77, 300)
    assert schedule_for(GRAPH, FitConfig(max_epochs=9), 77).schedule(77) == (77, 9)
    assert schedule_for(GRAPH, FitConfig(max_steps=40), 77).schedule(77) == (77, 40)
    assert schedule_for(GRAPH, FitConfig(batch_size=10), 77) == FitConfig(batch_size=10)
    assert schedule_for(NetConfig(), FitConfig(), 77) == FitConfig()


def test_one_seed_one_fit(toy):
    one, two = (fit(toy(absent=0.2), config=FitConfig(max_epochs=3, n_members=1)) for _ in range(2))
    assert all(np.array_equal(one.predictions[h], two.predictions[h], equal_nan=True) for h in one.predictions)


@pytest.mark.parametrize(("sizes", "classes"), [({"rna": 5}, 3), ({"rna": 5, "atac": 4}, 3), ({"rna": 5, "atac": 4}, 0)])
def test_one_and_two_modalities_and_either_task(toy, sizes, classes):
    rows = toy(sizes=sizes, classes=classes, absent=0.2)
    result = fit(rows, config=FitConfig(max_epochs=2, n_members=1))
    assert np.isfinite(result.predictions[POOL]).all() and np.isfinite(result.predictor.predict(rows.data)).all()


def hidden(data: Arrays, names) -> Arrays:
    return Arrays(data.x, {m: p & (m not in names) for m, p in data.present.items()}, data.y, data.weight)


def test_unseen_rows_with_a_hidden_modality(holed, toy):
    new, predictor = toy(n=20, seed=5).data, holed[1].predictor
    two = hidden(new, ["atac"])
    junk = Arrays({**two.x, "atac": torch.full_like(two.x["atac"], float("nan"))}, two.present, two.y, two.weight)
    told = predictor.predict(two)
    assert np.isfinite(told).all() and np.array_equal(told, predictor.predict(junk))
    assert not np.allclose(told, predictor.predict(new))
    assert np.isnan(predictor.predict(hidden(new, list(new.x)))).all()


class TestFromRawData:
    """`ob.tl.fit` on simulated counts."""

    NET = ob.NetConfig(width=16, latent=8, graph_neighbours=10)

    def fit(self, mdata, *, form="inductive", epochs=30, **options):
        net = replace(self.NET, graph_form=form)
        options = {"n_folds": 3, "experts": False, "config": ob.FitConfig(max_epochs=epochs, n_members=1), **options}
        return ob.tl.fit(mdata, label_key="cell_type", encoder="graph", net=net, progress=False, device="cpu", **options)

    @pytest.fixture
    def cells(self, simulated):
        missing = {"protein": 0.2}
        return simulated(n_obs=120, n_truth=200, preset="redundant", n_classes=3, missing=missing, random_state=0)

    @pytest.mark.parametrize("form", ["inductive", "transductive"])
    def test_it_beats_chance_and_says_what_it_is(self, cells, form):
        model = self.fit(cells, form=form)
        assert model.heads.loc["fused", "macro_f1_low"] > 1 / 3 and model.heads.loc["pool", "macro_f1"] > 0.5
        assert (model.params["net"]["encoder"], model.params["net"]["graph_form"]) == ("graph", form)

    @pytest.mark.parametrize("form", ["inductive", "transductive"])
    def test_saved_and_read_it_predicts_the_same(self, cells, form, tmp_path):
        train, query = cells[:90].copy(), cells[90:].copy()
        train.obs.loc[train.obs_names[:10], "cell_type"] = np.nan
        model = self.fit(train, form=form, epochs=3)
        again = ob.FittedModel.load(model.save(tmp_path / "model"))
        for modalities in (None, ["rna"], ["protein", "atac"]):
            tables = [ob.tl.predict(m, query.copy(), modalities=modalities) for m in (model, again)]
            pd.testing.assert_frame_equal(*tables)
        pd.testing.assert_frame_equal(*(ob.tl.embed(m, query.copy()) for m in (model, again)))
        assert again.predictor.net.graph.size == (80 if form == "inductive" else 90)

    def test_rows_without_a_label_are_looked_up_in_the_transductive_graph(self, cells):
        cells.obs.loc[cells.obs_names[:20], "cell_type"] = np.nan
        model = self.fit(cells, form="transductive", epochs=3)
        told = cells.obsm["omicsbal_proba_cell_type"].iloc[:20].to_numpy()
        data, _ = model.arrays(cells, device="cpu")
        part, predictor = subset(data, np.arange(20)), model.predictor
        np.testing.assert_allclose(told, np.exp(predictor.predict(part, index=predictor.unlabelled(20))), rtol=1e-4, atol=1e-6)
        assert predictor.unlabelled(20).tolist() == list(range(100, 120))
        assert not np.allclose(told, np.exp(predictor.predict(part))), "as new rows they would find themselves"

    def test_a_killed_fit_goes_on_where_it_was(self, cells, tmp_path):
        whole = self.fit(cells.copy(), epochs=4)

        def stop(done: int, total: int, metrics: object) -> None:
            if done == 2:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("omicsbal.train.checkpoint.EVERY", 0.0)
            patch.setattr(
                "omicsbal.tl._fit.progress_bar", lambda *_, **__: (type("Bar", (), {"close": lambda self: None})(), stop)
            )
            with pytest.raises(KeyboardInterrupt):
                self.fit(cells.copy(), epochs=4, checkpoint=tmp_path / "run")
        resumed = self.fit(cells.copy(), epochs=4, checkpoint=tmp_path / "run")
        one, two = (m.predictor.net.state_dict() for m in (whole, resumed))
        assert all(torch.equal(v, two[name]) for name, v in one.items())

    def test_an_unknown_encoder_is_named(self, cells):
        with pytest.raises(ValueError, match="Did you mean 'graph'"):
            ob.tl.fit(cells, label_key="cell_type", encoder="grap", progress=False)

    def test_too_many_cells_are_refused_before_training(self, cells, monkeypatch):
        monkeypatch.setattr("omicsbal.graph.snf.MOST_ROWS", 100)
        with pytest.raises(ValueError, match="encoder='mlp'"):
            self.fit(cells)
        assert "omicsbal" not in cells.uns
