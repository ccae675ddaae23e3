"""A run's settings: read, checked together, completed from a recipe, and fingerprinted. No torch."""

from __future__ import annotations

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agcli.declare import flag
from agcli.errors import UsageError, did_you_mean, shortened
from agcli.guides.registry import GUIDES
from agcli.guides.spec import guide_values, parse_guides, parse_indices
from agcli.models.zoo import find_entry
from agcli.options import (
    OPTIONS,
    SECTIONS,
    DataOptions,
    GuideOptions,
    ModelOptions,
    OutputOptions,
    RankingOptions,
    TrainingOptions,
)
from agcli.runs.paths import expanded


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run. Sections group the options; names are unique across them."""

    model: ModelOptions = field(default_factory=ModelOptions)
    data: DataOptions = field(default_factory=DataOptions)
    guides: GuideOptions = field(default_factory=GuideOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    ranking: RankingOptions = field(default_factory=RankingOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def flat(self) -> dict[str, Any]:
        """Option name -> value, over all sections: the form of config files."""
        return {name: getattr(getattr(self, declared.section), name) for name, declared in OPTIONS.items()}

    def fingerprinted(self) -> dict[str, Any]:
        """The options that can change a run's numbers."""
        return {name: value for name, value in self.flat().items() if OPTIONS[name].spec.makes_fingerprint(value)}

    def fingerprint(self) -> str:
        """SHA-256 over `fingerprinted`."""
        return hashlib.sha256(json.dumps(self.fingerprinted(), sort_keys=True).encode()).hexdigest()

    @property
    def data_seed(self) -> int:
        """The seed of the order of examples."""
        return self.training.seed if self.training.data_seed is None else self.training.data_seed

    @property
    def subset_seed(self) -> int:
        """The seed of the training subset."""
        return self.training.seed if self.data.subset_seed is None else self.data.subset_seed


COMMAND_LINE = "the command line"


def make_config(
    values: Mapping[str, Any], *, origin: str = COMMAND_LINE, from_command_line: Collection[str] = ()
) -> RunConfig:
    """Check values and fill in recipe and defaults. Explicit values win over the recipe's.

    Args:
        values: option name -> value; only explicit ones.
        origin: their file or the command line, for messages.
        from_command_line: the options of a file that the command line overrides.

    Raises:
        UsageError: every problem at once, each naming the flag and what is allowed.
    """
    origins = {name: COMMAND_LINE if name in from_command_line else origin for name in values}
    problems = [problem for name, value in values.items() for problem in _problems(name, value, origins[name])]
    if not problems:
        problems = list(_two_weights(values, origin))
    if not problems:
        config = _filled_in(values)
        problems = list(_joint_problems(config))
        if not problems:
            return config
    raise UsageError("\n".join(problems), hint="`ag finetune --help` lists every option with its range")


def _filled_in(values: Mapping[str, Any]) -> RunConfig:
    """Checked values with those of the recipe and the defaults."""
    chosen = {**recipe_values(values, values), **values}
    if "learning_rate" not in chosen:
        chosen["learning_rate"] = default_learning_rate(chosen.get("model", OPTIONS["model"].default))
    chosen |= guide_values(parse_guides(chosen.get("guide") or ())[0]) | _guide_defaults(chosen)
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for name, value in chosen.items():
        # TOML and JSON may write 1 where 1.0 is meant; the fingerprint must not tell them apart.
        is_float = OPTIONS[name].type is float and value is not None
        sections[OPTIONS[name].section][name] = float(value) if is_float else value
    return RunConfig(**{section: SECTIONS[section](**options) for section, options in sections.items()})


def _guide_defaults(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults of the guides' own options; some have another one in the released arithmetic."""
    mode = str(chosen.get("guide_mode"))
    options = [option for entry in GUIDES.values() if entry.has_flag for option in entry.options]
    return {option.name: option.default_in(mode) for option in options if chosen.get(option.name) is None}


def _two_weights(values: Mapping[str, Any], origin: str) -> Iterator[str]:
    """Guides that have one weight by their flag and another by `--guide`."""
    where = "" if origin == COMMAND_LINE else f"{origin}: "
    for spec in parse_guides(values.get("guide") or ())[0]:
        weight = guide_values([spec]).get(spec.name)
        flagged = values.get(spec.name)
        if weight is not None and flagged is not None and float(flagged) != weight:
            yield f"{where}{flag(spec.name)} {flagged:g} and --guide {spec} are two weights of one guide: give one."


def _problems(name: str, value: Any, origin: str) -> list[str]:
    """The problems of one value."""
    if name == "guide" and value is not None:
        where = "--guide" if origin == COMMAND_LINE else f"{origin}: --guide"
        return [f"{where}: {problem}" for problem in parse_guides(value)[1]]
    problem = _problem(name, value, origin)
    return [] if problem is None else [problem]


def _problem(name: str, value: Any, origin: str) -> str | None:
    if name not in OPTIONS and isinstance(value, dict):
        return f"{origin}: [{name}] is a section; a config file has none, only one option a line."
    if name not in OPTIONS:
        return f"{origin}: unknown option {name!r}.{did_you_mean(name, OPTIONS)}"
    declared, where = OPTIONS[name], flag(name) if origin == COMMAND_LINE else f"{origin}: {flag(name)}"
    if value is None and declared.optional:
        return None
    fits = isinstance(value, declared.type) and (declared.type is bool or not isinstance(value, bool))
    if declared.type is float and type(value) is int:
        fits = abs(value) < 2**1023  # TOML and JSON have whole numbers that no float can hold
    if not fits:
        return f"{where}: {shortened(value)} is not {_WORDS[declared.type]}."
    if value == "" and declared.default != "":
        return f"{where}: it is empty."
    if isinstance(value, str):
        try:
            expanded(value)
        except UsageError:
            return f"{where}: {shortened(value)} begins with a home folder that is not known here; write it out."
    if not declared.spec.admits(value) or (isinstance(value, float) and not math.isfinite(value)):
        return f"{where}: {declared.spec.refusal(value)}"
    return None


_WORDS: dict[type[Any], str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _joint_problems(config: RunConfig) -> Iterator[str]:
    """Problems of combinations of values."""
    guides = config.guides
    for name in ("guide_layers", "guide_heads"):
        try:
            parse_subset(getattr(guides, name))
        except ValueError as error:
            yield f"{flag(name)}: {error}"
    for name in guides.monitored:
        if name not in GUIDES:
            yield f"--monitor: {name!r} is no guide; allowed: {', '.join(GUIDES)}.{did_you_mean(name, GUIDES)}"
    if guides.guide_mode == "released":
        released = {own.name: own.released for entry in GUIDES.values() if entry.has_flag for own in entry.options}
        fixed = {name: value for name, value in released.items() if value is not None} | {"reduction": "mean"}
        if any(getattr(guides, name) != value for name, value in fixed.items()):
            values = " and ".join(f"{flag(name)} {value}" for name, value in fixed.items())
            yield f"--guide-mode released fixes {values}: leave them out."
    if config.model.offline and config.output.track not in (None, "tensorboard"):
        yield f"--track {config.output.track}: with --offline only tensorboard, which stays in the run folder."
    if config.data.train_limit is not None and config.data.train_fraction != 1.0:
        yield "--train-limit and --train-fraction: give one of them, not both."


def parse_subset(text: str) -> tuple[int, ...] | None:
    """`all` -> None, `6,7` -> (6, 7), `0-2,5` -> (0, 1, 2, 5).

    Raises:
        ValueError: not of that form.
    """
    return None if text.strip() == "all" else parse_indices(text, ",", "`all`, `6,7`, `0-5` (0-based)")


BASE_WIDTH = 768
"""Hidden size of BERT-base; narrower encoders want a higher learning rate."""


def default_learning_rate(model: str) -> float:
    """Peak learning rate by the encoder's width: 1e-4 below BERT-base's, else 5e-5.

    Measured for `minilm` (384 wide), see `data/evidence/learning_rate/`. No base model was at hand; 5e-5 is the highest
    that BERT's authors recommend (Devlin et al. 2019, A.3). A hub id outside the zoo gets 5e-5 whether it is on this
    machine or not, so that one command always means one run.
    """
    entry = find_entry(model)
    width = entry.hidden_size if entry else _stated_width(expanded(model))
    return 1e-4 if width is not None and width < BASE_WIDTH else 5e-5


def _stated_width(folder: Path) -> int | None:
    try:
        stated = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    widths = [stated.get(name) for name in ("hidden_size", "dim")] if isinstance(stated, dict) else []
    return next((width for width in widths if isinstance(width, int)), None)


PAPER_EPOCHS = {"multinli": 5, "mednli": 20, "cross-genre-ir": 5}
"""Wang et al. 2022, section 3.3. Other data sets get MultiNLI's five."""


def recipe_values(naming: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the recipe that `naming` names, if any; `values` have model and data set.

    The paper names Adam, 1e-5, the epochs, length 256 and the batch sizes; it names neither warm-up, decay nor
    clipping, so the recipe uses none.
    """
    if naming.get("recipe", "default") != "paper":
        return {}
    dataset, model = (Path(str(values.get(name, ""))).name.lower() for name in ("dataset", "model"))
    epochs = [count for name, count in PAPER_EPOCHS.items() if dataset.startswith(name)]
    return {
        "optimizer": "adam",
        "learning_rate": 1e-5,
        "schedule": "constant",
        "warmup_ratio": 0.0,
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "max_length": 256,
        "batch_size": 56 if re.search(r"\balbert", model) else 64,  # not ClinicalBERT
        "epochs": epochs[0] if epochs else 5,
    }


def read_config_file(path: Path) -> dict[str, Any]:
    """Option values from a JSON or TOML file, such as a run folder's `config.json`.

    Raises:
        UsageError: the file is missing, or no JSON or TOML object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config: cannot read {path} ({error}).") from None
    if path.suffix.lower() in (".yaml", ".yml"):
        raise UsageError(f"--config: {path} is YAML, which is not read; write it as TOML (name = value) or JSON.")
    is_toml = path.suffix.lower() == ".toml"
    try:
        values = tomllib.loads(text) if is_toml else json.loads(text)
    except ValueError as error:
        kind = "TOML" if is_toml else "JSON; a TOML file is named .toml"
        raise UsageError(f"--config: {path} is not valid {kind}: {error}.") from None
    if not isinstance(values, dict):
        raise UsageError(f"--config: {path} holds no table of options.")
    return values
