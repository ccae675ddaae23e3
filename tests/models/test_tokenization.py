"""Casing is checked, and set right where transformers would get it wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_folders import CASED, LABELS, SPECIALS, UNCASED, old_folder, tiny, write_vocabulary
from transformers import BertTokenizer

from agcli.errors import ModelError
from agcli.models import load_model, load_tokenizer


def test_transformers_alone_would_lower_case_a_cased_vocabulary(tmp_path: Path) -> None:
    write_vocabulary(tmp_path, CASED)
    assert BertTokenizer.from_pretrained(tmp_path).tokenize("Aspirin") == ["as", "##pirin"]


@pytest.mark.parametrize(
    ("folder_name", "pieces", "expected"),
    [
        ("anything", CASED, ["As", "##pirin"]),
        ("anything", UNCASED, ["as", "##pirin"]),
        ("biobert", CASED, ["As", "##pirin"]),
        ("Bio_ClinicalBERT", CASED, ["As", "##pirin"]),
        ("bluebert", UNCASED, ["as", "##pirin"]),
    ],
)
def test_a_bare_vocabulary_keeps_or_drops_capitals(
    folder_name: str, pieces: list[str], expected: list[str], tmp_path: Path
) -> None:
    folder = old_folder(tmp_path / folder_name, tiny(), pieces)
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.tokenizer.tokenize("Aspirin") == expected
    assert loaded.cased is (expected[0] == "As")
    assert load_tokenizer(str(folder)).tokenize("Aspirin") == expected


@pytest.mark.parametrize("lower", [True, False])
def test_tokenizer_config_decides_in_a_local_folder(lower: bool, tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "bluebert", tiny(), CASED)
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}))
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.tokenizer.tokenize("Aspirin")[0] == ("as" if lower else "As")
    assert loaded.cased is not lower


def test_a_cased_tokenizer_json_is_not_overruled_by_the_library_s_default(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), CASED)
    BertTokenizer.from_pretrained(folder, do_lower_case=False).save_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    (folder / "vocab.txt").unlink(missing_ok=True)
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.tokenizer.tokenize("Aspirin") == ["As", "##pirin"]
    assert any("keep capitals" in note for note in loaded.notes)


def test_the_corrected_casing_survives_saving(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), CASED)
    load_model(str(folder), labels=LABELS).tokenizer.save_pretrained(tmp_path / "saved")
    assert BertTokenizer.from_pretrained(tmp_path / "saved").tokenize("Aspirin") == ["As", "##pirin"]


def test_a_cased_model_with_an_uncased_vocabulary_is_an_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "biobert", tiny(), UNCASED)
    with pytest.raises(ModelError, match="no piece of its vocabulary has a capital"):
        load_model(str(folder), labels=LABELS)


def test_a_vocabulary_that_cannot_spell_the_probe_is_judged_by_its_normalizer(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), [*SPECIALS, "The", "patient"])
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.cased is True
    assert loaded.tokenizer.tokenize("The") == ["The"]


def test_a_vocabulary_larger_than_the_embedding_is_an_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), [*UNCASED, *(f"word{index}" for index in range(64))])
    with pytest.raises(ModelError, match="only 64 rows"):
        load_model(str(folder), labels=LABELS)


def test_no_vocabulary_is_an_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "vocab.txt").unlink()
    with pytest.raises(ModelError, match="no vocabulary"):
        load_model(str(folder), labels=LABELS)


def test_a_broken_tokenizer_json_is_a_clear_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        load_model(str(folder), labels=LABELS)


def test_the_tokenizer_stops_at_the_last_position(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(old_folder(tmp_path / "m", tiny())))
    assert tokenizer.model_max_length == 40
    assert len(tokenizer("the " * 100, truncation=True)["input_ids"]) == 40
