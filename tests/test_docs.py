"""Every block of Python in the pages for people runs, in order, on small data."""

import re
import warnings
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


def test_the_strategy_in_contributing_does_what_it_says(repository):
    import torch

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


def test_the_way_from_cell_ranger_runs(repository, run_folder, capsys):
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
