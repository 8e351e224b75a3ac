"""One self-contained page on a fit: what is there, how well it is predicted, who contributes, what to do next."""

from pathlib import Path
from typing import TYPE_CHECKING

from omicsbal import _keys
from omicsbal._keys import KEY
from omicsbal._report._advice import findings
from omicsbal._report._diagnostics import Asked, gather
from omicsbal._report._facts import Facts
from omicsbal._report._page import page
from omicsbal._report._sections import sections_of
from omicsbal._store import write_file
from omicsbal._validate import check_number, problem
from omicsbal.files import free_file
from omicsbal.model import FittedModel, pick_device
from omicsbal.pp import find_groups
from omicsbal.pp.checks import check_mdata
from omicsbal.tl._predict import as_model
from omicsbal.tl._training_rows import training_folds
from omicsbal.tl._write import check_key

if TYPE_CHECKING:
    from mudata import MuData


def report(
    model: FittedModel | str | Path,
    mdata: "MuData",
    path: str | Path,
    *,
    title: str | None = None,
    overwrite: bool = False,
    compute: bool = True,
    group_key: str | None = None,
    device: str = "auto",
    key_added: str = KEY,
    random_state: int = 0,
    progress: bool = True,
) -> Path:
    """Write one page that says whether the label can be predicted, who contributes, what is wasted, and what to do next.

    Parameters
    ----------
    model
        A `FittedModel`, or the folder it was saved in.
    mdata
        The MuData it was fitted on.
    path
        A new file that ends in ``.html``. It holds everything it needs: no network, no scripts.
    title
        Of the page; by default the label and the modalities.
    overwrite
        Replace a file that is there.
    compute
        Run the diagnostics that have not been run, which writes their results to `mdata` as the verbs do. If False, a section
        without results says which call makes them. One that needs a training of its own (``kd_gate``) is never run.
    group_key
        Column of donors for the intervals of the diagnostics that are run; by default that of the fit, if it had one.
    device, random_state
        Of the diagnostics that are run.
    key_added
        The key of the fit.
    progress
        Show bars.

    Returns
    -------
    The path. The file appears whole or not at all.

    Raises
    ------
    TypeError, KeyError, ValueError, FileNotFoundError, FileExistsError, OSError
        Not a model, or not the MuData it was fitted on; `path` is taken or cannot be written. All before anything is computed;
        the MuData is as it was. A diagnostic that refuses these data is no error: its section says why.

    Notes
    -----
    Sentences are computed from the tables. Where the 95 % interval of a difference holds zero they say that it cannot be told
    apart. Diagnostics that are there already are not run again, also if they were run with other settings.

    Examples
    --------
    >>> import tempfile, omicsbal as ob
    >>> mdata = ob.datasets.simulate(n_obs=90, n_truth=200, modalities=["rna", "protein"], random_state=0)
    >>> model = ob.tl.fit(mdata, label_key="cell_type", config=ob.FitConfig(max_epochs=2), progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ob.report(model, mdata, f"{folder}/report.html", compute=False).name
    'report.html'
    """
    target = free_file(str(path), "path", overwrite=overwrite, suffix=".html")
    model = as_model(model)
    mdata = check_mdata(mdata)
    check_key(mdata, key_added)
    check_number("random_state", random_state, low=0, high=2**32 - 1, integer=True)
    pick_device(device)
    if group_key is not None:
        find_groups(mdata, group_key)
    _check_fit(model, mdata, key_added)
    assert target is not None  # a path was given
    asked = Asked(model, mdata, group_key, device, key_added, random_state, progress)
    facts = Facts(model, mdata, key_added, gather(asked, compute=compute))
    colors = set(mdata.uns)
    try:
        write_file(target, _page(facts, title).encode())
    finally:
        for slot in set(mdata.uns) - colors:  # that figures leave behind
            del mdata.uns[slot]
    return target


def _check_fit(model: FittedModel, mdata: "MuData", key_added: str) -> None:
    """Refuse a MuData that does not hold the out-of-fold results of this model."""
    known = training_folds(mdata, model, key_added)
    entries = mdata.uns.get(key_added, {})
    if known is not None and known[1] == key_added and _keys.HEADS in entries:
        return
    found = f"uns[{key_added!r}] without its results" if known is None else f"its results under the key {known[1]!r}"
    do = "Pass the MuData that ob.tl.fit was run on, and the same key_added."
    raise ValueError(problem("mdata", expected="the MuData that the model was fitted on", found=found, do=do))


def _page(facts: Facts, title: str | None) -> str:
    """All sections on one page."""
    made = [(s.name, s.title, s.made(facts)) for s in sections_of(facts)]
    modalities = ", ".join(facts.model.modalities)
    n = int(facts.trained.sum())
    strategy = facts.model.params.get("strategy", "")
    sub = f"{n:,} labelled samples, {facts.n_folds} folds, strategy {strategy}. Every score is out-of-fold."
    shown = {name for name, _, _ in made}
    return page(title=title or f"{facts.label} from {modalities}", sub=sub, findings=findings(facts, shown), sections=made)
