#!/usr/bin/env bash
# Builds sdist and wheel, looks that they hold the package alone, and runs some tests of the installed wheel from outside the
# checkout. What it needs is borrowed from .venv by a .pth line: pip would take minutes to install the same again.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python="$root/.venv/bin/python"
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT

"$python" -m build --outdir "$away/dist" "$root" >"$away/build.log" 2>&1 || { cat "$away/build.log"; exit 1; }

"$python" - "$away/dist" <<'PYTHON'
import sys, tarfile, zipfile
from pathlib import Path

(wheel,) = Path(sys.argv[1]).glob("*.whl")
(sdist,) = Path(sys.argv[1]).glob("*.tar.gz")
in_wheel = zipfile.ZipFile(wheel).namelist()
in_sdist = [name.split("/", 1)[1] for name in tarfile.open(sdist).getnames() if "/" in name]
beside = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}  # hatchling adds .gitignore
strange = [n for n in in_wheel if not n.startswith("omicsbal/") and ".dist-info/" not in n]
strange += [n for n in in_sdist if not n.startswith("omicsbal") and n not in beside]
strange += [n for n in in_wheel + in_sdist if n.endswith((".pyc", ".ipynb", ".h5mu", ".h5ad"))]
needed = {"omicsbal/__init__.py", "omicsbal/py.typed", "omicsbal/datasets/registry.toml"}
absent = [n for n in needed if n not in in_wheel or n not in in_sdist]
if strange or absent:
    sys.exit(f"not the package alone: {strange}; absent: {absent}")
print(f"{wheel.name}: {len(in_wheel)} files, {wheel.stat().st_size / 1e3:.0f} kB; {sdist.name}: {len(in_sdist)} files; the package alone")
PYTHON

"$python" -m venv --without-pip "$away/venv"
site=$("$away/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
lent=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m pip --python "$away/venv/bin/python" install --quiet --no-deps --no-index "$away"/dist/*.whl
# Appended to the path after the wheel; the .pth files inside, the editable install's among them, are not read from there.
echo "$lent" >"$site/borrowed.pth"

mkdir "$away/work"
cp -r "$root/tests" "$root/pyproject.toml" "$away/work/"
cd "$away/work"
[ -d "$root/../shared/data" ] && export OMICSBAL_DATA="${OMICSBAL_DATA:-$root/../shared/data}"
export OMICSBAL_EXPECT="$site" # tests/conftest.py stops if omicsbal comes from anywhere else
"$away/venv/bin/python" -c 'import omicsbal; print("tested:", omicsbal.__file__)'
# Every module is imported, so none is missing; what reads files that ship with the package, and the way from raw data to a saved
# model, is run. The other tests would say of the wheel what they said of the checkout minutes before.
"$away/venv/bin/python" - <<'PYTHON'
import importlib, pkgutil
import omicsbal

names = [m.name for m in pkgutil.walk_packages(omicsbal.__path__, "omicsbal.")]
for name in names:
    importlib.import_module(name)
print(f"{len(names)} modules imported")
PYTHON
# "python -m pytest" would put the current folder on the path; this does not.
"$away/venv/bin/python" -c 'import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))' -q -n 2 -m "not slow" \
  tests/test_package.py tests/test_cli.py tests/test_model.py tests/datasets tests/io tests/tl/test_fit.py tests/tl/test_predict.py
"$away/venv/bin/omicsbal" --help >"$away/help.txt"
