"""Weighted neighbours: what is asked of muon, and how its edges become votes."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from omicsbal.diagnostics.weighted_neighbours import NEIGHBOURS, neighbour_votes, votes_of, write_graph


def test_votes_by_hand():
    """Training rows 0 to 3 of classes 0, 0, 0, 1; test row 4 has two neighbours among them, test row 5 none."""
    rows, columns = np.array([4, 4, 4, 5, 0]), np.array([0, 3, 5, 4, 4])
    votes = votes_of(rows, columns, np.array([0, 0, 0, 1]), 2, 2)
    np.testing.assert_allclose(votes, [[1.75 / 3, 1.25 / 3], [0.75, 0.25]])


@pytest.mark.parametrize(("n", "wide", "few"), [(15, 14, 14), (60, 59, NEIGHBOURS), (300, 200, NEIGHBOURS)])
def test_muon_is_never_asked_for_as_many_neighbours_as_there_are_rows(tmp_path, monkeypatch, n, wide, few):
    asked = {}

    def neighbors(mdata, **options):
        asked.update(options)
        mdata.obsp["distances"] = sp.eye(mdata.n_obs, format="csr")

    pp = SimpleNamespace(l2norm=lambda adata: None, neighbors=neighbors)
    monkeypatch.setitem(sys.modules, "muon", SimpleNamespace(pp=pp))
    monkeypatch.setitem(sys.modules, "scanpy", SimpleNamespace(pp=SimpleNamespace(neighbors=lambda adata, **_: None)))
    np.savez(tmp_path / "blocks.npz", m0=np.ones((n, 3)), m1=np.ones((n, 2)))
    write_graph(tmp_path, 0)
    assert (asked["n_multineighbors"], asked["n_neighbors"], asked["n_bandwidth_neighbors"]) == (wide, few, few)
    with np.load(tmp_path / "edges.npz") as edges:
        assert len(edges["rows"]) == n


@pytest.mark.slow
def test_by_muon_on_few_cells():
    """60 cells, fewer than the 200 neighbours that muon looks for by default, where it would abort the interpreter."""
    rng = np.random.default_rng(0)
    y, new = np.arange(40) % 2, np.arange(20) % 2
    train, test = ({m: rng.normal(size=(len(v), 5)) + 2 * v[:, None] - 1 for m in "ab"} for v in (y, new))
    votes = neighbour_votes(train, test, y, 2)
    np.testing.assert_allclose(votes.sum(1), 1)
    assert (votes.argmax(1) == new).mean() > 0.9
