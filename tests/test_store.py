"""Files and folders are written whole or not at all; what model folders refuse to be is in test_model.py."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsbal import _store
from omicsbal._store import MANIFEST, check_writable, frame_from_json, frame_to_json, read_folder, write_file, write_folder

ARRAYS = {
    "net": {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "empty": np.empty((0, 3)), "one": np.array(2.5)},
    "other": {"k": np.array([1, -2], dtype=np.int64), "b": np.array([True, False])},
}


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def write(path: Path, arrays: dict = ARRAYS, *, overwrite: bool = False, **manifest: object) -> None:
    write_folder(path, {"schema": 1, **manifest}, arrays, overwrite=overwrite)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "m", note="é\n", nested={"a": [1, None]})
    manifest, arrays = read_folder(tmp_path / "m", schema=1)
    assert manifest["note"] == "é\n" and manifest["nested"] == {"a": [1, None]}
    assert {k: sorted(v) for k, v in arrays.items()} == {k: sorted(v) for k, v in ARRAYS.items()}
    for group, values in ARRAYS.items():
        for key, value in values.items():
            np.testing.assert_array_equal(arrays[group][key], value)
            assert arrays[group][key].dtype == value.dtype and arrays[group][key].shape == value.shape
    assert names(tmp_path) == ["m"], "no drafts are left"
    assert names(tmp_path / "m") == [MANIFEST, "net.safetensors", "other.safetensors"]


def test_an_older_format_is_read_and_a_newer_one_is_not(tmp_path: Path) -> None:
    write(tmp_path / "m")
    assert read_folder(tmp_path / "m", schema=2)[0]["schema"] == 1
    with pytest.raises(ValueError, match=r"`path`: expected a model of format version 0 or older; found version 1\. Update"):
        read_folder(tmp_path / "m", schema=0)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('"B"', '"T"', "found 'model.json' altered"),
        ('"seal": "', '"seal": "0', "found 'model.json' altered"),
        ('"seal"', '"sealing"', "found a model.json that is none"),
        (" 0.1", " 0.10000000000000002", "found 'model.json' altered"),
    ],
)
def test_an_altered_manifest_is_refused(tmp_path: Path, old: str, new: str, found: str) -> None:
    write(tmp_path / "m", classes=("B", "é"), scores={"x": 0.1, "y": float("nan"), 3: 1.0})  # what JSON writes otherwise
    file = tmp_path / "m" / MANIFEST
    text = file.read_text()
    file.write_text(json.dumps(dict(reversed(json.loads(text).items()))))
    assert read_folder(tmp_path / "m", schema=1)[0]["classes"] == ["B", "é"], "the layout is not sealed"
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=found):
        read_folder(tmp_path / "m", schema=1)


def test_a_folder_is_as_open_as_other_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "m")
        assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750
    finally:
        assert os.umask(before) == 0o027, "the process's mask is the user's"


def test_only_our_own_folders_are_replaced_and_only_when_asked(tmp_path: Path) -> None:
    write(tmp_path / "m", note="old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(tmp_path / "m", note="new")
    (tmp_path / "m" / "stray").touch()
    write(tmp_path / "m", {"net": {}}, overwrite=True, note="new")
    assert read_folder(tmp_path / "m", schema=1)[0]["note"] == "new"
    assert names(tmp_path / "m") == [MANIFEST, "net.safetensors"] and names(tmp_path) == ["m"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1").touch()
    with pytest.raises(FileExistsError, match=r"expected a new path or an omicsbal model; found .*thesis\. Choose another path"):
        write(tmp_path / "thesis", overwrite=True)
    assert names(tmp_path / "thesis") == ["chapter1"]


@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    if there:
        write(tmp_path / "m", note="old")
    real = _store.write_bytes

    def full_disk(path: Path, data: bytes) -> None:
        if path.name == "other.safetensors":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(_store, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "m", overwrite=True, note="new")
    assert names(tmp_path) == ["m"] * there
    assert not there or read_folder(tmp_path / "m", schema=1)[0]["note"] == "old"


def test_the_old_folder_comes_back_if_the_new_cannot_take_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "m", note="old")
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target) == tmp_path / "m" and not self.name.endswith(".old"):
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="Input/output"):
        write(tmp_path / "m", overwrite=True, note="new")
    assert names(tmp_path) == ["m"]
    assert read_folder(tmp_path / "m", schema=1)[0]["note"] == "old"


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "f"
    for data in (b"old" * 1000, b"new"):
        write_file(path, data)
        assert path.read_bytes() == data and names(tmp_path) == ["f"]


def test_a_file_whose_replacement_fails_keeps_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_file(path, b"old")

    def full_disk(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_store.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["f"], "half a file was left behind"


SCRIPT = """
import sys
from pathlib import Path
from omicsbal._store import write_file
path, i = Path(sys.argv[1]), 0
while True:
    write_file(path, bytes([i % 251]) * 2_000_000)
    if i == 0:
        print("going", flush=True)
    i += 1
"""


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "f"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", SCRIPT, path], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline() == b"going\n"
            try:
                child.wait(timeout=rng.uniform(0.01, 0.1))
            except subprocess.TimeoutExpired:
                child.kill()
        data = path.read_bytes()
        assert len(data) == 2_000_000 and len(set(data)) == 1


def test_a_closed_door_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "no" / "m", tmp_path / "file" / "m"):
        with pytest.raises(
            FileNotFoundError, match=r"`path`: expected a path in a folder that exists; found .*m\. Create .* first"
        ):
            check_writable(path, what="path")
    assert check_writable(str(tmp_path / "m"), what="path") == tmp_path / "m"
    assert names(tmp_path) == ["file"], "looking leaves no trace"


def test_a_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere, so the system's answer is played."""

    def closed(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_store.tempfile, "TemporaryFile", closed)
    with pytest.raises(PermissionError, match=r"expected a path that can be written; found .*m: Permission denied\. Choose"):
        check_writable(tmp_path / "m", what="path")


def test_tables_survive_json() -> None:
    frame = pd.DataFrame(
        {"f": [0.1, np.nan, 1e-300], "i": [1, -2, 3], "b": [True, False, True], "s": ["é", "", "a,b"], "none": [np.nan] * 3}
    )
    again = frame_from_json(json.loads(json.dumps(frame_to_json(frame))))
    pd.testing.assert_frame_equal(again, frame.astype({"s": object}))
    empty = frame.iloc[:0]
    pd.testing.assert_frame_equal(
        frame_from_json(json.loads(json.dumps(frame_to_json(empty)))), empty.astype({"s": object}), check_index_type=False
    )
