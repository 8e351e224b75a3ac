"""From a MuData and a design to the recipes and the tensors that training sees."""

from typing import TYPE_CHECKING

import numpy as np

from omicsbal._types import Arrays
from omicsbal.loader import to_arrays
from omicsbal.pp.sources import Options, Source, plan
from omicsbal.tl._design import Design

if TYPE_CHECKING:
    import torch
    from mudata import MuData


def read_blocks(mdata: "MuData", options: Options, design: Design, device: "torch.device") -> tuple[dict[str, Source], Arrays]:
    """Recipes learnt from the training rows, and all rows through them; label and weight are 0 where a row is not trained on."""
    sources = {p.name: p.learn(design.training) for p in plan(mdata, options, design.training)}
    blocks = {m: s.block(mdata) for m, s in sources.items()}
    codes = design.outcome.encode(design.labels)
    y, weight = np.zeros(len(design.training), dtype=codes.dtype), np.zeros(len(design.training))
    y[design.training], weight[design.training] = codes, design.outcome.weights(codes)
    x, present = {m: b[0] for m, b in blocks.items()}, {m: b[1] for m, b in blocks.items()}
    return sources, to_arrays(x, present, y=y, weight=weight, device=device)
