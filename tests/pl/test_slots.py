"""Tables read back from slots."""

import numpy as np
import pandas as pd
import pytest

from omicsbal.pl._slots import read_table

READ = {"words": ["who"], "numbers": ["value"], "run": "ob.tl.measure(model, mdata)"}


def test_plain_columns_whatever_a_file_made_of_them(fitted):
    mdata = fitted()
    table = pd.DataFrame({"value": [1, 2], "more": [3, 4], "who": pd.Categorical(["a", "b"])}, index=["x", "y"])
    mdata.uns["mine"] = {"made": table}
    read = read_table(mdata, "mine", "made", **READ)
    assert read["who"].tolist() == ["a", "b"] and read["who"].dtype != "category" and read["value"].dtype == float
    assert list(read.columns) == ["value", "more", "who"] and list(read.index) == [0, 1]
    assert mdata.uns["mine"]["made"] is table and list(table.index) == ["x", "y"], "a copy is returned"


def test_no_rows_need_no_columns(fitted):
    mdata = fitted()
    mdata.uns["mine"] = {"made": pd.DataFrame()}
    read = read_table(mdata, "mine", "made", **READ)
    assert read.empty and list(read.columns) == ["who", "value"]


def test_what_is_missing_is_named_with_what_to_run(fitted):
    mdata = fitted()
    mdata.uns["a list"] = ["no", "slots"]
    words = r"'mine'\]\['made'\]`: expected a table of ob\.tl\.measure; found nothing under that key\. "
    with pytest.raises(KeyError, match=words + r"Run ob\.tl\.measure\(model, mdata\) first\.\""):
        read_table(mdata, "mine", "made", **READ)
    mdata.uns["mine"], mdata.uns["yours"] = {"else": 1}, {"made": pd.DataFrame({"who": ["a"]})}
    with pytest.raises(KeyError, match=r"found only 'else'\. Run .* first, or pass key_added='yours', where there is one\."):
        read_table(mdata, "mine", "made", **READ)
    with pytest.raises(KeyError, match=r"a DataFrame with columns 'who', 'value'; found none called 'value'\. Run .* again\."):
        read_table(mdata, "yours", "made", **READ)
    mdata.uns["yours"]["made"] = np.arange(3)
    with pytest.raises(KeyError, match="found none called 'who', 'value'"):
        read_table(mdata, "yours", "made", **READ)
