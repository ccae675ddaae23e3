"""Reported inputs about machines, environments and models, run as their `cmd` says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


def test_one_segment_under_a_tokenizer_with_two(tmp_path: Path) -> None:
    done = run_case("17-roberta-bert-tokenizer", tmp_path)
    assert "rc 0" in done.output
    assert "token_type_ids are left out" in done.errors


def test_one_segment_ranks_and_is_swept(tmp_path: Path) -> None:
    """The default length of `ag timing` is more than this encoder reads."""
    done = run_case("17b-ranker-one-segment", tmp_path)
    assert "run folder: runs/r" in done.output
    assert "timing rc 2" in done.output
    assert "--lengths 256: ./chinese-style-roberta reads at most 129 tokens" in done.output
    assert (done.folder / "sweeps" / "s" / "results.csv").read_text().count("finished") == 1


def test_roberta_s_positions(tmp_path: Path) -> None:
    codes = dict(re.findall(r"(pad\d --max-length \d+) rc (\d)", run_case("18-roberta-positions", tmp_path).output))
    limits = {"pad1": 64, "pad3": 62}
    for call, code in codes.items():
        model, _, length = call.split()
        assert code == ("0" if int(length) <= limits[model] else "2"), call
    assert len(codes) == 10


def test_weights_under_other_names_and_a_broken_one(tmp_path: Path) -> None:
    lines = {line.split()[0]: line for line in run_case("19-gamma-beta", tmp_path).output.splitlines()}
    losses = {lines[name].split("first loss ")[1].split()[0] for name in ("plain", "old")}
    assert len(losses) == 1
    assert all(" rc 0 " in lines[name] for name in ("plain", "old", "half", "nopooler"))
    assert " rc 2 " in lines["ddp"]
    assert " rc 2 " in lines["nan"]
    assert "1 stored weight holds NaN" in lines["nan"]
    assert "query.weight" in lines["nan"]
    assert "learning rate" not in lines["nan"]


def test_a_stored_head_with_other_names(tmp_path: Path) -> None:
    done = run_case("20-mnli-head", tmp_path, sample="sample-hard")
    assert len(re.findall(r"^\w+ rc 0", done.output, re.MULTILINE)) == 6
    assert "rows of the saved head that were rows of the stored one: [2, 1, 0]" in done.output


def test_a_rank_without_a_launcher(tmp_path: Path) -> None:
    done = run_case("23-rank-variable", tmp_path)
    assert int(done.output.split()[0]) > 1000
    for call in ("models", "finetune", "RANK=high", "RANK=", "WORLD_SIZE=2", "scheduler's variables"):
        assert f"{call} rc 0" in done.output


def test_a_rank_without_a_launcher_on_every_command(tmp_path: Path) -> None:
    done = run_case("23b-rank-everywhere", tmp_path)
    calls = ("prepare", "evaluate", "evaluate --json", "evaluate --csv", "dry run", "ablate", "timing")
    for call in calls:
        assert f"\n{call} rc 0" in f"\n{done.output}"
    assert (done.folder / "m.csv").is_file()
    assert '"accuracy"' in done.output


def test_variables_of_accelerate(tmp_path: Path) -> None:
    done = run_case("24-accelerate-variables", tmp_path)
    assert all(f"{call} rc 0" in done.output for call in ("plain", "accum", "fp16", "dynamo"))
    assert all(f"{call} rc 2" in done.output for call in ("deepspeed", "fsdp"))
    hashes = re.findall(r"^[0-9a-f]{12}$", done.output, re.MULTILINE)
    assert len(hashes) == 4
    assert len(set(hashes)) == 1
    assert not (done.folder / "runs" / "ds").exists()


def test_settings_of_accelerate_s_launcher(tmp_path: Path) -> None:
    """Accelerate itself refuses the first YAML file, of which it does not know the key."""
    done = run_case("24b-accelerate-launch", tmp_path)
    calls = ("launch", "launch --gradient_accumulation_steps 4", "launch, dynamo yaml", "no launcher, yaml there")
    assert all(f"{call} rc 0" in done.output for call in calls)
    assert len(set(re.findall(r"^(?:bare|launched|flag) \S+ ([0-9a-f]{12})$", done.output, re.MULTILINE))) == 1


def test_cells_that_no_machine_of_ray_can_hold(tmp_path: Path) -> None:
    done = run_case("25-ray-cannot-fit", tmp_path)
    assert all(f"{call} rc {code}" in done.output for call, code in (("64 threads", 2), ("a gpu", 2), ("fits", 0)))
    assert "takes --threads 64 and" in done.errors
    assert "and --gpus 1 of one machine" in done.errors


def test_addresses_of_ray_that_are_gone(tmp_path: Path) -> None:
    done = run_case("39-ray-address", tmp_path)
    assert "rc 124" not in done.output
    assert len(re.findall(r" rc [12]$", done.output, re.MULTILINE)) == 4
    assert done.output.count("no Ray cluster there") + done.output.count("ray[client]") == 4


def test_a_file_system_without_flock(tmp_path: Path) -> None:
    done = run_case("26-no-flock", tmp_path)
    assert "finetune rc 0" in done.output
    assert "ablate rc 0" in done.output
    assert "has no flock" in done.errors


def test_a_user_without_name_and_home(tmp_path: Path) -> None:
    done = run_case("27-nameless-user", tmp_path)
    codes = dict(re.findall(r"^(.*) rc (\d+)$", done.output, re.MULTILINE))
    assert {call for call, code in codes.items() if code != "0"} == {
        "finetune ~/old, no HOME",
        "prepare ~/x.csv, no HOME",
    }
    assert "RuntimeError" not in done.output


def test_padding_on_the_left(tmp_path: Path) -> None:
    done = run_case("34-left-padding", tmp_path)
    assert len(set(re.findall(r"rc 0 ([0-9a-f]{12})", done.output))) == 1


def test_model_folders_as_they_come(tmp_path: Path) -> None:
    done = run_case("40-model-folders", tmp_path, limit=900)
    codes = dict(re.findall(r"^(\S+) rc (\d)", done.output, re.MULTILINE))
    assert codes["st"] == codes["deep"] == codes["outer/checkpoint-500"] == "0"
    assert {codes[name] for name in ("lora", "onnx", "lfs", "cut", "html", "pickle", "outer")} == {"2"}
    log = (done.folder / "log").read_text()  # of the last one, `deep`
    assert "32 stored weights of the encoder are not used" in log
