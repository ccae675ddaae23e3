"""`GuidedTrainerMixin` with the real `transformers.Trainer`."""

import copy

import pytest
import torch
from trainer_settings import sgd_settings
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from agcli import MDG, PDG, GuidedTrainerMixin
from agcli.attention import Capture, Request, received_attention
from agcli.errors import ModelError, UsageError
from agcli.guides.base import CapturedAttention, term_values

GUIDES = (MDG(weight=0.5), PDG(weight=20.0))
LENGTHS = (9, 4, 7, 1, 8, 3, 5, 6, 2, 9)


class GuidedTrainer(GuidedTrainerMixin, Trainer):
    pass


def tiny_bert(dropout=0.0, dtype=torch.float64):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
        num_labels=3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )
    return BertForSequenceClassification(config).to(dtype)


def examples(count=8):
    generator = torch.Generator().manual_seed(1)
    return [
        {"input_ids": torch.randint(3, 30, (length,), generator=generator), "labels": index % 3}
        for index, length in enumerate(LENGTHS[:count])
    ]


def collate(rows):
    """Pad to the longest of the batch, so that micro-batches are padded differently from the whole batch."""
    length = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for ids_row, mask_row, row in zip(ids, mask, rows, strict=True):
        ids_row[: len(row["input_ids"])] = row["input_ids"]
        mask_row[: len(row["input_ids"])] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def arguments(folder, **changes):
    return TrainingArguments(**sgd_settings(folder, **changes))


def trainer_of(model, folder, guides=GUIDES, kind=GuidedTrainer, count=8, **changes):
    extra = {"guides": guides} if kind is GuidedTrainer else {}
    return kind(
        model=model,
        args=arguments(folder, **changes),
        train_dataset=examples(count),
        eval_dataset=examples(count),
        data_collator=collate,
        **extra,
    )


def trained_weights(*args, **kwargs):
    trainer = trainer_of(*args, **kwargs)
    trainer.train()
    return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])


def guides_by_hand(model, batch):
    """Σ weight · guide from the maps of eager attention."""
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    maps = eager(batch["input_ids"], batch["attention_mask"], output_attentions=True).attentions
    rows = batch["attention_mask"].to(maps[0].dtype)
    received = torch.stack([torch.einsum("bhij,bi->bhj", layer, rows) for layer in maps], dim=1)
    return term_values(GUIDES, CapturedAttention.of_received(received, batch["attention_mask"]))


def test_the_training_loss_is_the_task_loss_plus_the_weighted_guides(tmp_path):
    model, batch = tiny_bert(), collate(examples())
    expected = model(**batch).loss + guides_by_hand(model, batch).loss
    loss, outputs = trainer_of(model, tmp_path).compute_loss(model.train(), batch, return_outputs=True)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    assert "attentions" not in outputs


def test_the_mask_is_found_where_a_head_passes_it_by_position(tmp_path):
    class OwnHead(BertForSequenceClassification):
        def forward(self, input_ids, attention_mask, labels):
            logits = self.classifier(self.bert(input_ids, attention_mask).pooler_output)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    model, batch = tiny_bert(), collate(examples())
    own = OwnHead(model.config).double()
    own.load_state_dict(model.state_dict())
    loss = trainer_of(own, tmp_path).compute_loss(own.train(), batch)
    expected = model(**batch).loss + guides_by_hand(model, batch).loss
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)


def test_forwards_of_different_sizes_count_by_their_samples(tmp_path):
    class Twice(Trainer):
        def compute_loss(self, model, inputs, *args):
            first = {name: column[:2] for name, column in inputs.items()}
            rest = {name: column[2:] for name, column in inputs.items()}
            with torch.no_grad():
                model(**rest)  # without gradient, so not guided
            return (model(**first).loss + model(**rest).loss) * 0

    model, batch = tiny_bert(), collate(examples())
    trainer = type("Guided", (GuidedTrainerMixin, Twice), {})(model=model, args=arguments(tmp_path), guides=GUIDES)
    loss = trainer.compute_loss(model.train(), batch)
    torch.testing.assert_close(loss, guides_by_hand(model, batch).loss, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("batch_size", "accumulate", "count"), [(2, 4, 8), (4, 2, 8), (4, 3, 10)])
def test_accumulation_equals_one_batch(tmp_path, batch_size, accumulate, count):
    """(4, 3, 10) ends in a micro-batch of 2."""
    whole = trained_weights(tiny_bert(), tmp_path, count=count, per_device_train_batch_size=count)
    parts = trained_weights(
        tiny_bert(),
        tmp_path,
        count=count,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
    )
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    assert not torch.allclose(whole, trained_weights(tiny_bert(), tmp_path, guides=(), count=count), atol=1e-6)


def test_accumulation_equals_one_batch_for_a_loss_that_is_scaled_already(tmp_path):
    def summed_over_items(outputs, labels, num_items_in_batch):
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
        return loss / num_items_in_batch

    def weights(**changes):
        trainer = GuidedTrainer(
            model=tiny_bert(),
            args=arguments(tmp_path, **changes),
            train_dataset=examples(10),
            data_collator=collate,
            compute_loss_func=summed_over_items,
            guides=GUIDES,
        )
        trainer.train()
        return torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()])

    whole = weights(per_device_train_batch_size=10)
    parts = weights(per_device_train_batch_size=4, gradient_accumulation_steps=3)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    plain = trained_weights(tiny_bert(), tmp_path, count=10, per_device_train_batch_size=10)
    torch.testing.assert_close(whole, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("guides", [(), (MDG(weight=0.0), PDG(weight=0.0))])
def test_without_guides_it_is_the_plain_trainer_bit_for_bit(tmp_path, guides):
    settings = {"per_device_train_batch_size": 2, "optim": "adamw_torch", "max_grad_norm": 1.0, "max_steps": 3}
    plain = trained_weights(tiny_bert(0.1, torch.float32), tmp_path, kind=Trainer, **settings)
    mixed = trained_weights(tiny_bert(0.1, torch.float32), tmp_path, guides=guides, **settings)
    assert torch.equal(mixed, plain)


def test_without_guides_the_attention_stays_as_it_was(tmp_path):
    model = tiny_bert()
    before = model.config._attn_implementation
    trainer_of(model, tmp_path, guides=(MDG(weight=0.0),))
    assert model.config._attn_implementation == before


def test_raw_and_weighted_values_are_logged_per_sample(tmp_path):
    model = tiny_bert()
    expected = guides_by_hand(model, collate(examples(10)))
    trainer = trainer_of(
        model, tmp_path, count=10, per_device_train_batch_size=4, gradient_accumulation_steps=3, learning_rate=0.0
    )
    trainer.train()
    [entry] = [entry for entry in trainer.state.log_history if "loss" in entry]
    for guide in GUIDES:
        raw = expected.raw[guide.name].item()
        assert entry[guide.name] == pytest.approx(raw, abs=1e-6)
        assert entry[f"{guide.name}_weighted"] == pytest.approx(guide.weight * raw, abs=1e-6)


@pytest.mark.parametrize("logging_steps", [1, 4])
def test_each_log_averages_over_the_steps_since_the_last_one(tmp_path, logging_steps):
    model = tiny_bert()
    expected = guides_by_hand(model, collate(examples(8))).raw["mdg"].item()
    trainer = trainer_of(model, tmp_path, per_device_train_batch_size=2, logging_steps=logging_steps, learning_rate=0.0)
    trainer.train()
    logged = [entry["mdg"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 4 / logging_steps
    assert sum(logged) / len(logged) == pytest.approx(expected, abs=1e-6)


def test_evaluation_captures_nothing_and_adds_nothing(tmp_path):
    model = tiny_bert()
    trainer = trainer_of(model, tmp_path)
    seen = []
    model.register_forward_hook(lambda *hook: seen.append(hook[-1].attentions))
    output = trainer.predict(examples())
    assert seen == [None]
    assert output.predictions.shape == (8, 3)
    batch = collate(examples())
    assert output.metrics["test_loss"] == pytest.approx(model.eval()(**batch).loss.item(), abs=1e-9)


def test_a_saved_model_carries_no_trace_of_our_attention(tmp_path):
    trainer = trainer_of(tiny_bert(dtype=torch.float32), tmp_path)
    trainer.train()
    trainer.save_model(tmp_path / "model")
    assert "ag_" not in (tmp_path / "model" / "config.json").read_text()
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model", attn_implementation="eager")
    batch = collate(examples())
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(**batch).logits, trainer.model.eval()(**batch).logits)


def test_a_model_made_by_model_init_is_guided_too(tmp_path):
    trainer = GuidedTrainer(
        model_init=lambda: tiny_bert(),
        args=arguments(tmp_path),
        train_dataset=examples(),
        data_collator=collate,
        guides=GUIDES,
    )
    trainer.train()
    assert trainer.state.log_history[0]["mdg"] > 0


def test_gradient_checkpointing_changes_nothing(tmp_path):
    checkpointed = tiny_bert()
    checkpointed.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    plain = trained_weights(tiny_bert(), tmp_path)
    torch.testing.assert_close(trained_weights(checkpointed, tmp_path), plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["reentrant", "frozen"])
def test_guides_that_cannot_reach_the_encoder_are_an_error(tmp_path, how):
    """Reentrant checkpointing takes the gradient of what a layer returns beside its output, and says nothing."""
    model = tiny_bert()
    if how == "reentrant":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": True})
    else:
        model.bert.requires_grad_(False)
    with pytest.raises(ModelError, match="No gradient goes from mdg, pdg to the encoder") as caught:
        trainer_of(model, tmp_path).train()
    assert "use_reentrant=False" in str(caught.value.hint)


def test_data_parallel_is_refused(tmp_path):
    with pytest.raises(UsageError, match="DataParallel"):
        trainer_of(torch.nn.DataParallel(tiny_bert()), tmp_path)


def test_two_guides_of_one_name_are_refused(tmp_path):
    with pytest.raises(UsageError, match="share a name: mdg, mdg"):
        trainer_of(tiny_bert(), tmp_path, guides=(MDG(layers=(0,)), MDG(layers=(1,))))


def test_an_encoder_without_attention_is_refused(tmp_path):
    config = FNetConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, intermediate_size=24)
    with pytest.raises(ModelError, match="FNetModel gives no attention back"):
        trainer_of(FNetForSequenceClassification(config), tmp_path)


def test_a_loss_that_never_runs_the_encoder_is_an_error(tmp_path):
    class Idle(Trainer):
        def compute_loss(self, model, inputs, *args):
            return next(model.parameters()).sum()

    trainer = type("Guided", (GuidedTrainerMixin, Idle), {})(model=tiny_bert(), args=arguments(tmp_path), guides=GUIDES)
    with pytest.raises(ModelError, match="did not run the encoder"):
        trainer.compute_loss(trainer.model.train(), collate(examples()))


def test_guides_on_one_layer_capture_that_layer(tmp_path):
    model, batch = tiny_bert(), collate(examples())
    guide = MDG(weight=0.5, layers=(1,), heads=(0, 1))
    trainer = trainer_of(model, tmp_path, guides=(guide,))
    requested = []
    layer = model.bert.encoder.layer[0]
    layer.register_forward_pre_hook(lambda *hook: requested.append(hook[-1].get("ag_capture")), with_kwargs=True)
    loss = trainer.compute_loss(model.train(), batch)
    assert requested == [Capture((Request("received", (1,), (0, 1)),))]
    eager = copy.deepcopy(model).eval()
    eager.set_attn_implementation("eager")
    outputs = eager(**batch, output_attentions=True)
    received = [received_attention(layer, batch["attention_mask"]) for layer in outputs.attentions]
    guided = guide(torch.stack(received, dim=1), batch["attention_mask"]).mean()
    torch.testing.assert_close(loss, outputs.loss + 0.5 * guided, rtol=0, atol=1e-12)
