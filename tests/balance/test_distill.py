"""The teacher's loss: what it is, whom it reaches, and when it ends."""

import pytest
import torch
from torch.nn import functional

from omicsbal._keys import KD_GATE
from omicsbal._types import References
from omicsbal.balance import Distill
from omicsbal.balance._gate import decay
from omicsbal.config import FitConfig
from omicsbal.train.trainer import make_optimizer

SCORES = {"a": 0.9, "b": 0.5, "c": 0.3}


def references(case, *, scores=SCORES, members=2, width=4):
    """Of teachers that say something different of each row to each member."""
    n, c = len(case.state.data), case.state.task.n_out
    draw = torch.Generator().manual_seed(7)
    targets = {m: torch.randn(members, n, c, generator=draw) for m in scores}
    spaces = {m: torch.randn(members, n, width, generator=draw) for m in scores}
    held_out, embeddings = ({m: v[0] for m, v in space.items()} for space in (targets, spaces))
    return References(torch.arange(n) % 3, dict(scores), held_out, targets, embeddings, spaces.__getitem__)


@pytest.fixture
def lesson(bench):
    """Maker: a bench whose strategy has been set up with references."""

    def _make(strategy, *, known=None, **options):
        case = bench(strategy, **options)
        case.state.references = known or references(case, scores={m: SCORES[m] for m in case.state.data.x})
        case.run.strategy.setup(case.state)
        case.run.optimizer = make_optimizer(case.run.net, case.run.strategy, FitConfig(learning_rate=0.01))
        return case

    return _make


def losses_of(case):
    """Losses, weights, and outputs of the rows as one batch."""
    outputs = case.run.net(case.batch.x, case.batch.present)
    losses = {name: term(outputs, case.batch)[0] for name, term in case.terms.items()}
    losses |= {name: mean for name, (mean, _) in case.run.strategy.terms(case.state, outputs, case.batch).items()}
    return losses, case.run.strategy.weights(case.state, losses, outputs, case.batch), outputs


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
def test_the_loss_is_cross_entropy_and_softened_divergence_in_their_shares(lesson, temperature):
    case = lesson(Distill(weight=0.4, temperature=temperature, teachers={"b": "a"}))
    losses, weights, outputs = losses_of(case)
    assert set(losses) == {"a", "b", "c", "kd:b"}
    assert (weights["b"], weights["kd:b"]) == (0.6, 0.4) and "a" not in weights and "c" not in weights
    target = case.state.references.targets["a"]
    for k in range(2):
        rows = (case.batch.scored[k] > 0) & case.batch.present["a"] & case.batch.present["b"]
        log_q = (outputs.unimodal["b"][k][rows] / temperature).log_softmax(-1)
        p = (target[k][rows] / temperature).softmax(-1)
        expected = temperature**2 * functional.kl_div(log_q, p, reduction="batchmean")
        torch.testing.assert_close(losses["kd:b"][k], expected)
    case.run.strategy.backward(case.state, losses, weights)
    heads = list(case.run.net.groups()["head/b"])
    again = losses_of(case)[0]
    expected = torch.autograd.grad((0.6 * again["b"] + 0.4 * again["kd:b"]).sum(), heads)
    torch.testing.assert_close([p.grad for p in heads], list(expected))


def test_a_teacher_that_says_the_same_teaches_nothing(lesson):
    case = lesson(Distill(teachers={"b": "a"}))
    outputs = losses_of(case)[2]
    case.run.strategy.targets["a"] = outputs.unimodal["b"].detach().log_softmax(-1)
    loss = losses_of(case)[0]["kd:b"]
    assert loss.tolist() == pytest.approx([0, 0], abs=1e-6)
    slope = torch.autograd.grad(loss.sum(), list(case.run.net.groups()["head/b"]))
    assert max(float(g.abs().max()) for g in slope) < 1e-6


def test_the_gradients_size_hardly_depends_on_the_temperature(lesson):
    sizes = []
    for temperature in (1.0, 2.0, 4.0, 8.0):
        case = lesson(Distill(temperature=temperature, teachers={"b": "a"}))
        slope = torch.autograd.grad(losses_of(case)[0]["kd:b"].sum(), list(case.run.net.groups()["head/b"]))
        sizes.append(float(torch.cat([g.flatten() for g in slope]).norm()))
    assert max(sizes) / min(sizes) < 1.5, "without T^2 the last would be a sixty-fourth of the first"


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 7, 10, 100, 101])
def test_the_weight_is_constant_until_the_last_fifth_and_zero_at_the_end(epochs):
    found = [decay(e, epochs) for e in range(epochs)]
    assert found[-1] == 0 and found == sorted(found, reverse=True)
    assert all(f == 1 for e, f in enumerate(found) if e + 1 <= 0.8 * epochs)
    assert all(f < 1 for e, f in enumerate(found) if e + 1 > 0.8 * epochs)


def test_weights_over_ten_epochs_and_in_the_history(lesson):
    case = lesson(Distill(weight=0.3, feature=2.0, relation=4.0, teachers={"b": "a"}))
    case.state.n_epochs, told = 10, []
    for case.state.epoch in range(10):
        w = losses_of(case)[1]
        assert w["b"] + w["kd:b"] == pytest.approx(1)
        told.append((w["kd:b"], w["feature:b"], w["relation:b"], case.state.signals["kd_weight:b"]))
    assert told == [pytest.approx(v) for v in [(0.3, 2, 4, 0.3)] * 8 + [(0.15, 1, 2, 0.15), (0, 0, 0, 0)]]
    assert told[-1] == (0, 0, 0, 0), "exactly"


def test_rows_without_teacher_or_student_and_rows_that_are_not_scored_teach_nothing(lesson):
    """Whatever stands there in the targets and in the embeddings."""
    case = lesson(Distill(feature=1.0, relation=1.0, teachers={"b": "a", "a": "c"}))
    strategy, here = case.run.strategy, case.batch.present
    before = losses_of(case)[0]
    for teacher, student in (("a", "b"), ("c", "a")):
        blind = ~((case.batch.scored > 0) & here[teacher] & here[student])
        assert blind.any() and not blind.all()
        strategy.targets[teacher] = strategy.targets[teacher].masked_fill(blind.unsqueeze(-1), 100.0)
        strategy.spaces[teacher] = strategy.spaces[teacher].masked_fill(blind.unsqueeze(-1), 100.0)
    after = losses_of(case)[0]
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    strategy.targets["a"] = -strategy.targets["a"]
    assert (losses_of(case)[0]["kd:b"] != before["kd:b"]).all(), "the other rows do"


def test_each_member_has_a_teacher_of_its_own(lesson):
    case = lesson(Distill(teachers={"b": "a"}))
    before = losses_of(case)[0]["kd:b"]
    case.run.strategy.targets["a"] = case.run.strategy.targets["a"].clone()
    case.run.strategy.targets["a"][1] *= -1
    after = losses_of(case)[0]["kd:b"]
    assert before[0] == after[0] and before[1] != after[1]


def test_targets_follow_the_rows_of_the_batch(lesson):
    from omicsbal.train.batches import pick

    case = lesson(Distill(relation=1.0, feature=1.0, teachers={"b": "a"}), n=12)
    index = torch.tensor([7, 1, 4])
    case.batch = pick(case.state.data, case.state.scored, index)
    small = losses_of(case)[0]
    for values in (case.run.strategy.targets, case.run.strategy.spaces):
        values["a"] = values["a"].clone()
        values["a"][:, [i for i in range(12) if i not in index]] = 50.0
    assert all(torch.equal(v, small[name]) for name, v in losses_of(case)[0].items())


@pytest.mark.parametrize("term", ["kd:b", "feature:b", "relation:b"])
def test_gradients_reach_the_student_alone(lesson, term):
    case = lesson(Distill(feature=1.0, relation=1.0, teachers={"b": "a"}))
    with torch.no_grad():
        for p in case.run.net.parameters():
            p.add_(0.1)
    losses_of(case)[0][term].sum().backward()
    reached = {purpose for purpose, ps in case.run.net.groups().items() if any(p.grad is not None and p.grad.any() for p in ps)}
    assert reached == {"encoder/b", "route/b"} | ({"head/b"} if term == "kd:b" else set())
    learned = [p for p in case.run.strategy.parameters() if p.grad is not None and p.grad.any()]
    assert len(learned) == (term == "feature:b")


def test_the_projection_starts_as_identity_and_is_learned_by_each_member(lesson):
    case = lesson(Distill(feature=1.0, teachers={"b": "a", "c": "a"}))
    first, second = case.run.strategy.projections
    assert first.shape == (2, 4, 4) and torch.equal(first[0], torch.eye(4)) and torch.equal(first, second)
    case.advance(3)
    assert not torch.equal(first[0], torch.eye(4)) and not torch.equal(first[0], first[1]) and not torch.equal(first, second)


def test_further_terms_are_there_where_they_weigh_something(lesson):
    for settings, expected in (({}, {"kd"}), ({"feature": 0.1}, {"kd", "feature"}), ({"relation": 0.1}, {"kd", "relation"})):
        case = lesson(Distill(teachers={"b": "a"}, **settings))
        assert {name.partition(":")[0] for name in losses_of(case)[0]} == {"a", "b", "c", *expected}
        assert len(list(case.run.strategy.parameters())) == ("feature" in settings)


def test_what_has_no_teacher_trains_as_if_alone(bench, lesson):
    """Bit for bit, and the student does not."""
    alone, taught, shut = bench("unimodal"), lesson(Distill(teachers={"b": "a"})), lesson(Distill("never"))
    nobody = lesson(Distill("always", margin=0.7))
    for case in (alone, taught, shut, nobody):
        case.advance(4)
    assert nobody.run.strategy.tables[KD_GATE] and not nobody.run.strategy.taught
    expected = alone.weights()
    for name, p in expected.items():
        assert torch.equal(shut.weights()[name], p) and torch.equal(nobody.weights()[name], p)
    owner = {id(p): purpose for purpose, ps in taught.run.net.groups().items() for p in ps}
    moved = {owner[id(p)] for name, p in taught.run.net.named_parameters() if not torch.equal(p, expected[name])}
    assert {"encoder/b", "head/b"} <= moved and all(purpose.endswith("/b") for purpose in moved)


def test_always_takes_the_best_teacher(lesson):
    case = lesson(Distill("always"))
    assert case.run.strategy.taught == {"b": ("a", 0.3), "c": ("a", 0.3)}
    chosen = {(r["teacher"], r["student"]): r["weight"] for r in case.run.strategy.tables[KD_GATE] if r["chosen"]}
    assert chosen == {("a", "b"): 0.3, ("a", "c"): 0.3}


def test_named_teachers_teach_whatever_the_gate_says(lesson):
    case = lesson(Distill("never", weight=0.5, teachers={"a": "c"}))
    assert case.run.strategy.references and case.run.strategy.taught == {"a": ("c", 0.5)}
    records = {(r["teacher"], r["student"]): (r["decision"], r["chosen"], r["weight"]) for r in case.run.strategy.tables[KD_GATE]}
    assert records.pop(("c", "a")) == ("named", 1, 0.5)
    assert set(records.values()) == {("not named", 0, 0.0)} and len(records) == 5
    assert lesson(Distill(teachers={})).run.strategy.taught == {}, "an empty dictionary names nobody"


@pytest.mark.parametrize("teachers", [{"b": "d"}, {"d": "a"}, {"b": "b"}])
def test_teachers_that_are_no_other_modality_are_refused(lesson, teachers):
    with pytest.raises(
        ValueError, match=r"`teachers`: expected \{student: teacher\}, two different ones of \['a', 'b', 'c'\]; found"
    ):
        lesson(Distill(teachers=teachers))


def test_pilots_try_every_eligible_teacher_once_and_nobody_itself(bench):
    case = bench("distill")
    rounds = Distill("pilot", weight=0.2).pilots(references(case))
    assert [teachers for teachers, _ in rounds] == [{"b": "a", "c": "a"}, {"c": "b"}]
    assert [s.teachers for _, s in rounds] == [teachers for teachers, _ in rounds] and all(s.weight == 0.2 for _, s in rounds)
    level = references(case, scores={"a": 0.5, "b": 0.5, "c": 0.5})
    assert Distill("pilot").pilots(level) == []
    tried = [pair for teachers, _ in Distill("pilot", margin=0).pilots(level) for pair in teachers.items()]
    assert sorted(tried) == [(s, t) for s in "abc" for t in "abc" if s != t]
    assert Distill("mi").pilots(level) == [] and Distill("pilot", margin=0, teachers={"a": "b"}).pilots(level) == []


def test_a_pilot_is_taught_as_the_fold_members_are(bench, lesson):
    known = references(bench("distill"), members=5)  # three members that saw every row stay at home
    case = lesson(Distill(relation=1.0, teachers={"b": "a"}), known=known)
    assert torch.equal(case.run.strategy.targets["a"], known.targets["a"][:2])
    assert torch.equal(case.run.strategy.spaces["a"], known.features("a")[:2])


def test_numbers_are_taught_by_the_distance_of_predictions(lesson):
    for temperature in (1.0, 5.0):
        case = lesson(Distill(temperature=temperature, teachers={"b": "a"}), classes=0)
        losses, _, outputs = losses_of(case)
        mask = case.batch.scored * case.batch.present["a"] * case.batch.present["b"]
        apart = (outputs.unimodal["b"] - case.state.references.targets["a"]).squeeze(-1) ** 2
        torch.testing.assert_close(losses["kd:b"], (apart * mask).sum(1) / mask.sum(1))


def test_after_training_nothing_of_the_lesson_is_left(lesson):
    case = lesson(Distill(feature=1.0, teachers={"b": "a"}))
    case.advance(2)
    assert list(case.run.strategy.state_dict())
    case.run.strategy.finish()
    assert not case.run.strategy.state_dict() and not case.run.strategy.targets and not case.run.strategy.taught


def test_without_references_nobody_is_taught(bench):
    case = bench(Distill("always"))
    assert case.run.strategy.taught == {} and case.run.strategy.tables == {} and set(case.advance()) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"gate": "ajar"}, "`gate`: expected one of 'mi', 'pilot', 'always', 'never'; found 'ajar'"),
        ({"weight": 1.5}, "`weight`: expected a number of at least 0 and at most 1; found 1.5"),
        ({"temperature": 0}, "`temperature`: expected a number above 0; found 0"),
        ({"feature": -1}, "`feature`"),
        ({"relation": -1}, "`relation`"),
        ({"space": "pca"}, "`space`: expected one of 'logit', 'embedding'"),
        ({"margin": -0.1}, "`margin`"),
    ],
)
def test_settings_outside_their_range_are_refused(settings, match):
    with pytest.raises(ValueError, match=match):
        Distill(**settings)
    with pytest.raises(TypeError, match="`weight`: expected a number"):
        Distill(weight="much")
