"""The door between numpy blocks and torch: blocks in, arrays on a device out."""

from collections.abc import Mapping

import numpy as np
import torch

from omicsbal._types import Arrays


def to_arrays(
    blocks: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray],
    *,
    y: np.ndarray,
    weight: np.ndarray,
    device: torch.device,
) -> Arrays:
    """Blocks ``{m: (n, d_m)}`` and presence ``{m: (n,)}`` of all rows, as tensors on `device`."""
    return Arrays(
        x={m: torch.from_numpy(np.ascontiguousarray(b, dtype=np.float32)).to(device) for m, b in blocks.items()},
        present={m: torch.from_numpy(np.asarray(p, dtype=bool)).to(device) for m, p in present.items()},
        y=torch.from_numpy(y).to(device),
        weight=torch.from_numpy(weight.astype(np.float32)).to(device),
    )
