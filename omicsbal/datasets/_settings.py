"""What was asked of the simulator, checked, with the preset's answers where nothing was asked."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from omicsbal._validate import check_choice, check_number, problem
from omicsbal.datasets._kinds import KINDS
from omicsbal.datasets._presets import PRESETS, Preset, Space, spread
from omicsbal.datasets._world import World, channel, power_prior

MOST_CLASSES = 32  # RNA may hold two states per class, and the exact tables grow with the product over modalities


@dataclass(frozen=True)
class Settings:
    """Every dial, resolved."""

    preset: str
    modalities: tuple[str, ...]
    n_obs: int
    prior: tuple[float, ...]
    n_nuisance: int
    error: dict[str, float]
    strength: dict[str, float]
    n_features: dict[str, int]
    depth: dict[str, float]
    missing: dict[str, float]
    shared: float | None
    synergy: float
    batch_effect: float
    depth_shared: float
    factors: int
    n_batches: int
    n_donors: int
    mosaic: dict[int, tuple[str, ...]]
    n_truth: int
    random_state: int

    def to_json(self) -> str:
        """All dials as one JSON string, `null` for a layout that is the preset's own."""
        return json.dumps(asdict(self))


def resolve(asked: Mapping[str, Any]) -> Settings:
    """Check the arguments of `simulate` and fill in the preset."""
    name = check_choice("preset", asked["preset"], PRESETS)
    preset = PRESETS[name]
    mods = _modalities(asked["modalities"], tuple(preset.kinds))
    n_batches = check_number("n_batches", asked["n_batches"], low=1, integer=True)
    prior = _prior(asked, preset, len(mods))
    shared = asked["shared"]
    strength = {m: preset.strength.get(m, 1.0) for m in mods}
    synergy = check_number("synergy", _given(asked["synergy"], preset.synergy), low=0, high=1)
    if asked["synergy"] and len(mods) < 2:
        raise ValueError(problem("synergy", expected="0 with one modality", found=synergy, do="Ask for two modalities."))
    return Settings(
        preset=name,
        modalities=mods,
        n_obs=int(check_number("n_obs", _given(asked["n_obs"], preset.n_obs), low=10, integer=True)),
        prior=prior,
        n_nuisance=preset.n_nuisance or len(prior),
        error=per_modality("error", asked["error"], mods, preset.error, low=0, high=1),
        strength=per_modality("strength", asked["strength"], mods, strength, low=0, high=10),
        n_features=_n_features(asked["n_features"], mods, preset),
        depth=per_modality("depth", asked["depth"], mods, dict.fromkeys(mods, 1.0), low=0, high=1000, open_low=True),
        missing=per_modality("missing", asked["missing"], mods, dict.fromkeys(mods, 0.0), low=0, high=0.99),
        shared=None if shared is None else check_number("shared", shared, low=0, high=1),
        synergy=synergy,
        batch_effect=check_number("batch_effect", _given(asked["batch_effect"], preset.batch_effect), low=0, high=5),
        depth_shared=preset.depth_shared,
        factors=_factors(asked["factors"], preset),
        n_batches=n_batches,
        n_donors=int(check_number("n_donors", asked["n_donors"], low=n_batches, integer=True)),
        mosaic=_mosaic(asked["mosaic"], mods, n_batches),
        n_truth=int(check_number("n_truth", asked["n_truth"], low=100, integer=True)),
        random_state=int(check_number("random_state", asked["random_state"], low=0, integer=True)),
    )


def build_world(settings: Settings) -> World:
    """Turn readings into tables: the preset's layout (or the spread one if `shared` is given), then the secret of `synergy`."""
    mods, n_classes = settings.modalities, len(settings.prior)
    space = Space(n_classes, settings.n_nuisance, mods)
    layout = PRESETS[settings.preset].layout
    reads = layout(space) if settings.shared is None else spread(space, shared=settings.shared)
    if settings.synergy > 0:
        for name, half in zip(mods[:2], (space.key, space.cipher), strict=False):
            reads[name] = [*reads.get(name, []), half(settings.synergy)]
    # A modality that reads nothing still has two states of its own, at random.
    noise = np.full((n_classes, settings.n_nuisance, 2), 0.5)
    reads = {m: reads.get(m) or [noise] for m in mods}
    return World(
        prior=np.array(settings.prior),
        tables={m: channel(reads[m], settings.error[m]) for m in mods},
        sizes={m: tuple(reading.shape[2] for reading in reads[m]) for m in mods},
    )


def _given(value: Any, default: Any) -> Any:
    """`value`, or the preset's where none was given."""
    return default if value is None else value


def _modalities(asked: Sequence[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The preset's modalities, or those asked for in the preset's order."""
    asked = known if asked is None else ([asked] if isinstance(asked, str) else asked)
    chosen = {check_choice("modalities", name, known) for name in asked}
    if not chosen:
        raise ValueError(problem("modalities", expected="at least one name", found="none", do=f"Choose from {known}."))
    return tuple(name for name in known if name in chosen)


def _prior(asked: Mapping[str, Any], preset: Preset, n_modalities: int) -> tuple[float, ...]:
    """Class prior: the preset's own, unless number or imbalance of classes was asked for."""
    if asked["n_classes"] is None and asked["imbalance"] is None and preset.prior:
        return preset.prior
    default = preset.n_classes or max(2, 2**n_modalities)
    n_classes = check_number("n_classes", _given(asked["n_classes"], default), low=2, high=MOST_CLASSES, integer=True)
    imbalance = check_number("imbalance", _given(asked["imbalance"], preset.imbalance), low=0, high=5)
    return tuple(power_prior(n_classes, imbalance).tolist())


def per_modality(name: str, value: Any, mods: Sequence[str], default: Mapping[str, Any], **bounds: Any) -> dict[str, Any]:
    """One checked number per modality from a number for all, a mapping for some, or None."""
    chosen = {m: default[m] for m in mods}
    if isinstance(value, Mapping):
        for m in value:
            check_choice(name, m, mods, error=KeyError)
        chosen |= value
    elif value is not None:
        chosen = dict.fromkeys(mods, value)
    return {m: check_number(name, chosen[m], **bounds) for m in mods}


def _n_features(value: Any, mods: Sequence[str], preset: Preset) -> dict[str, int]:
    """Number of features of each modality."""
    sizes = {m: KINDS[preset.kinds[m]].n_features for m in mods}
    return {m: int(n) for m, n in per_modality("n_features", value, mods, sizes, low=2, integer=True).items()}


def _factors(value: int | None, preset: Preset) -> int:
    """Number of shared factors; counts have none, for then no exact posterior is known."""
    factors = int(check_number("factors", _given(value, preset.factors), low=0, high=10, integer=True))
    if factors and any(KINDS[kind].counts for kind in preset.kinds.values()):
        do = "Use preset='small', whose Gaussian blocks keep the posterior exact."
        raise ValueError(problem("factors", expected="0 for a preset of counts", found=factors, do=do))
    return factors


def _mosaic(value: Any, mods: tuple[str, ...], n_batches: int) -> dict[int, tuple[str, ...]]:
    """Batch number -> modalities it was not measured with."""
    if value is None or value is False:
        return {}
    if value is True:
        return {batch: (mods[-1 - (batch - 1) % len(mods)],) for batch in range(1, n_batches) if len(mods) > 1}
    if not isinstance(value, Mapping):
        expected = "True, or a mapping from batch to modalities"
        raise TypeError(problem("mosaic", expected=expected, found=repr(value), do="Pass mosaic={'batch_1': ['atac']}."))
    lost = {}
    for batch, names in value.items():
        check_choice("mosaic", batch, [f"batch_{b}" for b in range(n_batches)], error=KeyError)
        names = (names,) if isinstance(names, str) else tuple(names)
        for name in names:
            check_choice("mosaic", name, mods, error=KeyError)
        if set(names) == set(mods):
            raise ValueError(problem("mosaic", expected=f"a modality left in {batch!r}", found="none", do="Name fewer."))
        lost[int(batch.removeprefix("batch_"))] = names
    return lost
