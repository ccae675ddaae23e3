"""Zips are read in place; unsafe ones are refused."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from agcli.data.files.archives import source_files
from agcli.errors import DataError


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_read_in_place_and_leftovers_passed_over(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"d/x.txt": b"one\ntwo\n", "__MACOSX/d/._x.txt": b"?", "d/.DS_Store": b"?"})
    files = source_files(path)
    assert [file.name for file in files] == ["a.zip/d/x.txt"]
    with files[0].open() as handle:
        assert list(handle) == [b"one\n", b"two\n"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zip"]


@pytest.mark.parametrize("name", ["../x.txt", "a/../../x.txt", "..\\x.txt", "/etc/x.txt", "C:\\x.txt"])
def test_paths_that_lead_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"climbs out|absolute"):
        source_files(zipped(tmp_path / "a.zip", {"fine.txt": b"", name: b"x"}))


def test_links(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("train.txt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="a member is a link"):
        source_files(tmp_path / "a.zip")


def test_size_cap(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"x.txt": b"0" * 10_000})
    assert source_files(path, size_cap_bytes=10_000)
    with pytest.raises(DataError, match=r"unpacks to 10,000 bytes; the cap is 9,999"):
        source_files(path, size_cap_bytes=9_999)


def test_broken_archive_and_broken_member(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK\3\4 this is no archive")
    with pytest.raises(DataError, match="not a readable zip"):
        source_files(tmp_path / "no.zip")
    path = zipped(tmp_path / "a.zip", {"x.txt": bytes(range(256)) * 40})
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip/x\.txt: cannot be read"):
        _ = source_files(path)[0].sha256_and_bytes


def test_nothing_there_and_other_archives(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        source_files(tmp_path / "absent")
    (tmp_path / "a.tar.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="kind of archive"):
        source_files(tmp_path / "a.tar.gz")
