"""A run's settings: checked as a whole, filled in, saved, read back, fingerprinted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agcli.config import RunConfig, make_config, parse_subset, read_config_file
from agcli.declare import flag
from agcli.errors import UsageError
from agcli.guides.entry import GuideOption
from agcli.guides.registry import GUIDES
from agcli.guides.spec import guide_options
from agcli.options import OPTIONS


def problems(**values: Any) -> list[str]:
    """The lines of the error that these values give."""
    with pytest.raises(UsageError) as caught:
        make_config(values)
    return str(caught.value).splitlines()


def test_no_values_give_the_documented_defaults() -> None:
    options = make_config({}).flat()
    # The temperature follows the guide mode, the learning rate the size of the model.
    assert options == RunConfig().flat() | {"temperature": 1.0, "learning_rate": 1e-4}
    assert (options["model"], options["dataset"], options["mdg"], options["pdg"]) == ("minilm", "sample", 0.01, 0.001)


def test_all_problems_are_told_together_each_with_its_flag_and_what_is_allowed() -> None:
    found = problems(epochs=0, learning_rate=-1.0, precision="fp23", mgd=0.1, seed=True, mdg="much")
    assert len(found) == 6
    for line, parts in zip(
        found,
        [
            ("--epochs: 0", "allowed: at least 1"),
            ("--learning-rate: -1.0", "above 0"),
            ("--precision: 'fp23'", "auto, fp32, bf16, fp16", "Did you mean 'fp32'?"),
            ("the command line: unknown option 'mgd'", "Did you mean 'mdg'?"),
            ("--seed: True is not a whole number",),
            ("--mdg: 'much' is not a number",),
        ],
        strict=True,
    ):
        assert all(part in line for part in parts), line


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    assert problems(mdg=value)[0].startswith("--mdg: ")


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("train_fraction", 1.0, 1.01),
        ("train_fraction", 0.001, 0.0),
        ("temperature", 0.1, 0.0),
        ("dropout", 0.9, 0.91),
        ("max_length", 8, 7),
        ("warmup_ratio", 1.0, 1.1),
        ("seed", 2**32 - 1, 2**32),  # NumPy's seeds end there
        ("patience", 1, 0),
        ("track", "wandb", "wandbb"),
        ("epochs", 2, 2.0),
    ],
)
def test_ranges(name: str, allowed: object, refused: object) -> None:
    assert make_config({name: allowed}).flat()[name] == allowed
    assert problems(**{name: refused})[0].startswith(flag(name))


@pytest.mark.parametrize("name", ["model", "dataset", "output", "guide_layers"])
def test_empty_words_are_refused(name: str) -> None:
    assert problems(**{name: ""}) == [f"{flag(name)}: it is empty."]


@pytest.mark.parametrize("name", ["model", "dataset", "output"])
def test_the_home_of_nobody_is_refused(name: str) -> None:
    assert problems(**{name: "~nobody-here/x"})[0].startswith(
        f"{flag(name)}: '~nobody-here/x' begins with a home folder"
    )
    assert make_config({name: "~/x"}).flat()[name] == "~/x"


def test_a_guide_is_monitored_once() -> None:
    assert make_config({"monitor": " pdg,mdg,,pdg"}).guides.monitored == ("pdg", "mdg")
    assert make_config({}).guides.monitored == ()


def test_options_that_exclude_each_other() -> None:
    assert problems(train_limit=5, train_fraction=0.5) == [
        "--train-limit and --train-fraction: give one of them, not both."
    ]
    assert "--temperature 2.0" in problems(guide_mode="released", temperature=0.5)[0]
    assert "'mgd' is no guide" in problems(monitor="mgd,pdg")[0]


@pytest.mark.parametrize(
    ("text", "indices"),
    [("all", None), ("6,7", (6, 7)), ("0-2,5", (0, 1, 2, 5)), (" 3 , 1 - 1".replace(" - ", "-"), (1, 3))],
)
def test_indices(text: str, indices: tuple[int, ...] | None) -> None:
    assert parse_subset(text) == indices


@pytest.mark.parametrize("text", [" ", "-1", "5-2", "a", "1,,2", "1-", "1.5", "0-99999999999"])
def test_what_is_no_list_of_indices(text: str) -> None:
    for name in ("guide_layers", "guide_heads"):
        assert problems(**{name: text})[0].startswith(f"{flag(name)}: {text!r}")


def test_the_paper_recipe() -> None:
    options = make_config({"recipe": "paper", "dataset": "data/mednli", "model": "biobert"}).flat()
    expected = {
        "optimizer": "adam", "learning_rate": 1e-5, "epochs": 20, "max_length": 256, "batch_size": 64,
        "schedule": "constant", "warmup_ratio": 0.0, "weight_decay": 0.0, "max_grad_norm": 0.0,
    }  # fmt: skip
    assert {name: options[name] for name in expected} == expected
    assert make_config({"recipe": "paper", "dataset": "multinli"}).training.epochs == 5
    assert make_config({"recipe": "paper", "model": "albert"}).training.batch_size == 56
    assert make_config({"recipe": "paper", "model": "albert/albert-base-v2"}).training.batch_size == 56
    assert make_config({"recipe": "paper", "model": "clinicalbert"}).training.batch_size == 64


def test_chosen_values_win_over_the_recipe() -> None:
    config = make_config({"recipe": "paper", "epochs": 2})
    assert (config.training.epochs, config.training.learning_rate) == (2, 1e-5)


def test_seeds_of_data_and_subset_follow_the_seed_unless_given() -> None:
    assert (make_config({"seed": 5}).data_seed, make_config({"seed": 5}).subset_seed) == (5, 5)
    config = make_config({"seed": 5, "data_seed": 0, "subset_seed": 0})
    assert (config.data_seed, config.subset_seed) == (0, 0)


def as_toml(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items() if value is not None)


def test_json_and_toml_give_the_same_settings_and_fingerprint(tmp_path: Path) -> None:
    config = make_config({"recipe": "paper", "epochs": 2, "train_limit": 9, "guide_layers": "0-1", "offline": True})
    (tmp_path / "a.json").write_text(json.dumps(config.flat()))
    (tmp_path / "a.toml").write_text(as_toml(config.flat()))
    for name in ("a.json", "a.toml"):
        again = make_config(read_config_file(tmp_path / name))
        assert again == config
        assert again.fingerprint() == config.fingerprint()


def test_a_whole_number_in_a_file_is_the_same_as_a_float() -> None:
    assert make_config({"mdg": 1}).fingerprint() == make_config({"mdg": 1.0}).fingerprint()


def test_the_fingerprint_knows_what_shapes_a_result() -> None:
    plain = make_config({}).fingerprint()
    for name, value in {"mdg": 0.02, "seed": 2, "dataset": "x", "precision": "fp32", "monitor": "mdg"}.items():
        assert make_config({name: value}).fingerprint() != plain, name
    for name, value in {"output": "x", "offline": True, "checkpoint_every": 3, "track": "tensorboard"}.items():
        assert make_config({name: value}).fingerprint() == plain, name


def test_a_new_option_leaves_the_fingerprints_of_older_runs_alone() -> None:
    """The expected values are those of the version before `max_steps`."""
    paper = {"recipe": "paper", "dataset": "mednli", "mdg": 0.0}
    expected = {
        "47d66a89277a21ad74d41f1651cffda80a07d23e9c17d2c108aee6f39996cb3e": make_config({}),
        "dca1d3f3cbef5143f36b7cce08bdf5752ee87b8a2eb0067b79aed0e235a577ce": make_config(paper),
    }
    assert list(expected) == [config.fingerprint() for config in expected.values()]
    steps = [make_config({"max_steps": count}).fingerprint() for count in (1, 2)]
    assert len({*expected, *steps}) == 4
    new = [name for name, declared in OPTIONS.items() if declared.spec.since_fingerprints]
    assert new == ["guide", "max_steps"]
    assert all(OPTIONS[name].default is None for name in new)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.json", b"{", "not valid JSON; a TOML file is named .toml"),
        ("a.json", b"[1]", "holds no table of options"),
        ("a.json", b"\xff\xfe", "cannot read"),
        ("a.toml", b"epochs =", "not valid TOML"),
        ("a.json", None, "cannot read"),
        ("a.yaml", b"epochs: 3", "is YAML, which is not read; write it as TOML"),
        ("a.YML", b"epochs: 3", "is YAML, which is not read"),
    ],
)
def test_config_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=problem) as caught:
        read_config_file(tmp_path / name)
    assert name in str(caught.value)


def test_every_option_has_help_and_a_default_in_its_range() -> None:
    for name, declared in OPTIONS.items():
        assert declared.spec.help.endswith("."), name
        assert declared.spec.admits(declared.default), name


def test_the_temperature_follows_the_mode_unless_chosen() -> None:
    assert make_config({}).guides.temperature == 1.0
    assert make_config({"guide_mode": "released"}).guides.temperature == 2.0
    assert make_config({"temperature": 0.5}).guides.temperature == 0.5
    assert "mean" in problems(guide_mode="released", reduction="sum")[0]


def test_an_account_named_albert_is_no_albert() -> None:
    options = {"recipe": "paper", "model": "/home/albert/models/bert"}
    assert make_config(options).training.batch_size == 64


def test_offline_keeps_trackers_that_phone_home_out() -> None:
    assert "only tensorboard" in problems(offline=True, track="wandb")[0]
    assert make_config({"offline": True, "track": "tensorboard"}).output.track == "tensorboard"


def test_a_section_in_a_config_file_is_named() -> None:
    assert "[training] is a section" in problems(training={"epochs": 2})[0]


def test_a_wrong_value_of_a_config_file_is_named_with_the_file(tmp_path: Path, ag: Callable[..., Any]) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"epochs": "three", "accumulate": -1, "batch_size": "many"}))
    for command in (["finetune"], ["ablate", "--variants", "none", "--output", tmp_path / "sweep"]):
        error = ag(*command, "--config", file, "--batch-size", 8, "--learning-rate", 0, code=2).stderr
        assert f"{file}: --epochs: 'three' is not a whole number." in error
        assert f"{file}: --accumulate: -1 is not allowed" in error
        assert "\n--learning-rate: 0.0 is not allowed" in error.replace("error: ", "\n")
        assert "--batch-size" not in error


@pytest.mark.parametrize(
    ("model", "rate"),
    [
        ("minilm", 1e-4),
        ("sentence-transformers/all-MiniLM-L6-v2", 1e-4),
        ("bert", 5e-5),
        ("albert", 5e-5),
        ("distilbert", 5e-5),
        ("somebody/an-encoder", 5e-5),  # whether or not the hub's cache holds it
    ],
)
def test_the_default_learning_rate_follows_the_model_s_size(model: str, rate: float) -> None:
    assert make_config({"model": model}).training.learning_rate == rate
    assert make_config({"model": model, "learning_rate": 3e-5}).training.learning_rate == 3e-5
    assert make_config({"model": model, "recipe": "paper"}).training.learning_rate == 1e-5


@pytest.mark.parametrize(
    ("stated", "rate"),
    [
        ({"hidden_size": 128}, 1e-4),
        ({"dim": 512}, 1e-4),
        ({"hidden_size": 768}, 5e-5),
        ({}, 5e-5),
        ([], 5e-5),
        ({"hidden_size": "?"}, 5e-5),
    ],
)
def test_a_model_folder_states_its_size(tmp_path: Path, stated: object, rate: float) -> None:
    (tmp_path / "config.json").write_text(json.dumps(stated))
    assert make_config({"model": str(tmp_path)}).training.learning_rate == rate


def guided(*texts: str, **values: Any) -> RunConfig:
    return make_config({"guide": texts, **values})


class TestGuides:
    """`--guide` and `guide` in config files."""

    def test_a_guide_is_kept_in_one_spelling(self) -> None:
        config = guided("next=0.050, heads = 0+1", "first=5e-2,form=nll,schedule=linear:.5")
        assert config.guides.guide == ("next=0.05,heads=0-1", "first=0.05,schedule=linear:0.5")
        assert config.guides.texts == ("mdg=0.01", "pdg=0.001", *config.guides.guide)
        assert (config.guides.weights["next"], config.guides.weights["prev"]) == (0.05, 0.0)
        assert config.guides.of_guide("next") == {"form": "nll"}
        assert guided("match=1,nearest=7").guides.of_guide("match") == {"form": "nll", "match": "exact", "nearest": 7}

    @pytest.mark.parametrize("name", GUIDES)
    def test_two_configs_that_differ_in_a_guide_never_share_a_fingerprint(self, name: str) -> None:
        off = {flagged: 0.0 for flagged, entry in GUIDES.items() if entry.has_flag and flagged != name}
        options = guide_options(name)
        texts = [f"{name}=0.25", f"{name}=0.5", f"{name}=share:0.25"]
        texts += [f"{name}=0.25,{own.name}={other}" for own in options for other in other_values(own)]
        prints = [guided(text, **off).fingerprint() for text in texts]
        prints.append(make_config({name: 0.0, **off} if GUIDES[name].has_flag else off).fingerprint())
        assert len(texts) >= 5 + len(options)
        assert len(set(prints)) == len(texts) + 1

    @pytest.mark.parametrize("name", GUIDES)
    def test_other_spellings_share_it(self, name: str) -> None:
        options = guide_options(name)
        written = [f"{own.name}={own.default}" for own in options if own.name not in ("heads", "share", "layers")]
        spelled = {
            f"{name}=0.25": [f"{name}=0.250", f" {name} = 2.5e-1", ",".join([f"{name}=0.25", *written])],
            f"{name}=0.25,heads=0-1,layers=0-1,schedule=off:0.5": [
                f"{name}=0.25,schedule=off:.50,layers=0+1,heads=0+1",
                f"{name}=0.25,layers=1+0,heads=0-0+1,schedule=off:5e-1",
            ],
        }
        for text, others in spelled.items():
            for other in others:
                assert guided(other) == guided(text)
                assert guided(other).fingerprint() == guided(text).fingerprint()

    def test_a_weight_of_0_leaves_no_trace(self) -> None:
        assert guided("next=0") == guided("next=0.0,heads=3", "first=share:0") == guided() == make_config({})
        assert guided("next=0").fingerprint() == make_config({}).fingerprint()
        assert guided("mdg=0").fingerprint() == make_config({"mdg": 0.0}).fingerprint()

    def test_a_guide_with_a_flag_is_the_same_either_way(self) -> None:
        assert guided("mdg=0.2") == make_config({"mdg": 0.2})
        assert guided("mdg=0.2").fingerprint() == make_config({"mdg": 0.2}).fingerprint()
        config = guided("mdg=0.2,schedule=linear:0.5")
        assert (config.guides.mdg, config.guides.guide) == (0.2, ("mdg=0.2,schedule=linear:0.5",))
        assert config.guides.texts == ("mdg=0.2,schedule=linear:0.5", "pdg=0.001")
        assert config.fingerprint() != make_config({"mdg": 0.2}).fingerprint()
        assert guided("mdg=0.2", mdg=0.2) == guided("mdg=0.2")

    @pytest.mark.parametrize("text", ["mdg=0.2", "mdg=0", "mdg=0.2,layers=1", "mdg=share:0.2"])
    def test_two_weights_of_one_guide_are_an_error(self, text: str) -> None:
        assert problems(mdg=0.1, guide=[text])[0].startswith("--mdg 0.1 and --guide mdg=")
        assert "two weights of one guide" in problems(mdg=0.1, guide=text)[0]

    def test_all_problems_of_guides_are_told_with_those_of_other_options(self) -> None:
        found = problems(epochs=0, guide=["nxt=0.1", "prev=0.1,hads=2", "self=0.1", "self=0.2", "first=-1"])
        for line, parts in zip(
            found,
            [
                ("--epochs: 0",),
                ("--guide: there is no guide 'nxt'", "Did you mean 'next'?"),
                ("--guide: prev has no option 'hads'", "Did you mean 'heads'?"),
                ("--guide: self is given twice",),
                ("--guide: first: weight '-1' is not allowed",),
            ],
            strict=True,
        ):
            assert all(part in line for part in parts), line
        assert problems(guide=3)[0].startswith("--guide: 3 is neither a guide")

    def test_json_and_toml_say_the_same(self, tmp_path: Path) -> None:
        (tmp_path / "list.toml").write_text('guide = ["next=0.05,heads=2", "mdg=0.5,layers=1"]')
        (tmp_path / "one.toml").write_text('guide = "next=0.05,heads=2"')
        assert make_config(read_config_file(tmp_path / "list.toml")) == guided("next=0.05,heads=2", "mdg=0.5,layers=1")
        assert make_config(read_config_file(tmp_path / "one.toml")) == guided("next=0.05,heads=2")
        config = guided("next=0.05,heads=2", "mdg=0.5,layers=1", "first=share:0.1", "pdg=share:0.2")
        (tmp_path / "saved.json").write_text(json.dumps(config.flat()))
        assert make_config(read_config_file(tmp_path / "saved.json")) == config

    def test_the_heads_depend_on_the_order_so_it_counts(self) -> None:
        assert guided("next=1", "first=1").fingerprint() != guided("first=1", "next=1").fingerprint()

    def test_any_guide_can_be_monitored(self) -> None:
        assert make_config({"monitor": "next,mdg"}).guides.captures
        config = make_config({"monitor": "next", "mdg": 0.0, "pdg": 0.0})
        assert (config.guides.texts, config.guides.captures) == ((), True)


def other_values(own: GuideOption) -> list[object]:
    """Values of an option that differ from its default and from each other."""
    texts: dict[str, list[object]] = {
        "heads": [1, 2, "1-1", "0-1"],
        "share": [0.5, 0.25],
        "layers": ["0", "1"],
        "schedule": ["linear:0.5", "linear:0.25", "warmup:0.5", "off:0.5"],
    }
    if own.name in texts:
        return texts[own.name]
    choices = (own.limits or {}).get("choices")
    return (
        [choice for choice in choices if choice != own.default]
        if choices
        else [type(own.default)(own.default / 2) or 1]
    )
