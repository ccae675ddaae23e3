"""Whatever a file is kept in, it is opened in one guarded way: packed, locked, damaged, closed, in another encoding."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from source_files import nli_rows

from agcli.data.files.archives import source_files
from agcli.data.files.json_values import json_records
from agcli.data.files.opening import SourceFile, disk_file
from agcli.data.files.text import text_lines
from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError

Make = Callable[..., PreparedPairs]
ROWS = nli_rows(30)
HEADER = ("premise", "hypothesis", "label")


def tsv(rows: list[tuple[str, str, str]], sep: str = "\t", end: str = "\n") -> str:
    return "".join(sep.join(row) + end for row in [HEADER, *rows])


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return bytes(out.getvalue())


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}


def pairs(prepared: PreparedPairs) -> set[tuple[str, str, str]]:
    whole = pd.concat(prepared.splits.values())
    return set(whole[["text_a", "text_b", "label"]].itertuples(index=False, name=None))


@pytest.mark.parametrize("packing", PACK)
def test_packed_files_and_folders_of_them_are_read(tmp_path: Path, make: Make, packing: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / f"train.tsv.{packing}").write_bytes(PACK[packing](tsv(ROWS).encode()))
    (folder / f"test.tsv.{packing}").write_bytes(PACK[packing](tsv(nli_rows(6, "t")).encode()))
    prepared = make("own", source=str(folder))
    assert pairs(prepared) == {*ROWS, *nli_rows(6, "t")}
    assert [source["file"] for source in prepared.manifest["sources"]] == [
        f"train.tsv.{packing}",
        f"test.tsv.{packing}",
    ]
    named = make("named", train=folder / f"train.tsv.{packing}", test=folder / f"test.tsv.{packing}")
    assert named.digest == prepared.digest


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_packed_files_are_called_damaged(tmp_path: Path, packing: str, damage: str) -> None:
    content = bytearray(PACK[packing](os.urandom(5_000)))
    if damage == "cut":
        del content[-400:]
    else:
        content[:60] = bytes(byte ^ 0x15 for byte in content[:60])
    (tmp_path / f"train.tsv.{packing}").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read \(.+\)") as caught:
        list(text_lines(disk_file(tmp_path / f"train.tsv.{packing}")))
    assert "damaged" in str(caught.value.hint)


def locked_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip that says that its members are encrypted."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("columns", [{}, {"text_a": "premise", "text_b": "hypothesis", "label": "label"}])
def test_locked_zips_are_called_locked(tmp_path: Path, make: Make, columns: dict[str, str]) -> None:
    path = locked_zip(tmp_path / "set.zip", {"train.tsv": tsv(ROWS).encode(), "test.tsv": b"x"})
    with pytest.raises(DataError, match=r"set\.zip/train\.tsv: locked with a password") as caught:
        make("own", source=str(path), **columns)
    assert "pass the folder" in str(caught.value.hint)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_inside_a_zip_is_not_taken_for_bad_rows(tmp_path: Path, make: Make, kind: int) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("train.tsv", tsv(ROWS))
        archive.writestr("test.tsv", tsv(nli_rows(6, "t")))
    content = bytearray(path.read_bytes())
    for place in range(120, 160):
        content[place] ^= 0x15
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"set\.zip/train\.tsv: cannot be read") as caught:
        make("own", source=str(path))
    assert "damaged" in str(caught.value.hint)


def closed(error_for: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make opening files of this name, and listing such folders, fail as for a user without the right to."""
    opening, listing = Path.open, os.scandir

    def refuse(path: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(path))

    def open_or_refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        return refuse(self) if self.name == error_for else opening(self, *arguments, **options)

    def list_or_refuse(path: Any = ".") -> Any:
        return refuse(path) if Path(path).name == error_for else listing(path)

    monkeypatch.setattr(Path, "open", open_or_refuse)
    monkeypatch.setattr(os, "scandir", list_or_refuse)


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_files_that_may_not_be_read(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    folder = tmp_path / "my set"
    folder.mkdir()
    for split, rows in (("train", ROWS), ("test", nli_rows(6, "t"))):
        if suffix == "tsv":
            (folder / f"{split}.tsv").write_text(tsv(rows))
        else:
            pd.DataFrame(rows, columns=list(HEADER)).to_parquet(folder / f"{split}.parquet")
    closed(f"train.{suffix}", monkeypatch)
    with pytest.raises(DataError, match=rf"train\.{suffix}: cannot be read \(Permission denied\)") as caught:
        make("own", source=str(folder))
    assert f"chmod u+rX {shlex.quote(str(folder / f'train.{suffix}'))}" in str(caught.value.hint)


def test_folders_that_may_not_be_listed(tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set" / "inner").mkdir(parents=True)
    (tmp_path / "set" / "train.tsv").write_text(tsv(ROWS))
    closed("inner", monkeypatch)
    with pytest.raises(DataError, match=r"inner: cannot be read \(Permission denied\)"):
        make("own", source=str(tmp_path / "set"), dev_fraction=0.2)


def test_folders_pipes_and_links_that_lead_nowhere(tmp_path: Path, make: Make) -> None:
    with pytest.raises(DataError, match="a folder, where a file is needed"):
        make("own", train=tmp_path, dev_fraction=0.2)
    os.mkfifo(tmp_path / "pipe")
    for options in ({"source": str(tmp_path / "pipe")}, {"train": tmp_path / "pipe"}):
        with pytest.raises(DataError, match="a pipe can be read only once"):
            make("own", dev_fraction=0.2, **options)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.tsv").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"train\.tsv: cannot be read \(No such file"):
        make("own", source=str(tmp_path / "set"), dev_fraction=0.2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marked_encodings_and_every_line_end_give_the_same(tmp_path: Path, encoding: str, end: str) -> None:
    text = tsv([("naïve – one", "U+2028 \u2028 stays", "x")], end=end)
    (tmp_path / "a.txt").write_bytes(text.encode(encoding))
    lines = [(1, "\t".join(HEADER)), (2, "naïve – one\tU+2028 \u2028 stays\tx")]
    assert list(text_lines(disk_file(tmp_path / "a.txt"))) == lines


def test_carriage_returns_within_texts_stay(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"a\tb\n1\rx\ty\n")
    assert list(text_lines(disk_file(tmp_path / "a.tsv"))) == [(1, "a\tb"), (2, "1\rx\ty")]


def test_eight_bit_text_gets_a_command_that_works(tmp_path: Path, make: Make) -> None:
    rows = [(f"weekly – naïve {n}", b, label) for n, (_, b, label) in enumerate(ROWS)]
    path = tmp_path / "my train.csv"
    path.write_bytes(tsv(rows, sep=";", end="\r\n").encode("cp1252"))
    with pytest.raises(DataError, match="row 2: not UTF-8: byte 0x96") as caught:
        make("own", train=path, dev_fraction=0.2)
    command = str(caught.value.hint).partition(" (")[0]
    subprocess.run(["bash", "-c", command], check=True)
    assert pairs(make("own", train=tmp_path / "my train.utf8.csv", dev_fraction=0.2)) == set(rows)
    (tmp_path / "b.tsv").write_bytes(b"a\tb\n\x81\tx\n")
    with pytest.raises(DataError) as caught:
        list(text_lines(disk_file(tmp_path / "b.tsv")))
    assert "cp1252" not in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sep.csv", "sep=;\r\n" + tsv(ROWS, ";", "\r\n")),
        ("spaces.csv", tsv(ROWS, ", ")),
        ("trailing.csv", tsv(ROWS, ",") + ",,\n,,\n"),
        ("mac.csv", tsv([(f'"{a}"', b, label) for a, b, label in ROWS], ",", "\r")),
    ],
)
def test_tables_as_spreadsheets_leave_them(tmp_path: Path, make: Make, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert pairs(make("own", source=str(tmp_path / name), dev_fraction=0.2)) == set(ROWS)


def test_row_numbers_count_the_line_that_names_the_delimiter(tmp_path: Path, make: Make) -> None:
    quoted = 'sep=;\n"premise";"hypothesis";"label"\n"a";"b";"x"\n"a"b;"c";"x"\n'
    (tmp_path / "a.csv").write_text(quoted)
    with pytest.raises(DataError) as caught:
        make("own", source=str(tmp_path / "a.csv"), dev_fraction=0.2, quoting="minimal")
    assert caught.value.row == 4


RECORDS = [dict(zip(HEADER, row, strict=True)) for row in ROWS]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_arrays_are_read(tmp_path: Path, make: Make, indent: int | None) -> None:
    (tmp_path / "a.json").write_text(json.dumps(RECORDS, indent=indent))
    assert pairs(make("own", source=str(tmp_path / "a.json"), dev_fraction=0.2)) == set(ROWS)
    assert next(json_records(disk_file(tmp_path / "a.json"))) == (1, RECORDS[0])


@pytest.mark.parametrize(
    "table", [{"data": RECORDS}, {key: {str(n): record[key] for n, record in enumerate(RECORDS)} for key in HEADER}]
)
def test_one_object_for_all_rows_gets_a_command_that_works(tmp_path: Path, make: Make, table: dict[str, Any]) -> None:
    path = tmp_path / "my table.json"
    path.write_text(json.dumps(table))
    with pytest.raises(DataError, match="this one JSON object holds the whole table") as caught:
        make("own", source=str(path), dev_fraction=0.2)
    command = str(caught.value.hint).replace("python", shlex.quote(sys.executable), 1)
    subprocess.run(["bash", "-c", command], check=True)
    assert pairs(make("own", source=str(path.with_suffix(".jsonl")), dev_fraction=0.2)) == set(ROWS)


@pytest.mark.parametrize("text", ["[1, 2]\n", '[{"a": 1}', '[{"a": 1}]\n{"a": 2}\n', '{\n  "a": 1\n}\n'])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="JSON") as caught:
        list(json_records(disk_file(tmp_path / "a.json")))
    assert ("jq -c ." in str(caught.value.hint)) == text.startswith("{")


def test_other_archives_say_how_to_unpack_them(tmp_path: Path) -> None:
    for name in ("a.tar.gz", "a.tgz", "a.7z"):
        (tmp_path / name).write_bytes(b"x")
        with pytest.raises(DataError, match="kind of archive") as caught:
            source_files(tmp_path / name)
        assert ("tar -xf" in str(caught.value.hint)) == ("t" in name)


def test_a_file_without_its_content_in_git_lfs(tmp_path: Path, make: Make) -> None:
    for split in ("train", "test"):
        (tmp_path / f"{split}.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match="not a readable parquet") as caught:
        make("own", source=str(tmp_path))
    assert "git lfs pull" in str(caught.value.hint)


def test_packed_ranking_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(b'{"_id": "d1", "text": "x"}\n'))
    file = source_files(tmp_path)[0]
    assert (file.stem, file.suffix, file.plain_name) == ("corpus", ".jsonl", "corpus.jsonl")
    assert list(json_records(file)) == [(1, {"_id": "d1", "text": "x"})]


def test_content_is_read_to_its_end_once(tmp_path: Path) -> None:
    opened = []

    def opener() -> Any:
        opened.append(1)
        return gzip.open(path)

    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"a\nb\n"))
    file = SourceFile("a.tsv", opener)
    assert [line for _, line in text_lines(file)] == ["a", "b"]
    before = len(opened)
    _ = file.sha256_and_bytes
    assert len(opened) == before


def test_the_command_for_objects_over_several_lines_leaves_its_source_alone(tmp_path: Path) -> None:
    path, packed = tmp_path / "a.jsonl", tmp_path / "b.json.gz"
    path.write_text('{\n  "a": 1\n}\n')
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        list(json_records(disk_file(path)))
    assert str(caught.value.hint).endswith(f"jq -c . {path} > {tmp_path / 'a.lines.jsonl'}")
    with pytest.raises(DataError) as caught:
        list(json_records(disk_file(packed)))
    assert str(caught.value.hint).endswith("unpack it first, then jq -c . OLD.json > NEW.jsonl")


def test_json_shards_are_arrays_too(tmp_path: Path, make: Make) -> None:
    for number, rows in enumerate((RECORDS[:10], RECORDS[10:])):
        (tmp_path / f"train-0000{number}-of-00002.json").write_text(json.dumps(rows, indent=1))
    prepared = make("own", source=str(tmp_path), dev_fraction=0.2, no_ids=True)
    assert pairs(prepared) == set(ROWS)


@pytest.mark.parametrize("text", ['[{"a": ' + "1" * 5000 + "}]", '{"a": ' + "1" * 5000 + "}"])
def test_numbers_of_thousands_of_digits_are_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match="not valid JSON"):
        list(json_records(disk_file(tmp_path / "a.json")))


def test_a_parquet_column_without_values_in_python_matters_only_where_it_is_used(tmp_path: Path, make: Make) -> None:
    far = pa.array([3_000_000] * len(ROWS), pa.int32()).cast(pa.date32())
    broken = pa.array([b"\xff"] * len(ROWS)).cast(pa.binary()).view(pa.string())
    columns = dict(zip(HEADER, map(list, zip(*ROWS, strict=True)), strict=True))
    table = pa.table({**columns, "when": far, "raw": broken})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    assert pairs(make("own", source=str(tmp_path / "a.parquet"), dev_fraction=0.2)) == set(ROWS)
    with pytest.raises(DataError, match=r"column 'raw'.*a column of which some cells have no value"):
        make("other", source=str(tmp_path / "a.parquet"), dev_fraction=0.2, text_a="raw")


def test_labels_that_are_lists_are_an_error(tmp_path: Path, make: Make) -> None:
    for split in ("train", "validation"):
        table = pa.table({"premise": ["a"] * 4, "hypothesis": ["b"] * 4, "label": [[0]] * 4})
        pa.parquet.write_table(table, tmp_path / f"{split}.parquet")
    with pytest.raises(DataError, match="label"):
        make("multinli", source=str(tmp_path))
