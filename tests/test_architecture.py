"""The rules of the house, read off the source: who may import whom, sizes, and what never occurs. Each rule is shown to fail."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import omicsbal

PACKAGE = Path(omicsbal.__file__).parent
SOURCES = {p.relative_to(PACKAGE).as_posix(): p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py"))}

# Downward only. A folder is one unit; so are the files of floor 0. Strategies are units of their own. The command line and the
# report stand above the verbs that they call.
FLOORS = {
    "cli": 10,
    "demo": 9,
    "_arguments": 9,
    "_report": 9,
    "files": 8,
    "tl": 7,
    "pl": 7,
    "io": 7,
    "datasets": 7,
    "model": 6,
    "loader": 5,
    "diagnostics": 5,
    "pp": 5,
    "train": 4,
}
FLOORS |= {
    "balance": 3,
    "nn": 1,
    "objectives": 1,
    "mi": 1,
    "graph": 1,
    "_types": 0,
    "_keys": 0,
    "_store": 0,
    "_validate": 0,
    "config": 0,
}
DATA_LIBRARIES = {"anndata", "mudata", "muon", "scanpy"}  # tensors below, MuData above
PICKLES = {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
UNPICKLERS = {"torch.load", "torch.save", "joblib.load", "joblib.dump"}
SEEDED = {"default_rng", "Generator", "SeedSequence", "BitGenerator", "PCG64", "Philox"}
API = ("tl", "pl", "pp", "io", "datasets")
OBJECTS = {"tl": 2, "pp": 3}  # tl verbs take the model, then the MuData; pp has building blocks on pairs and triples; others one


def place(parts: list[str]) -> tuple[int, str]:
    """Floor and unit of a module of the package, given as the parts of its dotted name."""
    first = parts[0]
    if first not in FLOORS:
        return 99, first
    if first == "balance" and len(parts) > 1:
        return (2, "balance._") if parts[1].startswith("_") else (3, f"balance.{parts[1]}")
    return FLOORS[first], "floor 0" if FLOORS[first] == 0 else first


def own_parts(path: str) -> list[str]:
    parts = path.removesuffix(".py").split("/")
    return parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts


def imported(path: str, tree: ast.Module) -> Iterator[str]:
    """Absolute dotted name of everything imported anywhere in the file, functions and type checking included."""
    folder = ["omicsbal", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(folder[: len(folder) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{stem}.{node.attr}" if isinstance(node, ast.Attribute) and (stem := dotted(node.value)) else ""


def downward(path: str, tree: ast.Module) -> Iterator[str]:
    """Imports go down; sideways only within a unit; the registry may name the strategies."""
    parts = own_parts(path)
    if parts == ["__init__"]:
        yield from (f"the top file imports {name}" for name in imported(path, tree) if name.startswith("omicsbal."))
        return
    floor, unit = place(parts)
    if floor == 99:
        yield f"{parts[0]} has no floor: give it one in tests/test_architecture.py"
    for name in imported(path, tree):
        target = name.split(".")[1:]
        if not name.startswith("omicsbal.") or target == ["__version__"]:
            continue
        below, other = place(target)
        listed = unit == "balance" and other.startswith("balance.")
        if not (below < floor or other == unit or listed):
            yield f"imports {name} (floor {below}) from floor {floor}"
        if unit == "train" and below == 3:
            yield f"imports {name}: a strategy is handed to the trainer, which must not know which one it is"


def borders(path: str, tree: ast.Module) -> Iterator[str]:
    """Which libraries a floor may know."""
    parts = own_parts(path)
    if parts == ["__init__"]:
        return
    floor = place(parts)[0]
    banned = (DATA_LIBRARIES if floor <= 4 else set()) | ({"matplotlib", "seaborn"} if floor <= 5 else set())
    banned = banned | ({"torch"} if parts[0] in ("pl", "pp") else set())
    yield from (f"imports {name}" for name in imported(path, tree) if name.split(".")[0] in banned)
    if parts[0] in ("pl", "pp"):
        yield from (f"imports {name}" for name in imported(path, tree) if name.startswith("safetensors.torch"))


def size(path: str, tree: ast.Module, source: str = "") -> Iterator[str]:
    """One idea a file."""
    lines = (source or SOURCES.get(path, "")).count("\n")
    folder, name = path.rpartition("/")[::2]
    most = 120 if folder == "balance" and not name.startswith("_") else 260
    if lines > most:
        yield f"{lines} lines, at most {most}"


def names(path: str, tree: ast.Module) -> Iterator[str]:
    """A file says what it is about."""
    if Path(path).stem.strip("_") in {"utils", "util", "helpers", "misc", "common"}:
        yield "a name that says nothing"


def safety(path: str, tree: ast.Module) -> Iterator[str]:
    """A stranger's file cannot run code."""
    yield from (
        f"imports {n}" for n in imported(path, tree) if n.split(".")[0] in {"pickle", "dill", "cloudpickle", "shelve", "marshal"}
    )
    yield from (f"imports {n}" for n in imported(path, tree) if n in UNPICKLERS)
    for node in ast.walk(tree):
        if dotted(node) in UNPICKLERS:
            yield f"uses {dotted(node)}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and getattr(node.value, "value", True):
            yield "allows pickle"
        if isinstance(node, ast.Call) and dotted(node.func) in {"eval", "exec"}:
            yield f"uses {dotted(node.func)}"


def quiet(path: str, tree: ast.Module) -> Iterator[str]:
    """The library prints nothing; the command line may."""
    if path != "cli.py":
        yield from ("prints" for node in ast.walk(tree) if isinstance(node, ast.Call) and dotted(node.func) == "print")


def seeded(path: str, tree: ast.Module) -> Iterator[str]:
    """Generators are passed; nothing draws from, or sets, global state."""
    yield from (f"imports {n}" for n in imported(path, tree) if n.split(".")[0] in {"random"})
    for node in ast.walk(tree):
        name = dotted(node)
        root, _, last = name.rpartition(".")
        if root in {"np.random", "numpy.random"} and last not in SEEDED:
            yield f"uses {name}"
        if name in {"torch.manual_seed", "torch.seed", "torch.cuda.manual_seed_all", "torch.set_default_dtype"}:
            yield f"uses {name}"


def exported(folder: str) -> set[str]:
    """``__all__`` of a sub-package, read without importing it."""
    for node in ast.walk(ast.parse(SOURCES.get(f"{folder}/__init__.py", ""))):
        if isinstance(node, ast.Assign) and any(dotted(t) == "__all__" for t in node.targets):
            return {e.value for e in getattr(node.value, "elts", []) if isinstance(e, ast.Constant)}
    return set()


def public(path: str, tree: ast.Module, told: set[str] | None = None) -> Iterator[str]:
    """Verbs: the object first, all else keyword-only; each argument explained; an example that runs."""
    folder = path.split("/")[0]
    if folder not in API:
        return
    told = exported(folder) if told is None else told
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name not in told or node.name.startswith("_"):
            continue
        doc = ast.get_docstring(node) or ""
        positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if len(positional) > OBJECTS.get(folder, 1):
            yield f"{node.name}: {positional} can be passed by position"
        if node.args.defaults:
            yield f"{node.name}: an option (an argument with a default) can be passed by position"
        if "Examples\n-----" not in doc:
            yield f"{node.name}: no example"
        explained = {word.strip(" ,*") for line in doc.splitlines() if line[:1] not in ("", " ") for word in line.split(",")}
        missing = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs) if a.arg not in explained]
        if missing:
            yield f"{node.name}: {missing} not explained"


RULES: list[Callable[..., Iterator[str]]] = [downward, borders, size, names, safety, quiet, seeded, public]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    broken = [f"omicsbal/{path}: {why}" for path, source in SOURCES.items() for why in rule(path, ast.parse(source))]
    assert not broken, "\n".join(broken)


def unused_keys(keys: str, others: list[str]) -> set[str]:
    """Names that the file of slots defines and no other file reads."""
    defined = set()
    for node in ast.parse(keys).body:
        if isinstance(node, ast.Assign):
            defined |= {dotted(target) for target in node.targets}
        elif isinstance(node, ast.ClassDef):
            defined |= {f.name for f in node.body if isinstance(f, ast.FunctionDef)}
    used = set()
    for source in (keys, *others):
        nodes = list(ast.walk(ast.parse(source)))
        used |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        used |= {alias.name for n in nodes if isinstance(n, ast.ImportFrom) for alias in n.names}
    return defined - used


def test_every_slot_has_a_reader_or_writer():
    assert not unused_keys(SOURCES["_keys.py"], [s for p, s in SOURCES.items() if p != "_keys.py"])


VERB = """def fit(mdata, *, label_key):
    '''Fit.

    Parameters
    ----------
    mdata
        Data.
    label_key
        Label.
"""
EXAMPLE = "\n    Examples\n    --------\n    >>> 1\n    1\n    '''\n"


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (downward, "nn/net.py", "def f():\n    from omicsbal.train import trainer"),
        (downward, "nn/net.py", "from omicsbal.objectives.tasks import Task"),
        (downward, "nn/net.py", "from ..mi import gaussian"),
        (downward, "pl/_scores.py", "import omicsbal.tl.fit"),
        (downward, "train/trainer.py", "from omicsbal.balance.ogm import OGM"),
        (downward, "train/trainer.py", "from omicsbal.balance import ogm"),
        (downward, "balance/ogm.py", "from omicsbal.balance.pmr import PMR"),
        (downward, "balance/_base.py", "from omicsbal.balance.pmr import PMR"),
        (downward, "_types.py", "from omicsbal.nn.net import Net"),
        (downward, "newcomer/a.py", ""),
        (downward, "__init__.py", "from omicsbal.tl import fit"),
        (borders, "train/fitted.py", "from mudata import MuData"),
        (borders, "nn/net.py", "def f():\n    import scanpy as sc"),
        (borders, "diagnostics/a.py", "import matplotlib.pyplot as plt"),
        (borders, "pp/recipes.py", "def f():\n    from torch import nn"),
        (borders, "pl/_scores.py", "import torch"),
        (size, "nn/net.py", "\n" * 261),
        (size, "balance/ogm.py", "\n" * 121),
        (names, "pp/utils.py", ""),
        (names, "nn/_helpers.py", ""),
        (safety, "train/checkpoint.py", "import pickle"),
        (safety, "train/checkpoint.py", "import torch\ntorch.load('a', weights_only=True)"),
        (safety, "train/checkpoint.py", "from joblib import load"),
        (safety, "train/checkpoint.py", "np.load('a', allow_pickle=True)"),
        (quiet, "tl/_fit.py", "print(1)"),
        (seeded, "mi/ksg.py", "import numpy as np\nnp.random.normal()"),
        (seeded, "mi/ksg.py", "import random"),
        (seeded, "nn/net.py", "torch.manual_seed(0)"),
        (public, "pl/_fit.py", VERB.replace("mdata, *, l", "mdata, l") + EXAMPLE),
        (public, "tl/_fit.py", VERB + "    '''\n"),
        (public, "tl/_fit.py", VERB.replace("mdata, *, label_key", "mdata, label_key=None") + EXAMPLE),
        (public, "pp/_fit.py", VERB.replace("    label_key\n", "") + EXAMPLE),
    ],
)
def test_each_rule_can_fail(rule, path, source):
    more = {size: {"source": source}, public: {"told": {"fit"}}}.get(rule, {})
    assert list(rule(path, ast.parse(source), **more))


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        (downward, "nn/net.py", "from omicsbal.nn.layers import A\nfrom omicsbal._types import Batch\nfrom .fusion import F"),
        (downward, "_types.py", "from omicsbal.config import NetConfig"),
        (downward, "balance/__init__.py", "from omicsbal.balance.ogm import OGM\nfrom omicsbal.balance._base import Strategy"),
        (downward, "balance/ogm.py", "from omicsbal.balance._base import Strategy\nfrom omicsbal.mi import gaussian"),
        (downward, "train/trainer.py", "from omicsbal.balance._base import Strategy\nfrom omicsbal import __version__"),
        (downward, "cli.py", "def f():\n    from omicsbal import tl\n    from omicsbal._report import report"),
        (borders, "nn/net.py", "import torch, numpy"),
        (borders, "pl/_scores.py", "def f():\n    import matplotlib, scanpy"),
        (size, "balance/_base.py", "\n" * 200),
        (quiet, "cli.py", "print(1)"),
        (seeded, "mi/ksg.py", "def f(rng: np.random.Generator):\n    return np.random.default_rng(0), rng.random()"),
        (public, "tl/_fit.py", VERB.replace("mdata, *, l", "mdata, l") + EXAMPLE),
        (public, "pl/_fit.py", VERB + EXAMPLE),
    ],
)
def test_each_rule_can_pass(rule, path, source):
    more = {size: {"source": source}, public: {"told": {"fit"}}}.get(rule, {})
    assert not list(rule(path, ast.parse(source), **more))


def test_an_unused_slot_is_noticed():
    keys = "A = 'a'\nB = 'b'\nclass Keys:\n    def used(self): ...\n    def forgotten(self): ...\n"
    assert unused_keys(keys, ["from omicsbal._keys import A\nkeys.used"]) == {"B", "forgotten"}
