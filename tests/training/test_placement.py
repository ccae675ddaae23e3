"""Where a run goes, and what an earlier run there means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agcli.config import RunConfig, make_config
from agcli.errors import DataError, UsageError
from agcli.runs.folder import RunFolder, State
from agcli.training.output_folder import Placement, choose, config_of_unfinished


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(output: str | None = None, **values: Any) -> RunConfig:
    return make_config(values | ({} if output is None else {"output": output}))


def run(path: str | Path, state: State, **values: Any) -> Path:
    """A run folder in some state."""
    folder = RunFolder(Path(path))
    folder.path.mkdir(parents=True)
    folder.write_json("config.json", make_config(values).flat())
    folder.set_state(state)
    return folder.path


def place(settings: RunConfig, *, resume: bool = False, overwrite: bool = False) -> Placement:
    return choose(settings, resume=resume, overwrite=overwrite)


DEFAULT = Path("runs/sample-minilm-mdg=0.01-pdg=0.001-seed=1")


def test_the_default_name_tells_the_settings() -> None:
    assert place(config()) == Placement(DEFAULT)
    named = config(dataset="some/mednli", model="owner/biobert", mdg=0.0, pdg=0.5, seed=3)
    assert place(named).path == Path("runs/mednli-biobert-pdg=0.5-seed=3")
    assert place(config(mdg=0.0, pdg=0.0)).path == Path("runs/sample-minilm-unguided-seed=1")


def test_a_default_name_never_touches_an_earlier_run() -> None:
    run(DEFAULT, "finished")
    second = place(config())
    assert second.path == Path(f"{DEFAULT}-run=2")
    assert "finished" in second.messages[0]
    run(second.path, "running")
    third = place(config())
    assert third.path == Path(f"{DEFAULT}-run=3")
    assert "unfinished" in third.messages[0]


def test_a_default_name_steps_over_what_is_no_run() -> None:
    DEFAULT.mkdir(parents=True)
    (DEFAULT / "thesis.tex").touch()
    assert place(config()).path == Path(f"{DEFAULT}-run=2")


def test_names_of_version_0_1_are_still_found() -> None:
    run(DEFAULT, "finished", epochs=9)
    run(f"{DEFAULT}-2", "interrupted")
    assert place(config(), resume=True).path == Path(f"{DEFAULT}-2")
    assert place(config()).path == Path(f"{DEFAULT}-run=2")


def test_resuming_by_name_finds_the_run_with_the_same_settings() -> None:
    run(DEFAULT, "interrupted", epochs=9)
    run(f"{DEFAULT}-run=2", "failed")
    found = place(config(), resume=True)
    assert (found.path, found.finished) == (Path(f"{DEFAULT}-run=2"), False)
    assert place(config(epochs=9), resume=True).path == DEFAULT
    new = place(config(epochs=8), resume=True)
    assert new.path == Path(f"{DEFAULT}-run=3")
    assert "nothing to resume" in new.messages[0]


def test_overwriting_by_name_takes_the_run_with_the_same_settings() -> None:
    run(DEFAULT, "finished", epochs=9)
    run(f"{DEFAULT}-run=2", "finished")
    assert place(config(), overwrite=True).path == Path(f"{DEFAULT}-run=2")
    assert place(config(epochs=9), overwrite=True).path == DEFAULT


def test_a_finished_run_is_given_back_on_resume() -> None:
    run("mine", "finished")
    found = place(config("mine"), resume=True)
    assert found.finished
    assert "finished already" in found.messages[0]
    run(DEFAULT, "finished")
    assert place(config(), resume=True).finished


@pytest.mark.parametrize("state", ["finished", "running", "failed", "interrupted"])
def test_an_output_that_holds_a_run_needs_a_word_from_the_user(state: State) -> None:
    run("mine", state)
    with pytest.raises(UsageError, match="--output mine holds a run") as caught:
        place(config("mine"))
    hint = str(caught.value.hint)
    assert "--overwrite" in hint
    assert ("--resume" in hint) == (state != "finished")
    assert place(config("mine"), overwrite=True) == Placement(Path("mine"))


def test_resume_and_overwrite_together_are_refused() -> None:
    with pytest.raises(UsageError, match="give one of them"):
        place(config("mine"), resume=True, overwrite=True)


def test_resume_with_other_settings_is_refused_and_tells_which() -> None:
    run("mine", "interrupted", epochs=4)
    with pytest.raises(UsageError) as caught:
        place(config("mine", epochs=5, monitor="mdg", checkpoint_every=3), resume=True)
    assert str(caught.value) == (
        "--resume: the run in mine has other settings: --monitor was '', is 'mdg'; --epochs was 4, is 5."
    )
    assert place(config("mine", epochs=4, checkpoint_every=7), resume=True) == Placement(Path("mine"))


def test_an_output_that_is_no_run_is_left_alone() -> None:
    Path("thesis").mkdir()
    Path("thesis/a.tex").touch()
    Path("file").touch()
    for name in ("thesis", "file"):
        for overwrite in (False, True):
            with pytest.raises(UsageError, match=f"--output {name} exists and is no run folder"):
                place(config(name), overwrite=overwrite)
    Path("empty").mkdir()
    assert place(config("empty")) == Placement(Path("empty"))


def test_a_folder_in_which_a_run_was_killed_at_its_start_can_be_used() -> None:
    Path("mine").mkdir()
    for name in (".lock", ".config.json.77.tmp"):
        Path("mine", name).touch()
    assert place(config("mine")).path == Path("mine")


def test_a_run_without_settings_can_only_be_overwritten() -> None:
    RunFolder(DEFAULT).path.mkdir(parents=True)
    RunFolder(DEFAULT).set_state("running")
    assert place(config()).path == place(config(), resume=True).path == Path(f"{DEFAULT}-run=2")
    with pytest.raises(UsageError, match="killed at its start") as error:
        place(config(str(DEFAULT)), resume=True)
    assert "--overwrite" in str(error.value.hint)
    assert "--resume" not in str(error.value.hint)
    assert place(config(str(DEFAULT)), overwrite=True).path == DEFAULT


def test_nothing_to_resume_is_said() -> None:
    assert "nothing to resume in mine" in place(config("mine"), resume=True).messages[0]


def test_the_settings_of_an_unfinished_run_are_read_from_its_folder() -> None:
    run("mine", "interrupted", epochs=4)
    assert config_of_unfinished({"output": "mine"}, resume=True) == Path("mine/config.json")
    assert config_of_unfinished({"output": "mine"}, resume=False) is None
    assert config_of_unfinished({"epochs": 2}, resume=True) is None
    assert config_of_unfinished({"output": "nothing", "epochs": 2}, resume=True) is None
    with pytest.raises(UsageError, match=r"--resume: there is no run in .*nothing"):
        config_of_unfinished({"output": "nothing"}, resume=True)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shells leave the one in `--output=~/run` to us, and config files have no shell."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run(tmp_path / "home" / "mine", "interrupted")
    assert config_of_unfinished({"output": "~/mine"}, resume=True) == tmp_path / "home" / "mine" / "config.json"
    assert place(config("~/mine"), resume=True).path == tmp_path / "home" / "mine"
    assert config_of_unfinished({"output": "~nobody-here/mine", "epochs": 2}, resume=True) is None


def test_a_broken_config_of_an_earlier_run_is_named() -> None:
    run("mine", "interrupted")
    Path("mine/config.json").write_text("{")
    with pytest.raises(DataError, match=r"mine/config\.json"):
        place(config("mine"), resume=True)


def test_the_name_has_the_texts_of_guides() -> None:
    settings = config(guide=["next=0.050,heads=0+1", "mdg=0.1,layers=1", "first=share:0.1"], pdg=0.0)
    name = "sample-minilm-mdg=0.1,layers=1-next=0.05,heads=0-1-first=share:0.1-seed=1"
    assert place(settings).path == Path("runs") / name


def test_many_guides_make_a_name_that_can_be_a_folder() -> None:
    options = "form=squared,heads=0-3,layers=0-1,schedule=linear:0.5"
    texts = [f"{name}=0.0125,{options}" for name in ("next", "prev", "self", "first", "delim", "period")]
    names = [place(config(guide=[*texts[:-1], f"{texts[-1]}{digit}"])).path.name for digit in (1, 2)]
    assert names[0] != names[1]  # which differ in their last sign only
    assert all(name.startswith("sample-minilm-mdg=0.01-pdg=0.001-next=0.0125,form=squared") for name in names)
    assert max(map(len, names)) < 200


def test_a_recorded_weight_stands_for_the_share_it_was_set_from() -> None:
    share = config(guide=["next=share:0.1,heads=2"])
    folder = RunFolder(run("out", "interrupted", guide=["next=0.0123457,heads=2"]))
    settings = config(guide=["next=share:0.1,heads=2"], output="out")
    with pytest.raises(UsageError, match="--guide was"):
        place(settings, resume=True)
    folder.write_json("guide_shares.json", {"next": {"share": 0.1, "weight": 0.0123457}})
    assert place(settings, resume=True) == Placement(folder.path)
    for other in ("next=share:0.2,heads=2", "next=share:0.1,heads=3", "next=0.1,heads=2"):
        with pytest.raises(UsageError, match="--guide was"):
            place(config(guide=[other], output="out"), resume=True)
    assert place(share).path != folder.path
