import pytest

from omicsbal.pl._style import FAMILIES, GREY, INK, look_of, modality_in, modality_looks, shorten


def test_families_keep_their_colour_whatever_the_order():
    for names in (["rna", "atac", "protein"], ["protein", "cnv", "rna", "atac"]):
        looks = modality_looks(names)
        assert {m: looks[m] for m in FAMILIES} == FAMILIES


def test_aliases_share_a_family_but_never_a_look():
    looks = modality_looks(["gex", "RNA", "adt"])
    assert looks["gex"] == FAMILIES["rna"] and looks["adt"] == FAMILIES["protein"]
    assert len(set(looks.values())) == 3


def test_eight_modalities_differ_in_colour_and_marker():
    looks = modality_looks(["rna", "atac", "protein", "cnv", "mirna", "methylation", "ephys", "lipid"])
    assert len({look.color for look in looks.values()}) == len({look.marker for look in looks.values()}) == 8


@pytest.mark.parametrize(
    ("name", "found"),
    [("rna", "rna"), ("lr:rna", "rna"), ("kd/rna->atac", "atac"), ("weight", None), ("my:odd", "my:odd")],
)
def test_modality_is_found_in_a_name(name, found):
    assert modality_in(name, ["rna", "atac", "my:odd"]) == found


def test_joint_heads_are_black_and_strangers_grey():
    looks = modality_looks(["rna"])
    assert look_of("pool", looks).color == look_of("fused", looks).color == INK
    assert look_of("pool", looks).marker != look_of("fused", looks).marker
    assert look_of("entropy", looks).color == GREY


def test_shorten_keeps_names_apart():
    names = [f"a very long name that only ends in a number {i} and so on" for i in range(3)] + ["short"]
    cut = shorten(names)
    assert len(set(cut)) == 4 and cut[3] == "short"
    assert all(len(a) < len(b) for a, b in zip(cut[:3], names[:3], strict=True))
    assert [len(name) for name in shorten(["x" * 40, "y" * 28])] == [28, 28]
