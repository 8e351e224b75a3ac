import pytest
import torch

from omicsbal.balance import STRATEGIES, ModalityDropout, Strategy, Uniform, fresh, name_of, strategies


def test_the_table_has_a_row_a_strategy() -> None:
    table = strategies()
    assert table["name"].tolist() == sorted(STRATEGIES)
    assert table.columns.tolist() == ["name", "summary", "arguments", "fused", "unimodal"]
    assert table["summary"].str.len().min() > 10
    assert table.set_index("name").loc["modality_dropout", "arguments"] == "(rate: float = 0.3)"


@pytest.mark.parametrize("name", STRATEGIES)
def test_names_go_both_ways(name: str) -> None:
    assert type(fresh(name)) is STRATEGIES[name] and name_of(fresh(name)) == name
    own = f"omicsbal.balance.{name}", f"omicsbal.balance._{name}"  # with an underscore where others build on it
    assert STRATEGIES[name].__module__ in own, "one file a strategy, named after it"


def test_fresh_makes_a_new_one_with_the_same_settings() -> None:
    given = ModalityDropout(rate=0.7)
    made = fresh(given)
    assert made is not given and made.rate == 0.7


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"`strategy`: expected one of .*; found 'unifrom'\. Did you mean 'uniform'\?"):
        fresh("unifrom")


@pytest.mark.parametrize("thing", [None, 3, Uniform])
def test_neither_a_name_nor_a_strategy(thing: object) -> None:
    with pytest.raises(TypeError, match=r"`strategy`: expected a name or a Strategy; found \w+\. Pass a name from"):
        fresh(thing)  # type: ignore[arg-type]


class Halved(Strategy):
    """A strategy of the user's own: weighs one term, for members and plain numbers alike."""

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = weight

    def weights(self, state, losses, outputs, batch):
        return {"fused": self.weight, "a": torch.tensor([1.0, 0.0])}


def test_weights_scale_gradients_by_term_and_member(bench) -> None:
    gradients = {}
    for strategy in (Uniform(), Halved(0.25)):
        case = bench(strategy)
        case.advance()
        gradients[type(strategy)] = {n: p.grad for n, p in case.run.net.named_parameters()}
    plain, weighed = gradients[Uniform], gradients[Halved]
    joint, head = "joint_head.linear.weight", "heads.0.weight"
    torch.testing.assert_close(weighed[joint], 0.25 * plain[joint])
    torch.testing.assert_close(weighed[head][0], plain[head][0])
    assert not weighed[head][1].any()


def test_a_users_own_strategy_goes_by_its_class(bench) -> None:
    assert name_of(Halved()) == "Halved"
    assert fresh(Halved(0.1)).weight == 0.1
