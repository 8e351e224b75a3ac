"""Do the tests notice a wrong formula? Breaks each strategy in turn and expects at least one test to fail.

    python tests/mutation_check.py [names ...]

Each tests/balance/test_<name>.py lists `MUTATIONS`, pairs (text of the strategy's source, what to put in its place). Each is
made in a copy of the package, on which that file's tests and the common checks of the strategy are run. Exits with 1 if one of
them survives, that is, if all tests still pass. Not part of `make test`: it takes minutes.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def mutations(test: Path) -> list[tuple[str, str]]:
    """`MUTATIONS` of a test file, read without running it."""
    for node in ast.parse(test.read_text()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "MUTATIONS" for t in node.targets):
            return ast.literal_eval(node.value)
    return []


def survives(name: str, old: str, new: str, copy: Path) -> bool:
    """Whether all tests pass on a copy with one edit; the copy is put right again."""
    source = copy / "omicsbal" / "balance" / f"{name}.py"
    text = source.read_text()
    if text.count(old) != 1:
        sys.exit(f"{name}: {old!r} occurs {text.count(old)} times in {source.name}; expected once. Correct MUTATIONS.")
    source.write_text(text.replace(old, new))
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        for tests in ([f"tests/balance/test_{name}.py"], ["tests/balance/test_common.py", "-k", f"[{name}] or [{name}-"]):
            done = subprocess.run([*run, *tests], cwd=copy, env=environment, capture_output=True, text=True, check=False)
            if done.returncode == 1:
                return False
            if done.returncode != 0:
                sys.exit(f"{name}: pytest could not run\n{done.stdout}{done.stderr}")
        return True
    finally:
        source.write_text(text)


def main() -> None:
    found = {t.stem.removeprefix("test_"): mutations(t) for t in sorted((ROOT / "tests" / "balance").glob("test_*.py"))}
    wanted = sys.argv[1:] or [name for name, edits in found.items() if edits]
    escaped = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in ("omicsbal", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for name in wanted:
            for old, new in found[name]:
                alive = survives(name, old, new, copy)
                escaped += alive
                print(f"{'SURVIVES' if alive else 'noticed '}  {name}: {old!r} -> {new!r}", flush=True)
    print(f"{escaped} of {sum(len(found[n]) for n in wanted)} mutations survive")
    sys.exit(bool(escaped))


if __name__ == "__main__":
    main()
