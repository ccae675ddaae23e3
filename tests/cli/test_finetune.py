"""`ag finetune`: options, files of options, run folders, plans, and what it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from narrow_terminal import assert_narrows
from tiny_runs import LABELS, as_flags, listed, pairs, short_options, write_dataset
from toy_guides import register_toys
from typer.main import get_command
from typer.testing import Result

from agcli.cli import finetune as command
from agcli.cli.app import app
from agcli.config import make_config
from agcli.declare import flag
from agcli.errors import install_command
from agcli.options import OPTIONS
from agcli.runs.folder import RunFolder

Ag = Callable[..., Result]
MODEL = "BertForSequenceClassification"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def words(options: dict[str, Any]) -> list[str]:
    """The command line of the shortest run: one epoch of 6 steps."""
    return ["finetune", *as_flags(options | {"epochs": 1})]


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch, ag: Ag) -> Callable[..., dict[str, Any]]:
    """What `ag finetune WORDS` takes as settings, without running."""

    def resolve(*words: object) -> dict[str, Any]:
        seen: list[dict[str, Any]] = []
        monkeypatch.setattr(command, "_show_plan", lambda config, *_: seen.append(config.flat()))
        ag("finetune", "--dry-run", *words)
        return seen[0]

    return resolve


def told(result: Result) -> str:
    """What was said on stderr, without line breaks."""
    return " ".join(result.stderr.split())


def test_it_ends_with_a_table_the_baseline_and_the_run_folder(ag: Ag, words: list[str]) -> None:
    result = ag(*words, "--mdg", "0.5")
    [folder] = Path("runs").iterdir()
    assert folder.name == "pairs-tiny-mdg=0.5-pdg=0.001-seed=1"
    metrics = RunFolder(folder).metrics
    for split in ("dev", "test"):
        assert f"{metrics[split]['accuracy']:.4f}" in result.stdout
        assert f"{split}, always {LABELS[0]}" in result.stdout
    assert result.stdout.splitlines()[-1] == f"run folder: {folder}"
    assert "gradient norms on the first batch" in result.stderr
    assert "epoch 1: task loss" in result.stderr
    assert "task loss" not in result.stdout


def test_a_run_of_one_step_says_so(ag: Ag, words: list[str]) -> None:
    shown = ag(*words, "--train-limit", "1", "--epochs", "1").stderr
    assert "1 training pair, 1 step;" in " ".join(shown.split())


def test_json_is_all_there_is_on_stdout(ag: Ag, words: list[str]) -> None:
    printed = json.loads(ag(*words, "--json").stdout)
    assert printed == {"run": printed["run"], **RunFolder(Path(printed["run"])).metrics}
    again = ag(*words, "--json", "--resume")
    assert json.loads(again.stdout) == printed
    assert "finished already" in again.stderr


def test_results_and_plan_on_narrow_terminals(ag: Ag, words: list[str]) -> None:
    ag(*words, "--output", "runs/a run")
    assert_narrows(*words, "--output", "runs/a run", "--resume")
    assert_narrows(*words, "--dry-run")


def test_resuming_a_finished_run_shows_its_results_and_changes_nothing(ag: Ag, words: list[str]) -> None:
    first = ag(*words, "--output", "run")
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert ag(*words, "--output", "run", "--resume").stdout == first.stdout
    assert ag("finetune", "--output", "run", "--resume").stdout == first.stdout
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_a_finished_run_is_overwritten_on_request_only(ag: Ag, words: list[str]) -> None:
    ag(*words, "--output", "run")
    history = Path("run/history.csv").read_bytes()
    result = ag(*words, "--output", "run", "--seed", "2", code=2)
    assert "--output run holds a run that is finished" in told(result)
    assert "--overwrite" in told(result)
    assert Path("run/history.csv").read_bytes() == history
    ag(*words, "--output", "run", "--seed", "2", "--overwrite")
    assert Path("run/history.csv").read_bytes() != history


def test_a_second_run_of_the_same_name_gets_a_folder_of_its_own(ag: Ag, words: list[str]) -> None:
    ag(*words)
    result = ag(*words)
    name = "pairs-tiny-mdg=0.01-pdg=0.001-seed=1"
    assert listed(Path("runs")) == [name, f"{name}-run=2"]
    assert "this one gets a folder of its own" in told(result)


def test_a_dry_run_shows_the_plan_and_writes_nothing(ag: Ag, words: list[str], options: dict[str, Any]) -> None:
    result = ag(*words, "--dry-run", "--track", "tensorboard", "--output", "new/run")
    assert "nothing was written" in result.stdout
    for row in ("total steps", "memory (a rough estimate)", "learning_rate", "entailment, neutral, contradiction"):
        assert row in result.stdout
    plan = json.loads(ag(*words, "--dry-run", "--json").stdout)
    assert plan["config"] == make_config(options | {"epochs": 1}).flat()
    assert plan["plan"]["examples"] == {"train": 44, "dev": 18, "test": 12}
    assert (plan["plan"]["steps_per_epoch"], plan["plan"]["total_steps"]) == (6, 6)
    assert plan["plan"]["guides"] == ["mdg=0.01", "pdg=0.001"]
    assert plan["plan"]["task"] == "classification"
    assert plan["plan"]["memory_estimate_bytes"] > 4 * 4 * plan["plan"]["num_parameters"]
    assert listed(Path()) == []


def test_a_dry_run_shows_the_steps_that_override_the_epochs(ag: Ag, words: list[str]) -> None:
    plan = json.loads(ag(*words, "--max-steps", 4, "--dry-run", "--json").stdout)
    assert (plan["plan"]["total_steps"], plan["config"]["max_steps"]) == (4, 4)
    assert "--max-steps: 0 is not allowed; allowed: at least 1" in told(ag(*words, "--max-steps", 0, code=2))


def test_a_shell_completes_the_choices_of_an_option() -> None:
    def completed(verb: str, name: str, start: str) -> list[str]:
        context = click.Context(get_command(app).get_command(None, verb))  # type: ignore[attr-defined]
        [parameter] = [parameter for parameter in context.command.params if parameter.name == name]
        return [item.value for item in parameter.shell_complete(context, start)]

    assert completed("finetune", "precision", "f") == ["fp32", "fp16"]
    assert completed("finetune", "track", "") == ["tensorboard", "wandb", "mlflow", "trackio"]
    assert completed("finetune", "model", "") == []
    assert completed("ablate", "engine", "") == ["local", "ray"]
    assert completed("timing", "padding", "d") == ["dynamic"]


def test_every_option_reaches_the_settings(resolved: Callable[..., dict[str, Any]]) -> None:
    special = {
        "train_limit": 7,
        "track": "mlflow",
        "monitor": "pdg",
        "output": "x",
        "guide_layers": "0",
        "dropout": 0.3,
        "guide": "next=0.5,heads=2",
    }
    chosen: dict[str, Any] = {}
    for name, declared in OPTIONS.items():
        if name in special:
            chosen[name] = special[name]
        elif declared.type is bool:
            chosen[name] = True
        elif declared.spec.choices:
            chosen[name] = declared.spec.choices[-1]
        elif declared.type is str:
            chosen[name] = "word"
        elif name != "train_fraction":
            chosen[name] = declared.type(declared.default or 0) + (declared.spec.minimum or 0) + 1
    chosen |= {"warmup_ratio": 0.5, "guide_heads": "1", "temperature": 2.0, "reduction": "mean", "offline": False}
    found = resolved(*as_flags(chosen))
    assert {name: found[name] for name in chosen} == chosen | {"guide": ("next=0.5,heads=2",)}
    assert found.keys() - chosen.keys() == {"train_fraction"}
    assert resolved("--train-fraction", "0.5")["train_fraction"] == 0.5


def test_flags_win_over_the_file_the_file_over_the_recipe_and_the_recipe_over_defaults(
    resolved: Callable[..., dict[str, Any]],
) -> None:
    Path("a.toml").write_text('recipe = "paper"\nepochs = 7\nseed = 5\noffline = true\n')
    found = resolved("--config", "a.toml", "--seed", "6", "--no-offline")
    assert (found["seed"], found["epochs"], found["learning_rate"], found["patience"]) == (6, 7, 1e-5, None)
    assert found["offline"] is False
    assert resolved("--config", "a.toml", "--recipe", "default")["learning_rate"] == 1e-4
    assert resolved("--recipe", "paper", "--model", "albert")["batch_size"] == 56


def test_a_runs_settings_serve_again(ag: Ag, words: list[str], resolved: Callable[..., dict[str, Any]]) -> None:
    ag(*words, "--output", "run", "--mdg", "1")
    values = RunFolder(Path("run")).config
    assert values["mdg"] == 1.0
    assert values["output"] is None  # the settings say nothing of where the run lay
    Path("a.toml").write_text("\n".join(f"{k} = {json.dumps(v)}" for k, v in values.items() if v is not None))
    for file in ("run/config.json", "a.toml"):
        assert make_config(resolved("--config", file)) == make_config(values)


def test_all_problems_are_told_at_once(ag: Ag) -> None:
    Path("a.toml").write_text("epoch = 3\nmdg = -1\n")
    result = ag("finetune", "--config", "a.toml", "--precision", "fp8", "--batch-size", "0", code=2)
    for part in (
        "a.toml: unknown option 'epoch'. Did you mean 'epochs'?",
        "--mdg: -1 is not allowed; allowed: at least 0",
        "--precision: 'fp8' is not allowed; allowed: one of auto, fp32, bf16, fp16",
        "--batch-size: 0 is not allowed",
        "ag finetune --help",
    ):
        assert part in told(result)
    assert listed(Path()) == ["a.toml"]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (["--guide-layers", "2"], f"--guide-layers: layer 2 is too high; {MODEL} has 2 layers, allowed: 0 to 1"),
        (["--guide-heads", "0-4"], f"--guide-heads: head 4 is too high; {MODEL} has 4 heads, allowed: 0 to 3"),
        (["--mdg", "0", "--pdg", "0", "--guide-heads", "4"], f"--guide-heads: head 4 is too high; {MODEL} has 4 heads"),
        (["--guide-layers", "1-0"], "--guide-layers: '1-0' is no list of indices"),
        (["--max-length", "65"], "--max-length 65: "),
        (["--train-limit", "45"], "--train-limit 45: the data set has 44 training examples"),
        (["--train-limit", "5", "--train-fraction", "0.5"], "give one of them, not both"),
        (["--resume", "--overwrite"], "give one of them"),
        (["--output", ""], "--output: it is empty"),
        (["--config", "none.json"], "--config: cannot read none.json"),
        (["--model", "nosuchmodel"], "nosuchmodel"),
        (["--model", "owner/nosuchmodel"], "hf download owner/nosuchmodel"),
    ],
)
def test_what_cannot_be_is_wrong_usage_and_leaves_nothing(
    ag: Ag, words: list[str], wrong: list[str], problem: str
) -> None:
    result = ag(*words, *wrong, code=2)
    assert problem in told(result)
    assert result.stdout == ""
    assert listed(Path()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is allowed with a GPU")
def test_fp16_without_a_gpu_is_wrong_usage(ag: Ag, words: list[str]) -> None:
    assert "--precision fp16 needs a GPU" in told(ag(*words, "--precision", "fp16", code=2))
    assert listed(Path()) == []


def test_a_data_set_that_is_not_here_is_bad_data(ag: Ag, words: list[str]) -> None:
    result = ag(*words, "--dataset", "multinil", code=3)
    assert "multinil" in told(result)
    assert "ag prepare" in told(result)
    assert listed(Path()) == []


def test_a_name_under_data_is_found(ag: Ag, words: list[str]) -> None:
    write_dataset(Path("data/größe [1]"), {"train": pairs("train", 9), "dev": pairs("dev", 6)})
    result = ag(*words, "--dataset", "größe [1]", "--output", "läufe/[bold]")
    assert result.stdout.splitlines()[-1] == "run folder: läufe/[bold]"
    assert RunFolder(Path("läufe/[bold]")).state == "finished"


@pytest.mark.parametrize("output", ["file", "file/run", "full"])
def test_an_output_that_cannot_be_used_is_left_alone(ag: Ag, words: list[str], output: str) -> None:
    Path("file").write_text("mine")
    Path("full").mkdir()
    Path("full/thesis.tex").write_text("mine")
    result = ag(*words, "--output", output, "--overwrite", code=1 if output == "file/run" else 2)
    assert output in told(result)
    assert Path("file").read_text() == Path("full/thesis.tex").read_text() == "mine"
    assert listed(Path("full")) == ["thesis.tex"]


@pytest.mark.parametrize("tracker", ["wandb", "mlflow", "trackio"])
def test_a_tracker_that_is_not_installed(ag: Ag, words: list[str], tracker: str) -> None:
    if find_spec(tracker):
        pytest.skip(f"{tracker} is installed")
    result = ag(*words, "--no-offline", "--track", tracker, code=2)
    assert f"--track {tracker} needs the package '{tracker}'" in told(result)
    assert install_command(tracker) in told(result)
    assert listed(Path()) == []


def test_an_exploding_loss_fails_the_run(ag: Ag, words: list[str]) -> None:
    result = ag(*words, "--output", "run", "--learning-rate", "1e30", "--warmup-ratio", "0", code=1)
    assert " at step " in told(result)
    assert "rows: train-" in told(result)
    assert "try a lower learning rate" in told(result)
    assert RunFolder(Path("run")).state == "failed"
    again = ag(*words, "--output", "run", code=2)
    assert "a run that is failed" in told(again)


def test_no_connection_is_opened(ag: Ag, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    ag(*words, "--output", "local")
    ag(*words, "--output", "hub", "--model", "owner/nosuchmodel", code=2)
    ag(*[word for word in words if word != "--offline"], "--output", "folder")


def test_help_tells_defaults_and_ranges(ag: Ag) -> None:
    shown = " ".join(ag("finetune", "--help").stdout.split())
    for name in OPTIONS:
        assert flag(name) in shown
    assert "[default: 0.01]" in shown
    assert "(one of auto, fp32, bf16, fp16)" in shown
    assert "(at least 0 and at most 4294967295)" in shown


def test_credentialed_text_is_not_said(ag: Ag, encoder: Path) -> None:
    data = write_dataset(Path("notes").absolute(), credentialed=True)
    words = ["finetune", *as_flags(short_options(data, encoder))]
    for extra, code in (([], 0), (["--dry-run"], 0), (["--learning-rate", "1e30", "--warmup-ratio", "0"], 1)):
        result = ag(*words, *extra, code=code)
        assert "quokka" not in result.output


def test_a_recipe_is_heard_over_a_runs_own_config(resolved: Callable[..., dict[str, Any]]) -> None:
    Path("run.json").write_text(json.dumps(resolved("--epochs", 1, "--batch-size", 8)))
    chosen = resolved("--config", "run.json", "--recipe", "paper", "--epochs", 2)
    assert (chosen["optimizer"], chosen["batch_size"], chosen["epochs"]) == ("adam", 64, 2)
    chosen = resolved("--config", "run.json", "--train-limit", 4)
    assert (chosen["optimizer"], chosen["batch_size"], chosen["train_limit"]) == ("adamw", 8, 4)


def test_a_limit_takes_the_place_of_a_files_fraction(resolved: Callable[..., dict[str, Any]]) -> None:
    Path("a.toml").write_text("train_fraction = 0.5\n")
    chosen = resolved("--config", "a.toml", "--train-limit", 4)
    assert (chosen["train_limit"], chosen["train_fraction"]) == (4, 1.0)


def test_resuming_a_folder_without_a_run_trains_nothing(ag: Ag) -> None:
    result = ag("finetune", "--output", "nowhere", "--resume", code=2)
    assert "there is no run in" in told(result)
    assert not Path("nowhere").exists()


def test_the_next_command_quotes_a_folder_with_a_space(ag: Ag, words: list[str]) -> None:
    ag(*words, "--output", "runs/a run")
    folder = RunFolder(Path("runs/a run"))
    folder.set_state("interrupted")
    command = f"next: ag finetune --output '{folder.path.resolve()}' --resume"
    assert command in ag("evaluate", folder.path, code=1).stderr


class TestGuides:
    """`--guide`, on the command line and in files."""

    def test_each_guide_is_given_once_in_any_spelling(self, resolved: Callable[..., dict[str, Any]]) -> None:
        found = resolved("--guide", "next=0.050,heads=0+1", "--guide", "mdg=0.5", "--guide", "first=share:5e-2")
        assert (found["guide"], found["mdg"]) == (("next=0.05,heads=0-1", "first=share:0.05"), 0.5)
        assert resolved()["guide"] is None

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.toml", 'guide = ["next=0.05,heads=2", "mdg=0.2,layers=1"]'),
            ("a.json", '{"guide": ["next=0.05,heads=2", "mdg=0.2,layers=1"]}'),
        ],
    )
    def test_the_command_line_takes_the_place_of_a_files_list(
        self, resolved: Callable[..., dict[str, Any]], name: str, text: str
    ) -> None:
        Path(name).write_text(text)
        found = resolved("--config", name)
        assert (found["guide"], found["mdg"]) == (("next=0.05,heads=2", "mdg=0.2,layers=1"), 0.2)
        found = resolved("--config", name, "--guide", "first=1")
        assert (found["guide"], found["mdg"]) == (("first=1",), 0.01)
        found = resolved("--config", name, "--mdg", 0.3)
        assert (found["guide"], found["mdg"]) == (("next=0.05,heads=2",), 0.3)

    def test_a_guide_takes_the_place_of_a_files_flag(self, resolved: Callable[..., dict[str, Any]]) -> None:
        Path("a.toml").write_text("mdg = 0.2\npdg = 0.3")
        found = resolved("--config", "a.toml", "--guide", "mdg=0.5,schedule=off:0.5")
        assert (found["mdg"], found["pdg"], found["guide"]) == (0.5, 0.3, ("mdg=0.5,schedule=off:0.5",))

    def test_problems_of_guides_are_told_at_once(self, ag: Ag) -> None:
        Path("a.toml").write_text('guide = ["frist=1", "prev=1,form=square"]')
        error = ag("finetune", "--config", "a.toml", "--epochs", 0, code=2).stderr
        assert "a.toml: --guide: there is no guide 'frist'" in error
        assert "Did you mean 'first'?" in error
        assert "a.toml: --guide: prev: form 'square' is not allowed; allowed: nll, squared, released." in error
        assert "--epochs: 0" in error
        error = ag("finetune", "--mdg", 0.1, "--guide", "mdg=0.2", "--guide", "nxt=1", code=2).stderr
        assert "--guide: there is no guide 'nxt'" in error
        error = ag("finetune", "--mdg", 0.1, "--guide", "mdg=0.2", code=2).stderr
        assert "--mdg 0.1 and --guide mdg=0.2 are two weights of one guide: give one." in error

    def test_plan_and_name_have_its_text(self, ag: Ag, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        register_toys(monkeypatch)
        given = ["--guide", "ahead=0.5,heads=2", "--guide", "behind=share:0.1", "--pdg", "0"]
        plan = json.loads(ag(*words, *given, "--dry-run", "--json").stdout)["plan"]
        assert plan["guides"] == ["mdg=0.01", "ahead=0.5,heads=2 (heads 0-1)", "behind=share:0.1 (head 2)"]
        assert "-mdg=0.01-ahead=0.5,heads=2-behind=share:0.1-seed=1" in plan["folder"]
        run = ag(*words, *given, "--epochs", 1, "--json")
        metrics = json.loads(run.stdout)
        assert set(metrics["guides"]) == {"mdg", "ahead", "behind"}
        assert "behind=share:0.1 is behind=" in run.stderr
        assert "ahead=0.5,heads=2 (heads 0-1), behind=" in run.stderr

    def test_too_few_heads_are_refused_before_the_run(
        self, ag: Ag, words: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        register_toys(monkeypatch)
        error = ag(*words, "--guide", "ahead=1,heads=3", "--guide", "behind=1,heads=2", code=2).stderr
        assert "--guide behind=1,heads=2: it takes 2 heads of each layer" in error
        assert not Path("runs").exists()
