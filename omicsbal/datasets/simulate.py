"""Simulated multi-omics whose right answers are known: labels, counts, exact posteriors, and every table of truth."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from omicsbal.datasets._assemble import assemble
from omicsbal.datasets._cells import draw_cells, draw_presence, measure
from omicsbal.datasets._emission import Emission
from omicsbal.datasets._kinds import Design, draw_emission
from omicsbal.datasets._posterior import oracle
from omicsbal.datasets._presets import PRESETS
from omicsbal.datasets._settings import Settings, build_world, resolve
from omicsbal.datasets._streams import stream
from omicsbal.datasets._truth import all_logs, need_table, pid_table, shapley_table, state_table, subset_table
from omicsbal.datasets._world import World, subset_name, subsets

if TYPE_CHECKING:
    from mudata import MuData


def simulate(
    *,
    n_obs: int | None = None,
    preset: str = "mixed",
    modalities: Sequence[str] | None = None,
    n_classes: int | None = None,
    imbalance: float | None = None,
    shared: float | None = None,
    synergy: float | None = None,
    error: float | Mapping[str, float] | None = None,
    strength: float | Mapping[str, float] | None = None,
    depth: float | Mapping[str, float] | None = None,
    n_features: int | Mapping[str, int] | None = None,
    factors: int | None = None,
    batch_effect: float | None = None,
    n_batches: int = 2,
    n_donors: int = 6,
    missing: float | Mapping[str, float] = 0.0,
    mosaic: bool | Mapping[str, str | Sequence[str]] = False,
    n_truth: int = 2000,
    random_state: int = 0,
) -> "MuData":
    """Simulate cells measured in several modalities, with the exact posterior of the label and what each modality is worth.

    Each modality holds a noisy discrete state that reads a part of the label; its features are drawn given that state. The same
    `random_state` gives the same world (markers, batch effects) for any `n_obs`, and the same bits for the same arguments.

    Parameters
    ----------
    n_obs
        Cells, at least 10. By default 600 (150 for `small`): enough for a linear model to learn the strong modality.
    preset
        Which world. `redundant`: all read the whole label. `unique`: each reads its own part. `xor`: RNA and ATAC say nothing
        alone and all of it together. `mixed`: all of these at once. `dominant`: RNA strong, ATAC faint but with something of its
        own. `useless`: protein is noise. `celltype`: the last two types differ in ATAC only. `nuisance`: batch, depth and a
        hidden variable tie the modalities together without any bearing on the label. `small`: a bulk cohort of three dense blocks
        (`rna`, `meth`, `mirna`). Any argument given below overrides the preset's.
    modalities
        Those of the preset to keep; by default all three.
    n_classes
        Number of types, 2 to 32.
    imbalance
        Exponent g of the class sizes c ** -g, c = 1, 2, ...; 0 to 5. 0 is balanced.
    shared
        Shared against private information, 0 to 1. The label's binary digits are dealt out to the modalities, highest first;
        every other modality reads a digit correctly with this probability and else at random. Replaces the preset's layout: 0 is
        `unique`, 1 is `redundant`.
    synergy
        0 to 1: probability with which the first two modalities each read their half of a secret about the label (label + key, and
        key, modulo the number of nuisance values). A half alone says nothing.
    error
        Probability per modality that the state is random, 0 to 1: the information a modality holds.
    strength
        Measurement strength, 0 to 10, a factor on the log fold changes; 1 lets a state be read from the features almost surely.
    depth
        Factor on the counts, above 0 (default 1). Dense blocks ignore it.
    n_features
        Features, at least 2. By default 300 genes, 600 peaks, 24 proteins; 400, 400 and 150 for the dense blocks.
    factors
        Low-rank factors that dense blocks share within a state, 0 to 10 (default 2 for `small`, 0 elsewhere: counts have none).
    batch_effect
        Standard deviation of the log factor (dense: of the shift in noise sds) of each feature and batch, 0 to 5 (default 0.1).
    n_batches, n_donors
        Donor d belongs to batch d modulo `n_batches`; neither depends on the label.
    missing
        Probability, 0 to 0.99, that a cell lacks a modality, completely at random. Every cell keeps at least one.
    mosaic
        Whole batches that lack modalities, as in ``{"batch_1": ["atac"]}``. True lets every batch but the first lack one.
    n_truth
        Fresh, complete cells that the tables of truth are averaged over, at least 100. Standard errors fall with its root and are
        a few thousandths of a nat at 2000, since the exact values of the hidden states serve as control variates.
    random_state
        Seed.

    Returns
    -------
    MuData
        A cell that lacks a modality is not in that AnnData (rows are then in mudata's order: go by name). Counts are integers in
        float32 (CSR for `rna` and `atac`).

        - ``obs``: `cell_type`, `batch`, `donor`, all categorical. Class sizes are the expected ones, rounded.
        - ``mod[m].var``: `feature_types`; `marker`, whether the feature depends on the state.
        - ``obsm["oracle_<subset>"]``, as in `oracle_rna+atac`: DataFrame (n_obs, n_classes) of the exact log p(y | x_S) in nats,
          given size factor and batch, for every non-empty subset. A cell lacking a modality is judged by the rest of the subset;
          with nothing left this is the log prior.
        - ``uns["truth"]``: DataFrames, scalars and one JSON string. All are for complete data.

    Raises
    ------
    ValueError, TypeError
        An argument is out of its range or not a number; an unknown preset or modality; `factors` asked of a preset of counts.
    KeyError
        A mapping names an unknown modality or batch.

    Notes
    -----
    In ``uns["truth"]``:

    - `subsets` (subset, information_nats, information_se, bayes_accuracy, bayes_macro_f1): I(X_S;Y) given size factor and batch,
      and scores of the oracle's most probable class. The empty subset is called `none`.
    - `states`: the same of the hidden states, by finite sums, exact. It bounds `subsets` from above.
    - `shapley` (modality, information_nats, accuracy, state_information_nats, state_accuracy).
    - `need`: class by modality, mean log p(y | all) - log p(y | all but m) in nats.
    - `pid` (source_1, source_2, redundant, unique_1, unique_2, synergistic, total): BROJA decomposition of the
      states, exact up to its iterations (3e-5 nats in the presets, 1e-3 with many classes).
    - `entropy_nats`, H(Y); `exact`, 1 when the oracle is exact (it always is); `parameters`, JSON.

    With prior pi, nuisance a of A values, and states s of modality m,
    p(y | x_S) is proportional to pi(y) sum_a 1/A prod_m sum_s p(x_m | s) p(s | y, a).

    References
    ----------
    Bertschinger et al. (2014), doi:10.3390/e16042161 (decomposition). Gayoso et al. (2021), doi:10.1038/s41592-020-01050-x (the
    background and foreground of proteins).

    Examples
    --------
    >>> mdata = simulate(n_obs=100, preset="xor", random_state=0)
    >>> mdata.obs["cell_type"].value_counts().tolist()
    [60, 40]
    >>> mdata.uns["truth"]["states"].set_index("subset").loc["rna+atac", "bayes_accuracy"].round(3)
    np.float64(0.905)
    """
    settings = resolve(locals())  # all arguments, before any other name is bound
    world = build_world(settings)
    streams = partial(stream, settings.random_state)
    emissions = draw_emissions(settings, world)
    crowd: dict[str, Any] = {"n_donors": settings.n_donors, "n_batches": settings.n_batches}
    crowd |= {"depth_shared": settings.depth_shared, "n_factors": settings.factors}
    cells = draw_cells(world, partial(streams, "cells"), settings.n_obs, **crowd)
    values, evidence = measure(cells, emissions, partial(streams, "cells"))
    present = draw_presence(partial(streams, "cells"), cells, settings.n_batches, settings.missing, settings.mosaic)
    oracles = {subset_name(s): oracle(world, evidence, present, s) for s in subsets(world.tables) if s}
    classes = [f"type_{c}" for c in range(len(settings.prior))]
    truth = tell_truth(settings, world, emissions, classes, crowd)
    return assemble(settings, emissions, cells, values, present, oracles, truth, classes)


def draw_emissions(settings: Settings, world: World) -> dict[str, Emission]:
    """Draw the measurement model of each modality; it depends neither on `n_obs` nor on the other modalities."""
    out = {}
    for name in settings.modalities:
        design = Design(
            n_features=settings.n_features[name],
            sizes=world.sizes[name],
            n_batches=settings.n_batches,
            strength=settings.strength[name],
            depth=settings.depth[name],
            batch_effect=settings.batch_effect,
            n_factors=settings.factors,
        )
        kind = PRESETS[settings.preset].kinds[name]
        out[name] = draw_emission(kind, stream(settings.random_state, name, "design"), design)
    return out


def tell_truth(
    settings: Settings, world: World, emissions: Mapping[str, Emission], classes: list[str], crowd: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill `uns["truth"]`: exact sums over states, and averages over `n_truth` fresh cells (marker features suffice)."""
    streams = partial(stream, settings.random_state, "truth")
    cells = draw_cells(world, streams, settings.n_truth, **crowd)
    _, evidence = measure(cells, {name: e.only_markers() for name, e in emissions.items()}, streams)
    logs = all_logs(world, evidence)
    exact = state_table(world)
    measured = subset_table(world, cells, logs, exact)
    return {
        "subsets": measured,
        "states": exact,
        "shapley": shapley_table(measured, exact, settings.modalities),
        "need": need_table(cells, logs, settings.modalities, classes),
        "pid": pid_table(world),
        "entropy_nats": float(-np.sum(world.prior * np.log(world.prior))),
        "exact": 1,
        "parameters": settings.to_json(),
    }
