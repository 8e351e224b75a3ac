import builtins
import functools
import hashlib
import http.server
import threading
import warnings

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from omicsbal._validate import OmicsbalWarning
from omicsbal.datasets import registry

TABLE = registry.available()
STORED = TABLE.loc[TABLE["url"] == "", "name"].tolist()


def entry(**changes):
    facts = dict.fromkeys(TABLE.columns, "") | {
        "name": "small",
        "source": ["a repository"],
        "citation": ["nobody"],
        "licence": "CC0",
    }
    return facts | changes


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a server on this machine shows it."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """A machine with no data set and an empty cache; returns a function that makes `small` the only entry."""
    monkeypatch.delenv("OMICSBAL_DATA", raising=False)
    monkeypatch.setattr(registry, "_folders", list)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return lambda **facts: monkeypatch.setattr(registry, "_registry", lambda: {"small": entry(**facts)})


def write_small(path, simulated):
    """A simulated MuData on disk, and its checksum."""
    simulated(n_obs=60, n_truth=200, random_state=0).write_h5mu(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_entry_says_all_that_a_user_must_know():
    assert TABLE["name"].is_unique and len(TABLE) == 14 and len(STORED) == 12
    for column in ("title", "modalities", "licence", "citation", "source", "caveat"):
        assert (TABLE[column].str.len() > 5).all(), column
    assert TABLE["rows"].gt(0).all() and TABLE["size_mb"].gt(0).all()
    known = TABLE["sha256"].str.fullmatch("[0-9a-f]{64}")
    assert known[TABLE["name"].isin(STORED)].all()
    assert TABLE.loc[~known, "sha256"].eq(registry.UNVERIFIED).all()
    assert not TABLE.set_index("name").loc["rosmap_mogonet", "redistributable"]


@pytest.mark.parametrize("name", STORED)
def test_the_table_tells_the_truth_about_the_files(name, data_dir):
    facts = TABLE.set_index("name").loc[name]
    mdata = registry.load(name, path=data_dir)  # the checksum is compared here
    assert ", ".join(f"{m} {a.n_obs} x {a.n_vars}" for m, a in mdata.mod.items()) == facts["modalities"]
    assert mdata.n_obs == facts["rows"]
    assert mdata.obs[facts["label_key"]].nunique() > 1
    assert (data_dir / f"{name}.h5mu").stat().st_size / 1e6 == pytest.approx(facts["size_mb"], abs=0.006)


def test_the_environment_variable_is_looked_at_first(monkeypatch, tmp_path, data_dir):
    monkeypatch.setenv("OMICSBAL_DATA", str(tmp_path))
    assert registry._folders()[0] == tmp_path
    (tmp_path / "cptac_coad.h5mu").write_bytes(b"not it")
    with pytest.raises(ValueError, match="SHA-256"):
        registry.load("cptac_coad")
    monkeypatch.setenv("OMICSBAL_DATA", str(data_dir))
    assert registry.load("cptac_coad").n_obs == 96


def test_unknown_names_get_the_nearest():
    with pytest.raises(KeyError, match="Did you mean 'snare_mouse_cortex'"):
        registry.load("snare_mouse_cortx")


def test_a_file_without_address_is_explained(alone, tmp_path):
    alone(sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match=r"no public address.*a repository.*CC0.*OMICSBAL_DATA"):
        registry.load("small")
    with pytest.raises(FileNotFoundError, match=r"`path`: expected a file, or a folder with small\.h5mu"):
        registry.load("small", path=tmp_path)


def test_download_is_checked_and_cached(alone, served, simulated, tmp_path):
    folder, address = served
    sha256 = write_small(folder / "any.h5mu", simulated)
    alone(sha256=sha256, url=f"{address}/any.h5mu")
    assert registry.load("small").n_obs == 60
    (folder / "any.h5mu").unlink()  # from here on only the cache can serve it
    assert registry.load("small").n_obs == 60
    assert [p.name for p in (tmp_path / "cache" / "omicsbal").iterdir()] == ["small.h5mu"]


def test_a_download_with_another_checksum_is_refused(alone, served, simulated):
    folder, address = served
    write_small(folder / "any.h5mu", simulated)
    alone(sha256="0" * 64, url=f"{address}/any.h5mu")
    with pytest.raises(ValueError, match="SHA256 hash of downloaded file"):
        registry.load("small")


def test_10x_files_are_read_as_modalities_and_called_unverified(alone, served, write_10x):
    folder, address = served
    counts = np.random.default_rng(0).poisson(1.0, (30, 7))
    features = pd.DataFrame(index=["GENE1", "GENE2", "GENE2", "GENE4", "GENE5", "CD3", "CD4"])  # two genes of one symbol
    features["feature_types"] = ["Gene Expression"] * 5 + ["Antibody Capture"] * 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Variable names are not unique")
        tenx = AnnData(counts, obs=pd.DataFrame(index=[f"CELL{i}-1" for i in range(30)]), var=features)
    write_10x(folder / "any.h5", tenx)
    alone(url=f"{address}/any.h5")
    with pytest.warns(OmicsbalWarning, match=r"could not be verified"):
        mdata = registry.load("small")
    assert {m: a.shape for m, a in mdata.mod.items()} == {"rna": (30, 5), "prot": (30, 2)}
    assert mdata["rna"].var_names.tolist() == ["GENE1", "GENE2", "GENE2-1", "GENE4", "GENE5"]
    np.testing.assert_array_equal(mdata["rna"].X.toarray(), counts[:, :5])
    np.testing.assert_array_equal(mdata["prot"].X.toarray(), counts[:, 5:])


def test_without_pooch_the_message_says_what_to_install(alone, monkeypatch):
    alone(url="http://127.0.0.1:9/any.h5mu")
    plain = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "pooch":
            raise ImportError(name)
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"pip install 'omicsbal\[datasets\]'"):
        registry.load("small")


def test_the_page_for_people_says_the_same(repository):
    page = (repository / "data" / "README.md").read_text(encoding="utf-8")
    assert page.count("\n### ") == len(TABLE)
    for name, facts in registry._registry().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        told = [cell.strip() for cell in row.split("|")[2:-1]]
        yes = "yes" if facts["redistributable"] else "no"
        label = facts["label_key"] or "(none)"
        assert told == [label, facts["modalities"], str(facts["rows"]), str(facts["size_mb"]), yes], name
        part = page.split(f"\n### {name}\n")[1].split("\n### ")[0]
        checksum = facts["sha256"] or registry.UNVERIFIED
        for fact in [facts["title"], facts["caveat"], facts["licence"], *facts["citation"], *facts["source"], checksum]:
            assert fact in part, (name, fact)
