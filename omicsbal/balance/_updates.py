"""How strongly the next optimiser step moves the encoder of a modality; the one place where strategies decide that."""

from torch import Tensor

from omicsbal._types import FitState


def encoder_groups(modality: str) -> tuple[str, str]:
    """Parameter groups that make up an encoder: the MLP and the linear route beside it."""
    return f"encoder/{modality}", f"route/{modality}"


def scale_update(state: FitState, modality: str, scale: Tensor | float) -> None:
    """Multiply the coming update of one encoder, under any optimiser; see `omicsbal.train.updates`.

    A number, or a tensor (K,) with one factor a member. Factors of several calls multiply. A plain 0 freezes.
    """
    for group in encoder_groups(modality):
        state.scales[group] = state.scales.get(group, 1.0) * scale


def freeze(state: FitState, modality: str) -> None:
    """No update of one encoder in the coming step, of no member; its moments stand still as well."""
    for group in encoder_groups(modality):
        state.scales[group] = 0.0
