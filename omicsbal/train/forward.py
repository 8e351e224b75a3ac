"""Forward passes without training: out-of-fold for the training rows, averaged over members for new rows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from omicsbal._types import FUSED, Arrays, Outputs
from omicsbal.balance._base import Strategy
from omicsbal.nn.fusion import mean_over_present
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.members import Members

CHUNK = 4096  # rows a forward pass: bounds memory at members x CHUNK x width floats a layer


def decoded(
    net: MultiOmicsNet, strategy: Strategy, z: dict[str, Tensor], present: dict[str, Tensor], *, probes: bool | None = None
) -> Outputs:
    """All heads on embeddings, the strategy's own where it has some; `probes` as in `MultiOmicsNet.decode`, None: the strategy's.

    Where the net's fusion takes no part in training, its embedding would be a random projection; the mean of the modalities'
    embeddings stands in.
    """
    outputs = net.decode(z, present, shown=strategy.modulate(z, present), probes=strategy.probes if probes is None else probes)
    own = strategy.own_heads(z)
    outputs = outputs if own is None else replace(outputs, unimodal=own)
    fused = strategy.fuse(outputs, present)
    if fused is None and strategy.fused:
        return outputs
    return Outputs(outputs.z, mean_over_present(outputs.z, present), outputs.fused if fused is None else fused, outputs.unimodal)


def outputs_of(
    net: MultiOmicsNet, strategy: Strategy, x: Mapping[str, Tensor], present: Mapping[str, Tensor], index: Tensor | None = None
) -> Outputs:
    """One pass; `index` as in `MultiOmicsNet.encode`."""
    return decoded(net, strategy, net.encode(dict(x), dict(present), index), dict(present))


def _visible(data: Arrays, only: frozenset[str] | None) -> dict[str, Tensor]:
    """Presence with all but the modalities in `only` hidden."""
    return {m: p if only is None or m in only else torch.zeros_like(p) for m, p in data.present.items()}


@torch.no_grad()
def out_of_fold(
    net: MultiOmicsNet, strategy: Strategy, data: Arrays, members: Members, *, only: frozenset[str] | None = None
) -> Outputs:
    """Each row as seen by the fold member that never trained on it: Outputs with a leading axis of length 1.

    Each fold member reads its own rows, so this costs one pass over the data and not K.
    """
    net.eval()
    table, valid = members.held_out()
    extra = np.zeros((members.n_more, table.shape[1]), dtype=np.int64)  # the other members' rows are dropped
    rows = torch.from_numpy(np.concatenate([table, extra])).to(data.y.device)
    present = _visible(data, only)
    parts = [
        outputs_of(net, strategy, {m: v[r] for m, v in data.x.items()}, {m: p[r] for m, p in present.items()}, r)
        for r in rows.split(CHUNK, dim=1)
    ]
    source, target = torch.from_numpy(valid).to(rows.device), torch.from_numpy(table[valid]).to(rows.device)

    def gather(pieces: list[Tensor]) -> Tensor:
        values = torch.cat(pieces, 1)[: members.n_folds][source]
        return torch.empty_like(values).index_copy_(0, target, values).unsqueeze(0)

    return Outputs(
        z={m: gather([p.z[m] for p in parts]) for m in net.modalities},
        joint=gather([p.joint for p in parts]),
        fused=gather([p.fused for p in parts]),
        unimodal={m: gather([p.unimodal[m] for p in parts]) for m in net.modalities},
    )


@torch.no_grad()
def all_members(
    net: MultiOmicsNet,
    strategy: Strategy,
    data: Arrays,
    *,
    only: frozenset[str] | None = None,
    index: Tensor | None = None,
) -> Iterator[Outputs]:
    """Outputs of every member, chunk by chunk of the rows, so that no more than one chunk need be held.

    `index` says which rows of the net's graph these are; None: new ones. Nets without a graph do not ask.
    """
    net.eval()
    present = _visible(data, only)
    for start in range(0, max(len(data), 1), CHUNK):
        here = slice(start, start + CHUNK)
        x, seen = {m: v[here] for m, v in data.x.items()}, {m: p[here] for m, p in present.items()}
        yield outputs_of(net, strategy, x, seen, None if index is None else index[here])


def everyone(net: MultiOmicsNet, strategy: Strategy, data: Arrays) -> Iterator[Outputs]:
    """`all_members` of the training rows themselves."""
    return all_members(net, strategy, data, index=torch.arange(len(data), device=data.y.device))


def head_arrays(outputs: Outputs, heads: list[str]) -> dict[str, np.ndarray]:
    """Raw outputs ``{head: (K, n, c)}`` as float64 numpy arrays."""
    return {h: (outputs.fused if h == FUSED else outputs.unimodal[h]).cpu().double().numpy() for h in heads}
