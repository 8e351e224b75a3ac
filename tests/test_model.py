"""A model on disk: what comes back, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal._store import sealed
from omicsbal.model import SCHEMA


@pytest.fixture(scope="module")
def both():
    """A model and raw cells that it never saw."""
    mdata = ob.datasets.simulate(n_obs=100, n_truth=200, preset="redundant", n_classes=3, random_state=0)
    train, query = mdata[:80].copy(), mdata[80:].copy()
    config, net = ob.FitConfig(max_epochs=2, n_members=2), ob.NetConfig(width=8, depth=1, latent=4)
    options = {"n_folds": 2, "config": config, "net": net, "device": "cpu", "progress": False}
    return ob.tl.fit(train, label_key="cell_type", **options), query


@pytest.fixture
def folder(both, tmp_path):
    return both[0].save(tmp_path / "model")


def _load(folder):
    return ob.FittedModel.load(folder)


def test_what_is_read_predicts_what_was_saved(both, folder):
    model, query = both
    again = _load(folder)
    for head in model.predictor.head_names:
        a = ob.tl.predict(model, query.copy(), head=head)
        b = ob.tl.predict(again, query.copy(), head=head)
        np.testing.assert_allclose(a["confidence"], b["confidence"], rtol=0, atol=1e-6)
        assert a["prediction"].tolist() == b["prediction"].tolist()
    a, b = query.copy(), query.copy()
    pd.testing.assert_frame_equal(ob.tl.embed(model, a), ob.tl.embed(folder, b))
    np.testing.assert_array_equal(a["rna"].obsm["X_omicsbal"], b["rna"].obsm["X_omicsbal"])


def test_everything_that_is_known_comes_back(both, folder):
    model, again = both[0], _load(folder)
    assert repr(again) == repr(model)
    assert (again.params, again.written_by, again.classes, again.modalities, again.task) == (
        model.params, model.written_by, model.classes, model.modalities, model.task,
    )  # fmt: skip
    assert list(again.tables) == list(model.tables)
    for name, table in model.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, check_dtype=False)
    again_folder = again.save(folder.parent / "second")
    for name in ("weights.safetensors", "recipes.safetensors", "model.json"):
        assert (again_folder / name).read_bytes() == (folder / name).read_bytes()


def test_the_folder_holds_arrays_and_json_alone(folder):
    arrays = ["recipes.safetensors", "training_rows.safetensors", "weights.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == ["model.json", *arrays]
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]  # no draft is left behind
    facts = json.loads((folder / "model.json").read_text())
    assert facts["schema"] == SCHEMA


@pytest.mark.parametrize("name", ["weights.safetensors", "recipes.safetensors", "model.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"`path`: expected .*; found no .*{name}.*\. C"):
        _load(folder)


@pytest.mark.parametrize("name", ["weights.safetensors", "recipes.safetensors"])
@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_one_altered_byte_is_found(folder, name, where):
    data = bytearray((folder / name).read_bytes())
    data[int(where * len(data)) if where > 0 else where] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"`path`: expected files as they were saved; found '{name}' altered\. Copy"):
        _load(folder)


def test_a_truncated_file_is_found(folder):
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"altered"):
        _load(folder)


def test_a_pickle_in_place_of_weights_is_not_run(folder, tmp_path):
    import hashlib

    data = f"cbuiltins\nopen\n(V{tmp_path / 'run'}\nVw\ntR.".encode()  # a pickle that makes a file
    (folder / "weights.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match=r"altered"):
        _load(folder)
    facts = json.loads((folder / "model.json").read_text())
    facts["sha256"]["weights.safetensors"] = hashlib.sha256(data).hexdigest()  # a stranger would see to that
    (folder / "model.json").write_text(json.dumps(sealed(facts)))
    with pytest.raises(ValueError, match=r"`path`: expected .*; found .*weights.safetensors"):
        _load(folder)
    assert not (tmp_path / "run").exists()


def _edit(folder, seal=sealed, **changes):
    """Changes the manifest, as a careful stranger would: with a new seal."""
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(seal(facts | changes)))


def test_a_manifest_edited_by_hand_is_found(folder):
    outcome = json.loads((folder / "model.json").read_text())["outcome"]
    _edit(folder, outcome=outcome)  # nothing but the layout of the file has changed
    _load(folder)
    _edit(folder, seal=dict, outcome=outcome | {"names": outcome["names"][::-1]})
    with pytest.raises(ValueError, match=r"`path`: expected files as they were saved; found 'model.json' altered\. Copy"):
        _load(folder)


def test_a_newer_format_is_refused_with_the_way_out(folder):
    _edit(folder, schema=SCHEMA + 1)
    expected = rf"expected a model of format version {SCHEMA} or older; found version {SCHEMA + 1}. Update omicsbal"
    with pytest.raises(ValueError, match=expected):
        _load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 1}', '{"schema": "x", "sha256": {}}', '{"sha256": {}}'])
def test_a_foreign_manifest_is_refused(folder, text):
    (folder / "model.json").write_text(text)
    with pytest.raises(ValueError, match=r"`path`: expected a folder written by model.save; found "):
        _load(folder)


@pytest.mark.parametrize("kept", [[], ["sources", "label_key"]])
def test_a_manifest_that_only_looks_like_ours_is_refused(folder, kept):
    facts = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(sealed({k: facts[k] for k in ("schema", "sha256", *kept)})))
    with pytest.raises(ValueError, match=r"`path`: expected a folder written by model.save; found "):
        _load(folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "sub/x.safetensors"])
def test_a_manifest_cannot_point_outside_its_folder(folder, name):
    _edit(folder, sha256={name: "0"})
    with pytest.raises(ValueError, match=r"`path`: expected a folder written by model.save; found "):
        _load(folder)


def test_a_strategy_that_is_not_registered_is_named(folder):
    _edit(folder, strategy={"name": "unifrom", "settings": {}})
    with pytest.raises(ValueError, match=r"`strategy`: expected one of .*; found 'unifrom'. Did you mean 'uniform'"):
        _load(folder)


def test_foreign_paths_are_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, found in [("none", "no folder"), ("empty", "no model.json in"), ("file", "no folder")]:
        with pytest.raises(FileNotFoundError, match=f"`path`: expected a folder written by model.save; found {found} .*Check"):
            _load(tmp_path / name)


def test_nothing_is_overwritten_unless_asked_and_ours(both, folder):
    model = both[0]
    before = (folder / "model.json").read_bytes()
    with pytest.raises(FileExistsError, match=r"expected a new path; found .*overwrite=True"):
        model.save(folder)
    assert (folder / "model.json").read_bytes() == before
    (folder / "stale.txt").write_text("of the old model")
    model.save(folder, overwrite=True)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]
    assert not (folder / "stale.txt").exists()
    foreign = folder.parent / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"or an omicsbal model"):
        model.save(foreign, overwrite=True)
    assert (foreign / "thesis.txt").read_text() == "years of work"


def test_a_destination_that_cannot_be_written(both, tmp_path):
    model = both[0]
    with pytest.raises(FileNotFoundError, match=r"expected a path in a folder that exists; found .*Create"):
        model.save(tmp_path / "missing" / "model")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=r"`path`: expected a path"):
        model.save(tmp_path / "file" / "model")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_save_that_fails_half_way_leaves_the_old_model(both, folder, monkeypatch):
    import omicsbal._store as store

    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space"):
        both[0].save(folder, overwrite=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert sorted(p.name for p in folder.parent.iterdir()) == ["model"]


def test_unknown_device(both):
    with pytest.raises(ValueError, match=r"`device`: expected one of .*'cpu'.*; found 'cpuu'. Did you mean 'cpu'"):
        ob.tl.predict(both[0], both[1].copy(), device="cpuu")
