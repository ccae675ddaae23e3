"""Guides on tokens and knowledge, and schedules, in `transformers.Trainer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from test_trainer import GuidedTrainer, arguments, collate, examples, tiny_bert
from torch import Tensor
from toy_guides import Ahead, Behind, Spread
from transformers import BertTokenizerFast

from agcli import MDG
from agcli.errors import UsageError
from agcli.guides.patterns import Delim, First, Next, Period, Prev, Self
from agcli.guides.targets import Cells, Columns, Target
from agcli.guides.tokens import Tokens, Vocabulary

VOCABULARY = Vocabulary(special_ids=(3, 4))


@dataclass(frozen=True)
class OnSpecial(Ahead):
    """Attention to special tokens."""

    name: ClassVar[str] = "on_special"

    def target(self, tokens: Tokens) -> Target:
        return Columns(tokens.among(tokens.vocabulary.special_ids).double())


@dataclass(frozen=True)
class Known(Ahead):
    """Attention to what is known."""

    name: ClassVar[str] = "known"
    knowledge: ClassVar[str] = "friends"

    def target(self, tokens: Tokens) -> Target:
        return Cells(tokens.knowledge["friends"])


def trainer(folder: Path, *guides: Any, **kwargs: Any) -> GuidedTrainer:
    settings = kwargs.pop("settings", {})
    return GuidedTrainer(
        model=kwargs.pop("model", None) or tiny_bert(),
        args=arguments(folder, **settings),
        train_dataset=examples(),
        data_collator=collate,
        guides=guides,
        **kwargs,
    )


def mass_by_hand(model: Any, batch: dict[str, Tensor], target: Tensor, heads: list[int]) -> Tensor:
    """Mean over samples of minus the mean over real rows, layers and heads of Σ_j A_ij T_ij, from eager maps."""
    model.set_attn_implementation("eager")
    maps = model(batch["input_ids"], batch["attention_mask"], output_attentions=True).attentions
    values = []
    for sample, mask in enumerate(batch["attention_mask"].bool()):
        rows = torch.stack([(layer[sample, heads] * target[sample]).sum(-1)[:, mask].mean() for layer in maps])
        values.append(-rows.mean())
    return torch.stack(values).mean()


def friends(input_ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
    real = mask[:, :, None] & mask[:, None, :]
    return {"friends": ((input_ids[:, :, None] + input_ids[:, None, :]) % 3 == 0).double() * real}


def test_a_target_is_made_of_the_tokens_and_the_given_vocabulary(tmp_path: Path) -> None:
    model, batch = tiny_bert(), collate(examples())
    guided = trainer(tmp_path, OnSpecial(weight=2.0, heads=(1,)), vocabulary=VOCABULARY, model=model)
    loss = guided.compute_loss(model.train(), batch)
    special = torch.isin(batch["input_ids"], torch.tensor([3, 4])) & batch["attention_mask"].bool()
    assert special.any()
    target = special[:, None, :].double().expand(-1, special.shape[1], -1)
    expected = tiny_bert()(**batch).loss + 2.0 * mass_by_hand(tiny_bert(), batch, target, [1])
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


def test_knowledge_comes_from_a_function_of_the_batch(tmp_path: Path) -> None:
    model, batch = tiny_bert(), collate(examples())
    guided = trainer(tmp_path, Known(weight=0.5), vocabulary=Vocabulary(), knowledge=friends, model=model)
    loss = guided.compute_loss(model.train(), batch)
    target = friends(batch["input_ids"], batch["attention_mask"].bool())["friends"]
    expected = tiny_bert()(**batch).loss + 0.5 * mass_by_hand(tiny_bert(), batch, target, [0, 1])
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


def test_the_vocabulary_is_the_processing_class_s(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "the", "heart", "##s"]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"))
    guided = trainer(tmp_path, Ahead(), processing_class=tokenizer)
    assert guided._terms.vocabulary.delim_ids == (3,)
    assert guided._terms.vocabulary.period_ids == (5,)
    assert guided._terms.vocabulary.embeddings is None


def test_without_tokenizer_or_knowledge_the_error_names_the_guide_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ahead, behind: the targets of these guides depend on tokens") as caught:
        trainer(tmp_path, MDG(), Ahead(), Behind())
    assert "processing_class=tokenizer, or vocabulary=" in str(caught.value.hint)
    with pytest.raises(UsageError, match="known needs the knowledge 'friends' of each batch") as caught:
        trainer(tmp_path, Known(), vocabulary=VOCABULARY)
    assert "knowledge=function" in str(caught.value.hint)
    trainer(tmp_path, MDG(), Spread())  # neither looks at tokens


def test_patterns_of_places_need_no_tokenizer_and_signs_must_be_there(tmp_path: Path) -> None:
    trainer(tmp_path, *(guide(heads=(0,)) for guide in (Next, Prev, Self, First)))
    for guide, sign in ((Delim(), "a separator token"), (Period(), "a piece that spells a period")):
        with pytest.raises(UsageError, match=f"{guide.name} needs {sign}.*, which BertModel does not have"):
            trainer(tmp_path, guide, vocabulary=Vocabulary(special_ids=(3,)))


def test_embeddings_in_place_of_ids(tmp_path: Path) -> None:
    """A user's own head may call the encoder so; only guides that look at ids cannot do with it."""
    model, batch = tiny_bert(), collate(examples())
    embeddings = model.get_input_embeddings()(batch.pop("input_ids"))
    guided = trainer(tmp_path, MDG(), Next(heads=(0,)), model=model)
    for mask in (batch["attention_mask"], None):
        inputs = {**batch, "inputs_embeds": embeddings.detach(), "attention_mask": mask}
        guided.compute_loss(model.train(), inputs).backward()
        assert model.bert.encoder.layer[0].attention.self.query.weight.grad.any()
    guided = trainer(tmp_path, OnSpecial(), vocabulary=VOCABULARY, model=model)
    with pytest.raises(UsageError, match="called with inputs_embeds and without input_ids"):
        guided.compute_loss(model.train(), {**batch, "inputs_embeds": embeddings.detach()})


def test_knowledge_of_another_shape(tmp_path: Path) -> None:
    model, batch = tiny_bert(), collate(examples())
    guided = trainer(
        tmp_path, Known(), vocabulary=VOCABULARY, knowledge=lambda ids, mask: {"friends": mask.double()}, model=model
    )
    with pytest.raises(
        UsageError, match=r"knowledge 'friends' is \(8, 9\), not \(batch, length, length\) = \(8, 9, 9\)"
    ):
        guided.compute_loss(model.train(), batch)


@pytest.mark.parametrize("guide", [Ahead(heads=(0, 2)), MDG(heads=(2,)), Spread(layers=(0, 2))])
def test_a_layer_or_head_that_is_not_there(tmp_path: Path, guide: Any) -> None:
    """Sums over no head would be a guide that is silently 0."""
    with pytest.raises(UsageError, match=rf"The guide {guide.name}: (layer|head) 2 is too high; BertModel has 2"):
        trainer(tmp_path, guide, vocabulary=VOCABULARY)


def test_two_guides_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="share a name: ahead, ahead"):
        trainer(tmp_path, Ahead(heads=(0,)), Ahead(heads=(1,)), vocabulary=VOCABULARY)


@pytest.mark.parametrize(
    ("schedules", "problem"),
    [
        ({"spred": "linear:0.5"}, "schedules: there is no guide 'spred'; allowed: spread. Did you mean 'spread'?"),
        ({"spread": "linear"}, "schedules: spread: 'linear' is no schedule|schedules: spread: "),
        ({"spread": "soon:0.5"}, "schedules: spread: 'soon:0.5' is no schedule"),
        (
            {"spread": "linear:1"},
            "schedules: spread: 'linear:1' is no schedule; allowed: constant, linear:H, warmup:H and "
            "off:H with a share H of training, 0 to 0.999 of linear, 0.001 to 1 of warmup, 0.001 to 1 of off.",
        ),
    ],
)
def test_schedules_that_are_none(tmp_path: Path, schedules: dict[str, str], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        trainer(tmp_path, Spread(), schedules=schedules)
    assert str(caught.value).startswith(problem.partition("|")[0])


class TestSchedules:
    """Eight examples in batches of two for two epochs: eight steps."""

    SETTINGS: ClassVar[dict[str, Any]] = {"per_device_train_batch_size": 2, "num_train_epochs": 2}

    def log(self, folder: Path, schedule: str | None, **settings: Any) -> list[dict[str, float]]:
        schedules = {} if schedule is None else {"spread": schedule}
        guided = trainer(folder, Spread(weight=0.5), schedules=schedules, settings={**self.SETTINGS, **settings})
        guided.train()
        return [entry for entry in guided.state.log_history if "loss" in entry]

    def test_the_logged_weight_follows_the_schedule(self, tmp_path: Path) -> None:
        entries = self.log(tmp_path, "linear:0.5")
        factors = [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
        assert [entry["spread_weighted"] / entry["spread"] for entry in entries] == pytest.approx(
            [0.5 * factor for factor in factors]
        )

    def test_what_is_off_is_not_computed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        call = Spread.__call__
        monkeypatch.setattr(Spread, "__call__", lambda self, attention: calls.append(1) or call(self, attention))
        entries = self.log(tmp_path, "off:0.5")
        assert len(calls) == 4
        assert ["spread" in entry for entry in entries] == [True] * 4 + [False] * 4
        assert [entry["spread_weighted"] for entry in entries[4:]] == [0.0] * 4

    def test_a_mean_over_steps_of_which_some_are_off(self, tmp_path: Path) -> None:
        """Logged every four steps, the guide on in the first six."""
        single = self.log(tmp_path, "off:0.75")
        several = self.log(tmp_path, "off:0.75", logging_steps=4)
        assert several[1]["spread"] == pytest.approx(sum(entry["spread"] for entry in single[4:6]) / 2)
        weighted = sum(entry["spread_weighted"] for entry in single[4:]) / 4
        assert several[1]["spread_weighted"] == pytest.approx(weighted) != 0

    def test_a_run_is_the_unscheduled_one_until_its_weight_changes(self, tmp_path: Path) -> None:
        constant, off, absent = self.log(tmp_path, None), self.log(tmp_path, "off:0.5"), self.log(tmp_path, "constant")
        losses = [[entry["loss"] for entry in entries] for entries in (constant, off, absent)]
        assert losses[0][:4] == losses[1][:4]
        assert losses[0] == losses[2]
        assert losses[0][5:] != losses[1][5:]


def test_accumulation_equals_one_batch_with_targets_and_a_schedule(tmp_path: Path) -> None:
    weights = []
    for settings in (
        {"per_device_train_batch_size": 8},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
    ):
        guided = trainer(
            tmp_path,
            OnSpecial(weight=1.0),
            vocabulary=VOCABULARY,
            schedules={"on_special": "linear:0.1"},
            settings={**settings, "num_train_epochs": 3},
        )
        guided.train()
        weights.append(torch.cat([weight.detach().flatten() for weight in guided.model.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=1e-12)
