"""The graph of a fit's training rows, where the encoder looks at one."""

from dataclasses import replace

import torch

from omicsbal._types import Arrays
from omicsbal.config import FitConfig, NetConfig
from omicsbal.graph.build import fused_graph
from omicsbal.graph.patients import PatientGraph
from omicsbal.train.members import Members

EPOCHS = 300  # one step each, since a step computes every row's neighbours anyway


def member_graph(
    data: Arrays, members: Members, net: NetConfig, *, unlabelled: Arrays | None = None, known: PatientGraph | None = None
) -> PatientGraph | None:
    """One graph for each set of rows that a member is trained on; None for an encoder without.

    In the transductive form there is one graph, and the unlabelled rows are part of it, behind the training rows. `known` holds
    graphs made before for other members of the same fit.
    """
    if net.encoder != "graph":
        return None
    parts = [data] if unlabelled is None or net.graph_form == "inductive" else [data, unlabelled]
    x = {m: torch.cat([p.x[m] for p in parts]) for m in data.x}
    present = {m: torch.cat([p.present[m] for p in parts]) for m in data.x}
    scored = members.scored(data.y.device)
    return fused_graph(x, present, scored, k=net.graph_neighbours, form=net.graph_form, known=known)


def schedule_for(net: NetConfig, config: FitConfig, n_rows: int) -> FitConfig:
    """The settings of the loop. On a graph each step computes all rows anyway, so they are the batch unless its size is given."""
    if net.encoder != "graph" or config.batch_size is not None:
        return config
    return replace(config, batch_size=n_rows, max_epochs=config.max_epochs or min(EPOCHS, config.max_steps))
