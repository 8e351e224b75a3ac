"""Run by test_checkpoint.py in a process of its own: fits that are killed with SIGKILL, until one gets to its end.

``python killed_fit.py FOLDER SEED`` prints one JSON object: digest of an uninterrupted fit, that of the one that was killed and
resumed, and the epochs in the checkpoint after each kill. It fails where a kill leaves a file that cannot be read.
"""

import hashlib
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

EPOCHS = 30
KILLS = 5


def digest(model: Any, mdata: Any) -> str:
    """Of every weight, the history and the predictions."""
    total = hashlib.sha256()
    for value in model.predictor.net.state_dict().values():
        total.update(value.numpy().tobytes())
    total.update(model.history.to_json().encode())
    total.update(mdata.obs["omicsbal_confidence"].to_numpy().tobytes())
    return total.hexdigest()


def child(mdata: Any, checkpoint: Path | None, out: Path) -> int:
    """Fork a process that fits; it writes its digest to `out` only at the end."""
    pid = os.fork()
    if pid:
        return pid
    import omicsbal as ob
    from omicsbal.train import checkpoint as module

    module.EVERY = 0.0  # save after every epoch, so that most kills fall near or into a save
    net, config = ob.NetConfig(width=8, depth=1, latent=4), ob.FitConfig(max_epochs=EPOCHS, n_members=1, batch_size=32)
    model = ob.tl.fit(
        mdata, label_key="cell_type", strategy="modality_dropout", n_folds=2, experts=False, net=net, config=config,
        checkpoint=checkpoint, progress=False, device="cpu",
    )  # fmt: skip
    out.write_text(digest(model, mdata))
    os._exit(0)


def epoch_of(path: Path) -> int:
    """Epochs in the checkpoint; fails on half a file."""
    from safetensors import safe_open

    if not path.exists():
        return 0
    with safe_open(path, framework="pt") as file:
        assert all(file.get_tensor(key) is not None for key in file.keys())  # noqa: SIM118
        return int(json.loads(file.metadata()["run"])["epoch"])


def main(folder: Path, seed: int) -> None:
    """Fit once in peace, then with kills at random moments."""
    import sklearn.linear_model
    import torch

    import omicsbal as ob
    import omicsbal.tl  # here, so that the children inherit what is imported and the kills fall into the fit

    assert sklearn.linear_model

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng, path = np.random.default_rng(seed), folder / "run.safetensors"
    mdata = ob.datasets.simulate(n_obs=80, n_truth=200, preset="redundant", n_features={"rna": 40, "atac": 40, "protein": 8})
    os.waitpid(child(mdata, None, folder / "whole"), 0)
    began = [0]
    for _ in range(KILLS):
        pid, aim = child(mdata, path, folder / "resumed"), min(began[-1] + rng.integers(0, 6), EPOCHS)
        while epoch_of(path) < aim and not os.waitpid(pid, os.WNOHANG)[0]:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))  # an epoch takes about 10 ms, a save a few
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        began.append(epoch_of(path))
    os.waitpid(child(mdata, path, folder / "resumed"), 0)
    told = {name: (folder / name).read_text() for name in ("whole", "resumed")}
    sys.stdout.write(json.dumps(told | {"began": began}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
