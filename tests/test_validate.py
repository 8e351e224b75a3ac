import math
import re

import numpy as np
import pytest

from omicsbal._validate import check_choice, check_number, listed, nearest, problem


def test_one_wording() -> None:
    assert problem("x", expected="a", found="b", do="Do c.") == "`x`: expected a; found b. Do c."


def test_lists_are_cut_and_say_by_how_much() -> None:
    assert listed("abc") == "'a', 'b', 'c'"
    assert listed(range(11)) == "'0', '1', '2', '3', '4', '5', '6', '7' and 3 more"
    assert listed([]) == ""


def test_the_nearest_name_else_all_of_them() -> None:
    assert nearest("rn", ["protein", "rna"]) == "Did you mean 'rna'?"
    assert nearest("zzz", ["rna", "atac"]) == "Choose from: 'atac', 'rna'."
    assert nearest("zzz", []) == "Choose from: none."
    assert nearest(3, [33, 4]) == "Did you mean '33'?", "names need not be text"


def test_a_choice_is_returned_or_refused_with_all_three_parts() -> None:
    assert check_choice("device", "cpu", iter(["cpu", "cuda"])) == "cpu"
    expected = r"^`device`: expected one of 'cpu', 'cuda'; found 'cud'\. Did you mean 'cuda'\?$"
    for error in (ValueError, KeyError):
        with pytest.raises(error) as caught:
            check_choice("device", "cud", ["cpu", "cuda"], error=error)
        assert re.match(expected, caught.value.args[0])


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5), np.int64(1)])
def test_numbers_within_the_range(value: object) -> None:
    assert check_number("x", value, low=0, high=1) is value


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf, -math.inf])
def test_numbers_outside_the_range(value: float) -> None:
    with pytest.raises(ValueError, match=r"`x`: expected a number of at least 0 and at most 1; found .*\. Pass a value in this"):
        check_number("x", value, low=0, high=1)


def test_the_lower_end_may_be_open() -> None:
    assert check_number("x", 1e-9, low=0, open_low=True) == 1e-9
    with pytest.raises(ValueError, match=r"expected a number above 0; found 0\."):
        check_number("x", 0, low=0, open_low=True)


@pytest.mark.parametrize(
    ("value", "integer"), [("1", False), (None, False), (True, False), (True, True), (2.0, True), ([1], True)]
)
def test_things_that_are_no_number(value: object, integer: bool) -> None:
    kind = "an integer" if integer else "a number"
    with pytest.raises(TypeError, match=rf"`x`: expected {kind} of at least 0; found .*\. Pass {kind}\."):
        check_number("x", value, low=0, integer=integer)


def test_numpy_integers_are_integers() -> None:
    assert check_number("x", np.int32(3), low=1, integer=True) == 3
