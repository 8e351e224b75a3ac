"""Options that may be given once for all modalities, or by modality."""

from collections.abc import Mapping, Sequence
from typing import Any

from omicsbal._validate import nearest, problem


def per_modality(name: str, option: Any, modalities: Sequence[str]) -> dict[str, Any]:
    """Spread an option over modalities: a mapping by modality, or one value for all; None where nothing is said.

    Parameters
    ----------
    name
        Of the option, for messages.
    option
        A mapping from modality to value, or one value.
    modalities
        All there are.

    Returns
    -------
    One entry a modality.

    Raises
    ------
    KeyError
        The mapping names an unknown modality.

    Examples
    --------
    >>> per_modality("layer", {"rna": "counts"}, ["rna", "atac"])
    {'rna': 'counts', 'atac': None}
    """
    if not isinstance(option, Mapping):
        return dict.fromkeys(modalities, option)
    for m in option:
        if m not in modalities:
            raise KeyError(problem(name, expected="names of modalities", found=repr(m), do=nearest(m, modalities)))
    return {m: option.get(m) for m in modalities}
