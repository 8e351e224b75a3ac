"""Every block of Python in the pages for people runs, in order, on small data."""

import re
import warnings
from functools import partial
from types import SimpleNamespace

import anndata
import pandas as pd
import pytest

BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, without the indentation of the list they stand in."""
    return [re.sub(f"^{indent}", "", code, flags=re.MULTILINE) for indent, code in BLOCK.findall(page)]


def run(code: str, name: str, space: dict) -> None:
    exec(compile(code, name, "exec"), space)


def test_blocks_are_found_and_can_fail():
    page = "1. a\n\n   ```python\n   x = 1\n   ```\n\n```bash\nmake\n```\n\n```python\nif x:\n    raise KeyError(x)\n```\n"
    found = blocks(page)
    assert found == ["x = 1\n", "if x:\n    raise KeyError(x)\n"]
    space = {}
    run(found[0], "page", space)
    with pytest.raises(KeyError):
        run(found[1], "page", space)


def test_the_strategy_in_contributing_does_what_it_says(repository, cells, quick_fits):
    import torch

    import omicsbal as ob

    (code,) = blocks((repository / "CONTRIBUTING.md").read_text())
    space = {"__name__": "contributing"}
    run(code, "CONTRIBUTING.md", space)

    seen = SimpleNamespace(unimodal={"rna": None, "atac": None}, signals={})  # serves as outputs and as state
    losses = {"fused": torch.tensor([9.0, 9.0]), "rna": torch.tensor([1.0, 2.0]), "atac": torch.tensor([3.0, 2.0])}
    weights = space["Lagging"]().weights(seen, losses, seen, None)
    assert {m: w.tolist() for m, w in weights.items()} == {"rna": [0.5, 1.0], "atac": [1.5, 1.0]}
    assert seen.signals == {"weight:rna": 0.75, "weight:atac": 1.25}
    even = space["Lagging"](power=0).weights(seen, losses, seen, None)
    assert all((w == 1).all() for w in even.values())

    model = ob.tl.fit(cells, label_key="cell_type", strategy=space["Lagging"](), experts=False)
    assert "signal:weight:rna" in model.history


@pytest.fixture
def quick_fits(monkeypatch):
    """Two epochs and two folds for whatever a page fits, and a report of what is there."""
    import omicsbal as ob

    monkeypatch.setattr("omicsbal.tl.fit", partial(ob.tl.fit, config=ob.FitConfig(max_epochs=2), n_folds=2, progress=False))
    monkeypatch.setattr(ob, "report", partial(ob.report, compute=False))


@pytest.fixture
def run_folder(tmp_path, monkeypatch, simulated, write_10x):
    """What Cell Ranger leaves behind, and a table of labels, in the current folder."""
    mdata = simulated(n_obs=150, n_truth=200, modalities=["rna", "protein"], random_state=0)
    kinds = {"rna": "Gene Expression", "protein": "Antibody Capture"}
    for name, kind in kinds.items():
        mdata[name].var["feature_types"] = kind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tenx = anndata.concat([mdata["rna"], mdata["protein"]], axis="var")
    tenx.var["feature_types"] = [kinds[m] for m in kinds for _ in range(mdata[m].n_vars)]
    write_10x(tmp_path / "filtered_feature_bc_matrix.h5", tenx)
    labels = pd.DataFrame({"barcode": mdata.obs_names, "cell_type": mdata.obs["cell_type"].astype(str).to_numpy()})
    labels[5:].to_csv(tmp_path / "labels.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_way_from_cell_ranger_runs(repository, run_folder, quick_fits, capsys):
    found = blocks((repository / "docs" / "ten_x.md").read_text())
    assert len(found) == 4
    space = {}
    for code in found:
        run(code, "ten_x.md", space)
    mdata = space["mdata"]
    assert list(mdata.mod) == ["rna", "protein"]
    assert mdata.obs["cell_type"].isna().sum() == 5
    assert "omicsbal_cell_type" in mdata.obs
    assert "protein" in capsys.readouterr().out


@pytest.mark.slow
def test_the_readme_runs(repository, tmp_path, monkeypatch, quick_fits, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks((repository / "README.md").read_text())
    space = {}
    run(code, "README.md", space)
    said = capsys.readouterr().out
    assert "400 cells, 3 modalities" in said and "FittedModel of 'cell_type'" in said
    assert (tmp_path / "model" / "model.json").exists()
    assert "Who matters?" in (tmp_path / "report.html").read_text()
    assert space["query"].obs["omicsbal_cell_type"].notna().all()


def test_the_pages_link_to_files_that_exist(repository):
    for page in [*repository.glob("*.md"), *(repository / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_commands_of_the_readme_parse(repository):
    from omicsbal.cli import build_parser

    lines = re.findall(r"^omicsbal (.*)$", (repository / "README.md").read_text(), re.MULTILINE)
    assert len(lines) == 6
    for line in lines:
        build_parser().parse_args(line.split())


def test_contributing_names_the_hooks_there_are(repository):
    from omicsbal.balance import Strategy

    page = (repository / "CONTRIBUTING.md").read_text()
    listed = re.search(r"_base.py`: (.*?`finish`)\.", page, re.DOTALL).group(1)
    no_hooks = {"settings", "heads", "check_task"} | {n for n, v in vars(Strategy).items() if not callable(v)}  # flags and facts
    hooks = {name for name in vars(Strategy) if not name.startswith("_")} - no_hooks
    assert set(re.findall(r"`(\w+)`", listed)) == hooks


def section(page: str, title: str) -> dict[str, str]:
    """Rows of the table under a heading: what stands in the first cell, without its backquotes, and the rest."""
    (part,) = [p for p in page.split("\n## ") if p.startswith(title)]
    rows = [line.strip("| ").split(" | ", 1) for line in part.splitlines() if line.startswith("| `")]
    return {name.strip("`"): rest for name, rest in rows}


def columns_told(text: str, scores: list[str], heads: list[str]) -> set[str]:
    """Columns that a row of the table of slots promises, with its patterns filled in."""
    names = set(re.findall(r"`([^`]+)`", text))
    for name in [n for n in names if "<score>" in n]:
        names |= {name.replace("<score>", s).replace("<head>", h) for s in scores for h in heads}
    names |= {f"loss:{h}" for h in heads if any("<term>" in n for n in names)}
    return names | set(scores if "each score" in text else [])


def test_the_page_of_slots_agrees_with_keys_and_with_a_fit(repository, simulated):
    import omicsbal as ob
    from omicsbal import _keys

    page = (repository / "docs" / "slots.md").read_text()
    entries, places = section(page, 'In `uns["omicsbal"]`, after a fit'), section(page, "On the MuData")
    others = {_keys.COMPARE_KEY, _keys.TUNE_KEY}
    assert {f'In `uns["{key}"]`' for key in others} <= set(re.findall(r"^## (In `uns.*?`), after", page, re.MULTILINE))
    constants = {v for k, v in vars(_keys).items() if k.isupper() and isinstance(v, str)} - {_keys.KEY, *others}
    taught = section(page, 'In `uns["omicsbal"]`, with teachers')
    titles = re.findall(r"^## (In `uns.*`, after `\w+`)$", page, re.MULTILINE)
    diagnosed = {name: told for title in titles for name, told in section(page, title).items()}
    assert {*entries, *taught, *diagnosed} == constants - {_keys.COVERAGE}  # that one is written by predict alone
    keys = _keys.Keys("omicsbal", "<label>")
    named = {"obs": [keys.prediction, keys.confidence], "obsm": [keys.proba, keys.interval, keys.embedding]}
    named["mod[m].obsm"], named["uns"] = [keys.embedding], ["omicsbal"]
    assert set(places) == {f'{where}["{name}"]' for where, names in named.items() for name in names}

    mdata = simulated(n_obs=60, n_classes=3, modalities=["rna", "protein"], n_truth=100, random_state=0)
    ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), n_folds=2, progress=False)
    held = mdata.uns["omicsbal"]
    assert set(held) == set(entries)
    scores, heads = ["macro_f1", "accuracy", "balanced_accuracy", "log_loss", "ece"], ["fused", "rna", "protein"]
    for name, value in held.items():
        told = entries[name]
        assert told.startswith("DataFrame") == isinstance(value, pd.DataFrame), name
        if isinstance(value, pd.DataFrame):
            assert set(value.columns) <= columns_told(told, scores, heads), name
        if told.startswith("array (n,)"):
            assert value.shape == (mdata.n_obs,)
    kinds = set(held["heads"]["kind"])
    assert kinds <= set(re.findall(r"`(\w+)`", entries["heads"])) and len(kinds) == 4

    staged = ob.balance.Mutual(kd="first")
    ob.tl.fit(mdata, label_key="cell_type", strategy=staged, config=ob.FitConfig(max_epochs=2), n_folds=3, progress=False)
    assert set(mdata.uns["omicsbal"]) == set(entries) | set(taught)
    for name, told in taught.items():
        assert set(mdata.uns["omicsbal"][name].columns) <= columns_told(told, scores, heads), name
    assert set(mdata.uns["omicsbal"]["history"]["stage"]) == {"reference", "distil", "joint"}
    mdata = simulated(n_obs=60, n_classes=3, modalities=["rna", "protein"], n_truth=100, random_state=0)
    ob.tl.kd_gate(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), n_folds=3, progress=False)
    gate_told = page.split("after `kd_gate` alone")[1].split("as above")[0]
    assert set(mdata.uns["omicsbal"]) == set(re.findall(r"`(\w+)`", gate_told))

    query = simulated(n_obs=60, n_classes=3, modalities=["rna", "protein"], n_truth=100, random_state=1)
    model_told = page.split("after `predict` on a query")[1].split("as above")[0]
    model = ob.tl.fit(mdata.copy(), label_key="cell_type", config=ob.FitConfig(max_epochs=1), n_folds=2, progress=False)
    ob.tl.predict(model, query)
    assert set(query.uns["omicsbal"]) == set(re.findall(r"`(\w+)`", model_told)) | {"coverage"}


def test_the_page_of_slots_agrees_with_modality_snr(repository, simulated):
    import omicsbal as ob

    page = (repository / "docs" / "slots.md").read_text()
    (told,) = section(page, 'In `uns["omicsbal"]`, after `modality_snr`').values()
    mdata = simulated(n_obs=60, n_classes=3, modalities=["rna", "protein"], n_truth=100, random_state=0)
    table = ob.tl.modality_snr(mdata, label_key="cell_type", progress=False)
    assert {*table.columns, *table["method"], *table["measure"]} == columns_told(told, [], []) - {"group_key"}
