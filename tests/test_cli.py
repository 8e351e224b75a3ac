"""The command line: what it writes, what it says, what it refuses, and with which exit code."""

import re
import shlex
import subprocess
import sys
import warnings
from functools import partial

import mudata
import numpy as np
import pandas as pd
import pytest

import omicsbal as ob
from omicsbal import cli, demo, files

COMMANDS = ["demo", "describe", "fit", "predict", "compare", "report"]
SHORT = ["--epochs", "2", "--folds", "2", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def data(folder, simulated):
    """A file of 60 simulated cells to fit, and one of 40 to predict."""
    for name, n_obs in (("data", 60), ("query", 40)):
        simulated(n_obs=n_obs, n_classes=3, modalities=["rna", "protein"], n_truth=100, random_state=0).write_h5mu(f"{name}.h5mu")
    return folder


@pytest.fixture
def no_experts(monkeypatch):
    """Fits without linear experts, which cost most of the time here and are tested elsewhere."""
    monkeypatch.setattr("omicsbal.tl.fit", partial(ob.tl.fit, experts=False))


@pytest.fixture
def never(monkeypatch):
    """Training and predicting are faults."""

    def _fail(*_, **__):
        pytest.fail("began to compute")

    monkeypatch.setattr("omicsbal.tl.fit", _fail)
    monkeypatch.setattr("omicsbal.tl.predict", _fail)


def load(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mudata.read_h5mu(path)


def fit(*more, data="data.h5mu", label="cell_type"):
    return cli.main(["fit", str(data), "--label", label, *SHORT, *more])


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS)])
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    examples = re.findall(r"^  (omicsbal (?:demo|describe|fit|predict|compare|report).*)$", text, re.MULTILINE)
    assert examples
    for line in examples:  # what stands after a wide gap explains
        cli.build_parser().parse_args(shlex.split(re.split(r"\s{3,}", line)[0])[1:])


def test_version_and_usage(capsys):
    for argv, code in ((["--version"], 0), ([], 2), (["fit"], 2), (["fit", "a", "--label", "b", "--folds", "x"], 2), (["no"], 2)):
        with pytest.raises(SystemExit) as stop:
            cli.main(argv)
        assert stop.value.code == code
    assert ob.__version__ in capsys.readouterr().out


def test_installed_as_a_program(data):
    done = subprocess.run([sys.executable, "-m", "omicsbal.cli", "describe", "none.h5mu"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "none.h5mu" in done.stderr and done.stdout == ""


def test_compare(data, capsys):
    argv = ["compare", "data.h5mu", "--label", "cell_type", "--systems", "lr:pool,lr:rna,lr:protein", "--folds", "2"]
    assert cli.main([*argv, "--out", "s.csv", "--figure", "s.png", "--checkpoint", "s.jsonl"]) == 0
    told = capsys.readouterr().out
    assert "macro_f1, 2 folds; gain: lr:pool against each" in told and "best single modality with hindsight" in told
    assert len(pd.read_csv("s.csv")) == 6 and (data / "s.png").stat().st_size > 5000
    assert (data / "s.jsonl").read_text().count("\n") == 7
    assert cli.main([*argv, "--out", "s.csv"]) == 2 and "which exists" in capsys.readouterr().err
    for wrong in (["--systems", "lr:atac"], ["--jobs", "0"], ["--systems", "lr:rna", "--figure", "t.png"], ["--folds", "1"]):
        assert cli.main([*argv, *wrong]) == 2
    assert capsys.readouterr().err.count("\n") == 4


def test_describe(data, capsys):
    assert cli.main(["describe", "data.h5mu", "--label", "cell_type", "--recipe", "protein=dense"]) == 0
    text = capsys.readouterr().out
    assert "60 cells, 2 modalities" in text
    assert "protein: dense" in text and "rna: rna" in text
    assert sorted(p.name for p in data.iterdir()) == ["data.h5mu", "query.h5mu"]


@pytest.mark.slow
def test_fit_then_predict(data, capsys):
    assert fit("--out", "fitted.h5mu", "--model", "model", "--figures", "figures") == 0
    fitted, model = load("fitted.h5mu"), ob.FittedModel.load("model")
    assert fitted.obs["omicsbal_cell_type"].notna().all()
    assert model.params["config"]["max_epochs"] == 2 and model.params["n_folds"] == 2
    assert {p.stem for p in (data / "figures").iterdir()} == set(demo.FIGURES)
    assert all(p.stat().st_size > 5000 for p in (data / "figures").iterdir())
    assert capsys.readouterr().out == ""  # --quiet

    assert cli.main(["predict", "model", "query.h5mu", "--out", "p.h5mu", "--table", "p.csv", "--modalities", "rna"]) == 0
    said = capsys.readouterr().out
    query = load("query.h5mu")
    expected = ob.tl.predict(model, query, modalities=["rna"])
    table = pd.read_csv("p.csv", index_col="cell")
    assert table["prediction"].tolist() == expected["prediction"].astype(str).tolist()
    np.testing.assert_allclose(table["confidence"], expected["confidence"], atol=1e-6)
    assert load("p.h5mu").obs["omicsbal_cell_type"].astype(str).tolist() == table["prediction"].tolist()
    accuracy = np.mean(table["prediction"].to_numpy() == query.obs["cell_type"].astype(str).to_numpy())
    assert f"accuracy {accuracy:.3f}" in said
    assert "40 of 40 cells predicted" in said
    assert not [p for p in data.iterdir() if p.name.startswith(".")]  # no draft is left


def test_unknown_classes_and_missing_labels_are_not_scored(data, no_experts, capsys):
    assert fit("--model", "model") == 0
    query = load("query.h5mu")
    label = query.obs["cell_type"].astype(str).to_numpy(dtype=object)
    label[:10], label[10:20] = "a type of its own", None
    query.obs["cell_type"] = pd.Categorical(label)
    query.write_h5mu("other.h5mu")
    assert cli.main(["predict", "model", "other.h5mu", "--table", "p.csv"]) == 0
    assert "20 of them have a known 'cell_type'" in capsys.readouterr().out
    del query.obs["cell_type"]
    query.write_h5mu("bare.h5mu")
    assert cli.main(["predict", "model", "bare.h5mu", "--table", "bare.csv"]) == 0
    assert "known" not in capsys.readouterr().out


def test_rows_that_were_trained_on_are_not_scored(data, no_experts, capsys):
    assert fit("--model", "model") == 0
    assert cli.main(["predict", "model", "data.h5mu", "--table", "p.csv"]) == 0
    said, noted = capsys.readouterr()
    assert "0 of them have a known 'cell_type' and were not trained on\n" in said and "accuracy" not in said
    assert re.search(r"note: .* found (\d+) of \1 that it was trained on\. Predictions of these are in-sample", noted)


def test_regression_is_scored_in_the_unit_of_the_label(data, no_experts, monkeypatch, capsys):
    for name in ("data.h5mu", "query.h5mu"):
        mdata = load(name)
        mdata.obs["age"] = np.random.default_rng(0).normal(50, 10, mdata.n_obs)
        mdata.write_h5mu(name)
    monkeypatch.setattr(demo, "FIGURES", ("scores", "confusion"))  # embeddings take seconds
    assert fit("--model", "model", "--figures", "figures", label="age") == 0
    assert (data / "figures" / "scores.png").exists()
    assert not (data / "figures" / "confusion.png").exists()
    assert cli.main(["predict", "model", "query.h5mu", "--table", "p.csv"]) == 0
    error = pd.read_csv("p.csv")["prediction"].to_numpy() - load("query.h5mu").obs["age"].to_numpy()
    assert f"rmse {np.sqrt(np.mean(error**2)):.3f}" in capsys.readouterr().out


def test_options_reach_the_fit(data, no_experts):
    mdata = load("data.h5mu")
    mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
    mdata["protein"].obsm["X_pca"] = np.random.default_rng(0).normal(size=(60, 4))
    mdata.write_h5mu("more.h5mu")
    options = ["--layer", "rna=counts", "--use-rep", "protein=X_pca", "--recipe", "protein=dense", "--group", "donor"]
    options += ["--strategy", "joint", "--seed", "7", "--key-added", "mine", "--modalities", "protein,rna"]
    assert fit("--model", "m", "--out", "o.h5mu", "--checkpoint", "c.ckpt", *options, data="more.h5mu") == 0
    model = ob.FittedModel.load("m")
    assert model.modalities == ["protein", "rna"]
    assert model.sources["rna"].layer == "counts" and model.sources["protein"].use_rep == "X_pca"
    assert model.sources["protein"].recipe.name == "dense"
    assert [model.params[k] for k in ("strategy", "group_key", "random_state")] == ["joint", "donor", 7]
    assert "mine_cell_type" in load("o.h5mu").obs and (data / "c.ckpt").exists()


def test_a_fit_with_teachers_on_a_graph(data, no_experts):
    options = ["--strategy", "mutual", "--encoder", "graph", "--folds", "3"]
    assert fit("--model", "m", "--figures", "drawn", *options) == 0
    model = ob.FittedModel.load("m")
    assert model.params["strategy"] == "mutual" and model.params["net"]["encoder"] == "graph"
    assert (data / "drawn" / "kd_gate.png").exists()


def test_an_h5ad_is_one_modality(data, no_experts, capsys):
    mdata = load("data.h5mu")
    adata = mdata["rna"]
    adata.obs["cell_type"] = mdata.obs["cell_type"]
    adata.write_h5ad("rna.h5ad")
    assert fit("--model", "model", "--out", "o.h5mu", data="rna.h5ad") == 0
    assert "note: rna.h5ad is taken as the one modality 'rna'" in capsys.readouterr().err
    assert "omicsbal_cell_type" in load("o.h5mu").obs
    assert cli.main(["predict", "model", "rna.h5ad", "--table", "p.csv"]) == 0


BAD_DESTINATIONS = [
    (["--out", "nowhere/o.h5mu"], "Create"),
    (["--out", "data.h5mu/o.h5mu"], "--out"),
    (["--out", "o.txt"], "o.h5mu"),
    (["--out", "data.h5mu"], "--overwrite"),
    (["--model", "nowhere/m"], "Create"),
    (["--model", "used"], "in use"),
    (["--model", "used", "--overwrite"], "in use"),
    (["--model", "data.h5mu", "--overwrite"], "in use"),
    (["--model", "m", "--figures", "used"], "in use"),
    ([], "--model"),
]


@pytest.mark.parametrize(("options", "told"), BAD_DESTINATIONS)
def test_a_bad_destination_is_found_before_training(data, never, capsys, options, told):
    (data / "used").mkdir()
    (data / "used" / "thesis.tex").write_text("precious")
    assert fit(*options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("omicsbal: `") and told in error
    assert (data / "used" / "thesis.tex").read_text() == "precious"
    assert load("data.h5mu").n_obs == 60


def test_overwrite_replaces_our_own(data, no_experts):
    for more in ([], ["--overwrite"]):
        assert fit("--out", "o.h5mu", "--model", "m", *more) == 0
    assert fit("--model", "m") == 2
    assert cli.main(["predict", "m", "query.h5mu", "--table", "p.csv"]) == 0
    assert cli.main(["predict", "m", "query.h5mu", "--table", "p.csv"]) == 2
    assert cli.main(["predict", "m", "query.h5mu", "--table", "p.csv", "--overwrite"]) == 0


def test_a_file_is_written_whole_or_not_at_all(data, no_experts, monkeypatch):
    (data / "o.h5mu").write_bytes(b"old")

    def _half(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(mudata.MuData, "write_h5mu", _half)
    assert fit("--out", "o.h5mu", "--overwrite") == 1
    assert (data / "o.h5mu").read_bytes() == b"old"
    assert sorted(p.name for p in data.iterdir()) == ["data.h5mu", "o.h5mu", "query.h5mu"]


@pytest.fixture
def bad_files(data):
    import h5py

    whole = (data / "data.h5mu").read_bytes()
    (data / "short.h5mu").write_bytes(whole[: len(whole) // 2])
    (data / "text.h5mu").write_text("cell,gene\n")
    (data / "empty.h5mu").write_bytes(b"")
    (data / "text.h5ad").write_text("cell,gene\n")
    (data / "table.csv").write_text("cell,gene\n")
    (data / "folder.h5mu").mkdir()
    with h5py.File(data / "foreign.h5mu", "w") as file:
        file["x"] = [1]


@pytest.mark.parametrize(
    "name",
    ["short.h5mu", "text.h5mu", "empty.h5mu", "foreign.h5mu", "text.h5ad", "table.csv", "folder.h5mu", "none.h5mu"],
)
def test_a_bad_file_is_one_line(bad_files, never, capsys, name):
    for argv in (["describe", name], ["fit", name, "--label", "x", "--model", "m"]):
        assert cli.main(argv) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and name in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--label", "cel_type"], "Did you mean 'cell_type'?"),
        (["--strategy", "unifrom"], "'uniform'"),
        (["--modalities", "rna,prot"], "'protein'"),
        (["--recipe", "none"], "Choose from"),
        (["--recipe", "rna=rma"], "Did you mean"),
        (["--layer", "rna=", "--layer", "x"], "Write rna=VALUE"),
        (["--device", "abacus"], "device"),
        (["--folds", "1"], "n_folds"),
        (["--epochs", "0"], "max_epochs"),
        (["--checkpoint", "nowhere/c"], "Create"),
    ],
)
def test_bad_input_is_two(data, capsys, options, told):
    base = ["fit", "data.h5mu", "--label", "cell_type", "--model", "m", "--quiet"]
    assert cli.main([*base, *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and told in error
    assert not (data / "m").exists()


def test_predict_refuses(data, no_experts, capsys):
    assert fit("--model", "m", "--out", "o.h5mu") == 0
    for argv in (["none", "query.h5mu"], ["m", "o.h5mu"], ["m", "query.h5mu", "--head", "fussed"], ["data.h5mu", "query.h5mu"]):
        assert cli.main(["predict", *argv, "--table", "p.csv"]) == 2, argv
        assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["predict", "m", "query.h5mu"]) == 2
    assert not (data / "p.csv").exists()


def test_surprises_are_one_and_debug_shows_them(data, monkeypatch, capsys):
    def _break(*_, **__):
        raise ZeroDivisionError("a\nb")

    monkeypatch.setattr("omicsbal.tl.fit", _break)
    assert fit("--model", "m") == 1
    assert capsys.readouterr().err == "omicsbal: unexpected ZeroDivisionError: a b (--debug shows where)\n"
    with pytest.raises(ZeroDivisionError):
        fit("--model", "m", "--debug")
    monkeypatch.setattr("omicsbal.tl.fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert fit("--model", "m") == 130


@pytest.fixture
def short_fits(monkeypatch):
    monkeypatch.setattr("omicsbal.tl.fit", partial(ob.tl.fit, config=ob.FitConfig(max_epochs=2), n_folds=2))
    monkeypatch.setattr(demo, "FIGURES", ("scores", "confusion"))


@pytest.mark.slow
def test_demo_says_what_it_wrote(folder, short_fits, capsys):
    assert cli.main(["demo", "--n-obs", "150"]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    out = folder / "demo_output"
    for path in re.findall(r"^  (demo_output/\S+)", said, re.MULTILINE):
        assert (folder / path).exists()
    assert {p.name for p in out.iterdir()} == set(re.findall(r"^  demo_output/(\S+)", said, re.MULTILINE))
    assert {p.stem for p in (out / "figures").iterdir()} == set(demo.FIGURES)

    heads, fitted = pd.read_csv(out / "heads.csv").set_index("head"), load(out / "demo.h5mu")
    kept = fitted.uns["omicsbal"]["heads"].set_index("head")["accuracy"]
    np.testing.assert_allclose(heads["uniform"], kept[heads.index], atol=1e-12)
    assert heads.loc[["rna", "atac", "protein"], "joint"].isna().all()
    assert heads.loc["fused"].notna().all()
    assert f"{heads.loc['fused', 'joint']:>10.3f}" in said

    query, given = load(out / "predicted.h5mu"), pd.read_csv(out / "subsets.csv").set_index("given")
    right = query.obs["cell_type"].astype(str).to_numpy()
    del query.uns["omicsbal"]
    found = ob.tl.predict(out / "model", query, head="fused", modalities=["atac"])["prediction"].astype(str).to_numpy()
    assert given.loc["atac", "uniform"] == pytest.approx(np.mean(found == right))
    assert set(query.obs_names).isdisjoint(fitted.obs_names)
    assert len(given) == 7
    truth = fitted.uns["truth"]["subsets"].set_index("subset")["bayes_accuracy"]
    assert given.loc["rna + atac", "ceiling"] == pytest.approx(truth["rna+atac"])
    assert heads.loc["lr:protein", "ceiling"] == pytest.approx(truth["protein"])

    assert files.free_folder(str(out), "--out", overwrite=True, mark=demo.MARK) == out  # its own folder is replaced
    demo.save(demo.Demo(fitted, query, ob.FittedModel.load(out / "model"), heads, given), out)
    capsys.readouterr()
    (folder / "used").mkdir()
    (folder / "used" / "thesis.tex").write_text("precious")
    assert cli.main(["demo", "--out", "used"]) == 2
    assert cli.main(["demo", "--out", "new", "--n-obs", "10"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_the_verdict_follows_the_numbers():
    table = pd.DataFrame({"given": ["rna", "atac"], "uniform": [0.5, 0.3], "joint": [0.5, 0.2]})
    table["gain"], table["ceiling"] = table["uniform"] - table["joint"], 0.9
    clear, none = (demo.Demo(None, None, None, None, table.assign(error=e)) for e in (0.04, 0.06))
    assert "beyond two standard errors: atac (+0.100)" in demo._verdict(clear)
    assert "none is beyond two standard errors" in demo._verdict(none)


REAL = {
    "cite_pbmc10k": ("cell_type", 250),
    "snare_mouse_cortex": ("cell_type", 250),
    "tcga_brca_incomplete": ("pam50", 250),
    "cite_pbmc_mosaic": ("cell_type", 400),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_on_real_data(folder, read, no_experts, capsys, name):
    label, n = REAL[name]
    mdata = read(name)
    rows = np.sort(np.random.default_rng(0).permutation(mdata.n_obs)[: n + 100])
    held = np.random.default_rng(1).permutation(len(rows)) < 100
    mdata[rows[~held]].copy().write_h5mu("train.h5mu")
    mdata[rows[held]].copy().write_h5mu("query.h5mu")
    assert cli.main(["describe", "train.h5mu", "--label", label]) == 0
    assert fit("--out", "fitted.h5mu", "--model", "model", data="train.h5mu", label=label) == 0
    fitted = load("fitted.h5mu")
    assert fitted.n_obs == n
    assert fitted.obs[f"omicsbal_{label}"].notna().all()  # every cell here has a modality
    proba = np.asarray(fitted.obsm[f"omicsbal_proba_{label}"])
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)
    capsys.readouterr()
    assert cli.main(["predict", "model", "query.h5mu", "--out", "predicted.h5mu", "--table", "p.csv"]) == 0
    accuracy = float(re.search(r" accuracy ([\d.]+)", capsys.readouterr().out).group(1))
    common = load("query.h5mu").obs[label].astype(str).value_counts(normalize=True).iloc[0]
    assert accuracy > common, "no better than the most frequent class"
    assert load("predicted.h5mu").obs[f"omicsbal_{label}"].notna().all()
