import pytest
import torch

from omicsbal.balance import STRATEGIES, ModalityDropout, Strategy, Uniform, fresh, name_of, register, strategies


def test_the_table_has_a_row_a_strategy() -> None:
    table = strategies()
    assert table["name"].tolist() == sorted(STRATEGIES)
    columns = ["name", "summary", "paper", "needs", "cost", "tasks", "confidence", "arguments", "fused", "unimodal"]
    assert table.columns.tolist() == columns
    assert table["summary"].str.len().min() > 10
    assert set(table["confidence"]) == {"faithful", "our reconstruction", "own"}
    sourced = table["paper"].str.contains(r"arXiv:\d{4}\.\d{4,5}|doi:10\.", regex=True)
    assert (sourced | (table["confidence"] == "own")).all(), table.loc[~sourced, ["name", "paper"]]
    assert (table["cost"] > 0).all() and table["tasks"].str.contains("classification").all()
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


@pytest.fixture
def registry(monkeypatch):
    """A copy that a test may add to."""
    from omicsbal import balance

    monkeypatch.setattr(balance, "STRATEGIES", dict(STRATEGIES))
    return balance.STRATEGIES


def test_a_users_own_strategy_gets_a_name(registry) -> None:
    register("halved", Halved)
    register("halved", Halved)  # a cell that is run again
    assert type(fresh("halved")) is Halved and name_of(Halved(0.1)) == "halved"
    assert "halved" in set(strategies()["name"])


class Unkept(Strategy):
    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()


class Bare(Strategy):
    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight


@pytest.mark.parametrize(
    ("name", "cls", "error", "told"),
    [
        ("uniform", Halved, ValueError, "'uniform', which is Uniform"),
        ("My method", Halved, ValueError, "lower-case Python identifier"),
        ("mine", Halved(), TypeError, "a subclass of ob.balance.Strategy; found Halved"),
        ("mine", dict, TypeError, "a subclass of ob.balance.Strategy; found dict"),
        ("mine", Bare, TypeError, r"\['weight'\] without default"),
        ("mine", Unkept, ValueError, r"\['weight'\] missing"),
    ],
)
def test_what_cannot_be_registered(registry, name, cls, error, told) -> None:
    before = dict(registry)
    with pytest.raises(error, match=told):
        register(name, cls)
    assert registry == before
