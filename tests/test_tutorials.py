"""The tutorials run from top to bottom, on real data where they are at hand, and on the simulation where they are not."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).resolve().parent.parent / "tutorials"


def execute(path: Path, folder: Path, changes: dict[str, str], *, times: int | None = 1):
    """The notebook after all its cells ran, in a folder of its own; each change is made in `times` cells, None: at least one."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for old, new in changes.items():
        hits = [cell for cell in notebook.cells if cell.cell_type == "code" and old in cell.source]
        assert len(hits) == times if times else hits, f"{old!r} is to stand in {times or 'some'} cells of {path.name}"
        for cell in hits:
            cell.source = cell.source.replace(old, new)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def outputs(notebook) -> list:
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def images(notebook) -> int:
    return sum("image/png" in out.get("data", {}) for out in outputs(notebook))


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The kernel inherits this environment."""
    monkeypatch.delenv("MPLBACKEND", raising=False)  # Agg would keep figures out of the notebook
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    return tmp_path


def text_of(notebook) -> str:
    return "\n".join(out.get("text", "") + out.get("data", {}).get("text/plain", "") for out in outputs(notebook))


def check_quickstart(notebook) -> None:
    assert images(notebook) == 6, "pattern, scores, confusion, history, calibration, embedding"
    text = text_of(notebook)
    assert "FittedModel of 'cell_type'" in text
    (accuracy,) = re.findall(r"^all\s+([\d.]+)\s+[\d.]+$", text, re.MULTILINE)
    assert float(accuracy) > 0.5


NUMBER = r"([+-]?\d+\.\d+)"


def check_balance(notebook) -> None:
    """Every sentence that a cell computes agrees with the numbers that stand beside it."""
    assert images(notebook) == 4, "gate, history, scores, gate with trials"
    text = text_of(notebook)
    assert "strategy 'mutual'" in text and "The same folds: True" in text

    strong, weak = map(float, re.search(rf"Macro-F1 alone: \S+ {NUMBER}, \S+ {NUMBER}", text).groups())
    assert strong > weak + 0.02, "the roles that the text gives them; 0.02 is the gate's margin"
    gap, low, high = map(float, re.search(rf"Gap, .*: {NUMBER} nats \(90% interval {NUMBER} to {NUMBER}\)", text).groups())
    assert low < gap < high
    (decision,) = re.findall(r"Decision: (\w+), that is", text)
    if min(abs(low), abs(high)) > 0.005:  # printed to two digits
        assert decision == ("pass" if low > 0 else "fail" if high < 0 else "uncertain")

    most, least = map(float, re.search(rf"most weight \w+, {NUMBER}; least \w+, {NUMBER}", text).groups())
    assert least <= 1 <= most, "weights have mean 1"
    (a, b) = map(float, re.search(rf"the mean weights were {NUMBER} to {NUMBER}\.", text).groups())
    assert abs(b - a - 0.1) < 0.015 or ("nearly equal weights" in text) == (b - a < 0.1)  # the cell saw more digits

    rows = re.findall(rf"^\d +(\w+) +(joint|uniform|unimodal) +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.MULTILINE)
    (clear,) = re.findall(r"^(\d) of 4 differences can be told from 0", text, re.MULTILINE)
    ends = [(float(low), float(high)) for *_, low, high in rows]
    assert len(ends) == 4
    few, many = (sum(low > edge or high < -edge for low, high in ends) for edge in (0.0005, -0.0005))  # printed to three digits
    assert few <= int(clear) <= many

    steps = re.findall(rf"alone {NUMBER}, taught {NUMBER}; change {NUMBER} ", text)
    assert steps or "The gate let nobody teach." in text
    assert all(abs(float(before) + float(change) - float(after)) < 0.002 for before, after, change in steps)
    assert decision not in ("pass", "uncertain") or steps, "who may be taught is taught"
    assert "ob.balance.Distill(teachers={" in text


def ends_of(pattern: str, text: str) -> list[tuple[float, float, float]]:
    """Numbers with their intervals."""
    return [tuple(map(float, found)) for found in re.findall(rf"{pattern} {NUMBER}[^(\n]*\({NUMBER} to {NUMBER}\)", text)]


def check_contribution(notebook) -> None:
    """Shares sum to the total, parts to all; numbers lie in their intervals; verdicts are of the four; the page was written."""
    assert images(notebook) == 10, "three of contribution, two of utilization, five others"
    text = text_of(notebook)

    sets = [part.splitlines() for part in re.split(r"(?=^All together tell )", text, flags=re.MULTILINE)[1:]]
    assert len(sets) == 3, "CITE-seq, Multiome, BRCA"
    for lines in sets:
        rows = [re.match(rf"(\w+): share {NUMBER} nats, alone {NUMBER}, on top of the rest {NUMBER}", line) for line in lines]
        shares = {row[1]: [float(row[i]) for i in (2, 3, 4)] for row in rows if row}
        assert len(shares) in (2, 3)
        (total,) = (float(v) for v in re.findall(rf"tell {NUMBER} nats", lines[0]))
        assert abs(sum(share for share, *_ in shares.values()) - total) < 0.005 * (len(shares) + 1) + 1e-9, "efficiency"
        if len(shares) == 2:
            assert all(abs(share - (alone + need) / 2) < 0.011 for share, alone, need in shares.values())
    intervals = ends_of("All together tell", text) + ends_of("on top of the rest", text) + ends_of("(?:split|label|cross):", text)
    assert len(intervals) >= 3 + 7 + 6
    assert all(low - 0.006 <= value <= high + 0.006 for value, low, high in intervals)

    said = re.findall(r"^ *(\w+): (dominant|fair|under-used|uninformative|unmeasured)\b", text, re.MULTILINE)
    assert len(said) == 3 + 3 + 2, "BRCA twice, Multiome once"
    kept = re.findall(r"^\w+: retention \S+ with joint, \S+ with uniform; intervals (?:apart|overlap)\.$", text, re.MULTILINE)
    assert len(kept) == 3
    parts = [sum(map(int, re.findall(r"(-?\d+)%", line))) for line in text.splitlines() if "%, only together" in line]
    assert len(parts) == 3, "pairs of three modalities"
    assert all(abs(whole - 100) <= 2 for whole in parts), "rounded"

    suspects, judged = map(int, re.search(r"^(\d+) of (\d+) labels look wrong", text, re.MULTILINE).groups())
    assert 0 <= suspects < judged / 2
    halves = re.findall(rf"macro-F1 {NUMBER} with all counts, {NUMBER} with half", text)
    assert len(halves) == 2 and len({whole for whole, _ in halves}) == 1, "one undamaged score"
    assert re.search(rf"^report.html: {NUMBER} MB$", text, re.MULTILINE)


def check_compare(notebook) -> None:
    """Verdicts agree with their intervals, no score depends on where it was computed, and who is kept whole is not recognised."""
    assert images(notebook) == 4, "forest, confusion, forest of own systems, tuning"
    text = text_of(notebook)

    places = re.findall(r"^By (\w+), omicsbal has place (\d+) of (\d+) in mean rank; first is (.+)\.$", text, re.MULTILINE)
    assert [metric for metric, *_ in places] == ["macro_f1", "log_loss", "macro_f1"], "the second list is of own systems"
    assert all(1 <= int(place) <= int(n) and (first == "omicsbal") == (place == "1") for _, place, n, first in places)
    said = re.findall(rf"^  against (.+): {NUMBER} \({NUMBER} to {NUMBER}\), ([\w ]+)$", text, re.MULTILINE)
    assert {name for name, *_ in said} > {"lr:pool", "lr:concat", "lr:best-uni", "joint network", "shrunken LDA"}
    for name, gain, low, high, verdict in said:
        assert float(low) <= float(gain) <= float(high), name
        if "significantly" in verdict:
            assert (verdict.endswith("better") and float(low) >= 0) or (verdict.endswith("worse") and float(high) <= 0), name
        if verdict == "as good as equal":
            assert float(high) - float(low) < 0.041, name

    mine, n, other, apart = map(
        int, re.search(r"right for (\d+) of (\d+), lr:pool for (\d+): the sums differ by (\d+)", text).groups()
    )
    assert abs(mine - other) == apart and max(mine, other) <= n
    (leak,) = re.findall(rf"^nearest sample: {NUMBER} of its macro-F1 was from knowing the person", text, re.MULTILINE)
    assert float(leak) > 0.05, "it remembers"
    kept, pieces, same = re.search(r"^(\d+) of (\d+) pieces were kept; scores as before: (\w+)$", text, re.MULTILINE).groups()
    assert 0 < int(kept) < int(pieces) and same == "True"
    assert "keep the default" in text or "use the tuned settings" in text
    best, fresh = (float(re.search(rf"{words} {NUMBER}", text).group(1)) for words in ("macro-F1", "scored on that one:"))
    assert fresh <= best + 0.001, "a choice does no better on a fold that had no say"


def check_own_strategy(notebook) -> None:
    """The strategy that a reader writes passes its own checks, and is of the promised length."""
    assert images(notebook) == 1, "history"
    text = text_of(notebook)
    (written,) = [cell.source for cell in notebook.cells if cell.source.startswith("class Brake")]
    assert len(written.splitlines()) < 40
    assert int(re.search(r"^(\d+) strategies$", text, re.MULTILINE).group(1)) > 30
    for said in ("Switched off, the same training as joint", "Switched on, another one", "In the table", "The same embedding"):
        assert f"{said}: True" in text
    assert "Loaded: Brake {'strength': 2.0}" in text
    rows = re.findall(rf"^ *(?:joint|uniform) +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.MULTILINE)
    assert len(rows) == 2 and all(float(low) <= float(mean) <= float(high) for mean, low, high in rows)


@dataclass(frozen=True)
class Tutorial:
    """How a notebook is run in tests, and what has to come out."""

    quick: dict[str, str]  # as written, but for the length of the training
    no_file: dict[str, str]
    check: "Callable"


QUICK = "{'omicsbal': {'config': ob.FitConfig(max_epochs=2)}}"  # the default fit, but for its length

TUTORIALS = {
    "01_quickstart": Tutorial(
        {"N_OBS, MAX_EPOCHS = 1000, None": "N_OBS, MAX_EPOCHS = 1000, 12"},
        {'ob.datasets.load("cite_pbmc10k")': "open('/nowhere/cite_pbmc10k.h5mu')"},
        check_quickstart,
    ),
    "02_balance_and_distil": Tutorial(
        {"MAX_EPOCHS = 30": "MAX_EPOCHS = 4"},
        {'ob.datasets.load("tcga_brca_5omics")': "open('/nowhere/tcga_brca_5omics.h5mu')"},
        check_balance,
    ),
    "03_contribution": Tutorial(
        {"MAX_EPOCHS, PER_CLASS, N_STEPS = 30, 150, 32": "MAX_EPOCHS, PER_CLASS, N_STEPS = 3, 40, 4"},
        {"ob.datasets.load(name)": "open(f'/nowhere/{name}.h5mu')"},
        check_contribution,
    ),
    "04_compare": Tutorial(
        {
            "SYSTEMS, FOLDS = None, 5": f"SYSTEMS, FOLDS = [{QUICK}, 'lr:rna', 'lr:meth', 'lr:concat', 'lr:pool'], 2",
            'own = ["omicsbal",': f"own = [{QUICK},",
            "CONFIG = ob.FitConfig(n_members=0)": "CONFIG = ob.FitConfig(n_members=0, max_epochs=2)",
            "max_epochs=15": "max_epochs=2",
            "N_TRIALS = 3": "N_TRIALS = 1",
        },
        {'ob.datasets.load("rosmap_mogonet")': "open('/nowhere/rosmap_mogonet.h5mu')"},
        check_compare,
    ),
    "05_write_a_strategy": Tutorial(
        {"MAX_EPOCHS = 30": "MAX_EPOCHS = 4"},
        {'ob.datasets.load("tcga_brca_5omics")': "open('/nowhere/tcga_brca_5omics.h5mu')"},
        check_own_strategy,
    ),
}


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.ipynb"


def check_warnings(notebook) -> None:
    said = [out["text"] for out in outputs(notebook) if out.get("name") == "stderr"]
    assert all("OmicsbalWarning" in line for line in said), "of warnings, only our own"  # what became of rare classes
    assert all("site-packages" not in line for line in said), "a warning points to the reader's line"


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_on_real_data(repository, data_dir, elsewhere, monkeypatch, name):
    monkeypatch.setenv("OMICSBAL_DATA", str(data_dir))
    notebook = execute(path_of(name), elsewhere, TUTORIALS[name].quick)
    check_warnings(notebook)
    TUTORIALS[name].check(notebook)
    assert "Simulated data instead" not in str(outputs(notebook))


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_on_the_simulation(repository, elsewhere, name):
    notebook = execute(path_of(name), elsewhere, TUTORIALS[name].quick | TUTORIALS[name].no_file)
    check_warnings(notebook)
    TUTORIALS[name].check(notebook)
    assert "Simulated data instead" in str(outputs(notebook))


OTHERS = {"snare_mouse_cortex": "cell_type", "tcga_brca_incomplete": "pam50", "cite_pbmc_mosaic": "cell_type"}


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_quickstart_on_other_data(repository, data_dir, elsewhere, monkeypatch, name):
    """Other modalities, gaps, another label: a reader changes the name and the label, and nothing else."""
    monkeypatch.setenv("OMICSBAL_DATA", str(data_dir))
    label = OTHERS[name]
    changes = {"N_OBS, MAX_EPOCHS = 1000, None": "N_OBS, MAX_EPOCHS = 300, 2", "cite_pbmc10k": name}
    if label != "cell_type":
        changes["cell_type"] = label
    notebook = execute(path_of("01_quickstart"), elsewhere, changes, times=None)
    assert images(notebook) == 6
    assert "Simulated data instead" not in str(outputs(notebook))
    text = text_of(notebook)
    assert f"FittedModel of '{label}'" in text
    known = ("OmicsbalWarning", "Cannot join columns with the same name")  # mudata: genes of two modalities share names
    said = [out["text"] for out in outputs(notebook) if out.get("name") == "stderr"]
    assert not [line for line in said if not any(words in line for words in known)]


def test_every_tutorial_is_tested(repository):
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(TUTORIALS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_the_text_holds_whatever_the_numbers_are(repository, name):
    """Results are computed by cells and never typed: of decimals the prose has none but identifiers of papers."""
    for cell in json.loads(path_of(name).read_text())["cells"]:
        if cell["cell_type"] == "markdown":
            prose = re.sub(r"(arXiv|doi):\S+", "", "".join(cell["source"]))
            assert not re.findall(r"\d\.\d", prose), cell["id"]
