import numpy as np
import pytest
import torch

from omicsbal.balance import STRATEGIES
from omicsbal.config import NetConfig
from omicsbal.nn.layers import Dropout
from omicsbal.nn.net import MultiOmicsNet
from omicsbal.train.checkpoint import Checkpoint


def moved(toy, device):
    """The toy with its arrays on the device."""
    data = toy.data
    x, present = ({k: v.to(device) for k, v in part.items()} for part in (data.x, data.present))
    return type(toy)(type(data)(x, present, data.y.to(device), data.weight.to(device)), toy.outcome, toy.folds)


def test_dropout_draws_from_the_generator_it_is_given():
    def net(seed):
        return MultiOmicsNet({"a": 4}, 2, members=2, config=NetConfig(width=8), generator=torch.Generator().manual_seed(seed))

    one, two = net(0), net(0)
    two.draw_from(torch.Generator().manual_seed(7))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    x, present = {"a": torch.ones(5, 4)}, {"a": torch.ones(5, dtype=torch.bool)}
    three = net(0)
    three.draw_from(torch.Generator().manual_seed(7))
    a, b, c = (n.train()(x, present).fused for n in (one, two, three))
    assert torch.equal(b, c) and not torch.equal(a, b)
    assert all(m.generator.initial_seed() == 7 for m in two.modules() if isinstance(m, Dropout))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("classes", [3, 0], ids=["classes", "numbers"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_fit_on_a_gpu_is_about_that_on_a_cpu(toy, fit, tmp_path, strategy, classes):
    """Weights start equal; dropout and minibatches are drawn by another generator, so that only scores can agree."""
    data = toy(n=240, classes=classes, absent=0.2)
    there = moved(data, "cuda")
    options = {"strategy": strategy, "max_epochs": 20, "n_full": 2}
    cpu, gpu = fit(data, **options), fit(there, **options, checkpoint=Checkpoint(tmp_path / "run", "mark"))
    assert all(t.device.type == "cuda" for t in gpu.predictor.net.state_dict().values())
    metric = data.outcome.metric
    for head, prediction in cpu.predictions.items():
        spoken = ~np.isnan(prediction[:, 0])
        assert np.array_equal(spoken, ~np.isnan(gpu.predictions[head][:, 0]))
        scores = [data.outcome.scores(data.y[spoken], p[spoken])[metric] for p in (prediction, gpu.predictions[head])]
        assert scores[0] == pytest.approx(scores[1], abs=0.15)  # four seeds on a CPU span up to 0.09
    assert np.isfinite(gpu.predictor.predict(there.data)).all()
    assert all(gpu.predictor.embed(there.data)[s].shape == z.shape for s, z in cpu.predictor.embed(data.data).items())
    again = fit(there, **options, checkpoint=Checkpoint(tmp_path / "run", "mark"))
    np.testing.assert_allclose(again.predictions["pool"], gpu.predictions["pool"], atol=1e-4)
