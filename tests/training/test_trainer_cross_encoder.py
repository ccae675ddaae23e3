"""`GuidedTrainerMixin` with the real `CrossEncoderTrainer` of sentence-transformers, whose losses call the model."""

import copy

import pytest
import torch
from datasets import Dataset
from toy_guides import Ahead
from trainer_settings import sgd_settings
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from agcli import MDG, PDG, GuidedTrainerMixin
from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention, term_values
from agcli.guides.targets import Columns

sentence_transformers = pytest.importorskip("sentence_transformers")
from sentence_transformers.cross_encoder import (  # noqa: E402
    CrossEncoder,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
    losses,
)

GUIDES = (MDG(weight=0.5), PDG(weight=20.0))
WORDS = ("aspirin", "helps", "fever", "the", "trial", "showed", "no", "effect", "on", "pain")
QUERIES = ["aspirin helps", "fever", "the trial showed", "no effect", "pain", "on the trial", "helps pain", "no"]
ANSWERS = ["the fever", "aspirin helps on pain", "no", "effect", "fever on trial", "pain", "showed the effect", "on"]


class GuidedTrainer(GuidedTrainerMixin, CrossEncoderTrainer):
    pass


@pytest.fixture
def cross_encoder(tmp_path):
    """Makes tiny cross-encoders in float64 from a saved folder, the same weights every time."""
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))

    def make(num_labels=1):
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=15,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
            num_labels=num_labels,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            initializer_range=0.3,
        )
        folder = tmp_path / f"model{num_labels}"
        BertForSequenceClassification(config).save_pretrained(folder)
        BertTokenizerFast(str(vocabulary), model_max_length=16).save_pretrained(folder)
        return CrossEncoder(str(folder), device="cpu").double()

    return make


def pairs(labels=None, count=8):
    columns = {"query": QUERIES[:count], "answer": ANSWERS[:count]}
    return Dataset.from_dict(columns if labels is None else {**columns, "label": labels[:count]})


def arguments(folder, **changes):
    return CrossEncoderTrainingArguments(**sgd_settings(folder, **changes))


def trained_weights(model, loss, data, folder, guides=GUIDES, **changes):
    trainer = GuidedTrainer(
        model=model, args=arguments(folder, **changes), train_dataset=data, loss=loss(model), guides=guides
    )
    trainer.train()
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def guides_by_hand(model, text_pairs):
    """Guide values of one forward over all pairs, from the maps of eager attention."""
    encoder = copy.deepcopy(model.transformers_model)
    encoder.set_attn_implementation("eager")
    batch = model.tokenizer(*map(list, zip(*text_pairs, strict=True)), padding=True, return_tensors="pt")
    maps = encoder(**batch, output_attentions=True).attentions
    rows = batch["attention_mask"].to(maps[0].dtype)
    received = torch.stack([torch.einsum("bhij,bi->bhj", layer, rows) for layer in maps], dim=1)
    return term_values(GUIDES, CapturedAttention.of_received(received, batch["attention_mask"]))


@pytest.mark.parametrize(
    ("loss", "num_labels", "labels"),
    [
        (losses.BinaryCrossEntropyLoss, 1, [1, 0, 0, 1, 1, 0, 1, 0]),
        (losses.CrossEntropyLoss, 3, [2, 0, 1, 1, 2, 0, 0, 1]),
    ],
)
@pytest.mark.parametrize(("batch_size", "accumulate", "count"), [(4, 2, 8), (4, 2, 6)])
def test_accumulation_equals_one_batch(
    cross_encoder, tmp_path, loss, num_labels, labels, batch_size, accumulate, count
):
    """(4, 2, 6) ends in a micro-batch of 2."""
    data = pairs(labels, count)
    whole = trained_weights(cross_encoder(num_labels), loss, data, tmp_path)
    parts = trained_weights(
        cross_encoder(num_labels),
        loss,
        data,
        tmp_path,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulate,
    )
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-9)  # the loss itself turns labels into float32
    unguided = trained_weights(cross_encoder(num_labels), loss, data, tmp_path, guides=())
    assert not torch.allclose(whole, unguided, atol=1e-6)


def test_one_loss_call_may_run_the_encoder_several_times(cross_encoder, tmp_path):
    """In-batch negatives: 4 anchors, 3 further forwards; the guides' mean is over all 16 pairs."""
    model = cross_encoder()
    loss = losses.MultipleNegativesRankingLoss(model, num_negatives=None)
    trainer = GuidedTrainer(
        model=model, args=arguments(tmp_path), train_dataset=pairs(count=4), loss=loss, guides=GUIDES
    )
    batch = {"query": QUERIES[:4], "answer": ANSWERS[:4]}
    guided = trainer.compute_loss(model.train(), dict(batch))
    plain = trainer.compute_loss(model.eval(), dict(batch))
    every_pair = [(query, answer) for query in QUERIES[:4] for answer in ANSWERS[:4]]
    torch.testing.assert_close(guided - plain, guides_by_hand(model, every_pair).loss, rtol=0, atol=1e-12)


def test_raw_and_weighted_values_are_logged(cross_encoder, tmp_path):
    model = cross_encoder()
    expected = guides_by_hand(model, list(zip(QUERIES, ANSWERS, strict=True)))
    trainer = GuidedTrainer(model=model, args=arguments(tmp_path), train_dataset=pairs([1.0, 0.0] * 4), guides=GUIDES)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert entry["mdg"] == pytest.approx(expected.raw["mdg"].item(), abs=1e-6)
    assert entry["pdg_weighted"] == pytest.approx(20 * expected.raw["pdg"].item(), abs=1e-6)


def test_without_guides_it_is_the_plain_trainer_bit_for_bit(cross_encoder, tmp_path):
    data = pairs([1.0, 0.0] * 4)
    settings = {"per_device_train_batch_size": 2, "max_steps": 3}
    mixed = trained_weights(cross_encoder(), losses.BinaryCrossEntropyLoss, data, tmp_path, guides=(), **settings)
    model = cross_encoder()
    CrossEncoderTrainer(model=model, args=arguments(tmp_path, **settings), train_dataset=data).train()
    assert torch.equal(mixed, torch.cat([weight.detach().flatten() for weight in model.parameters()]))


def test_a_saved_model_predicts_the_same_and_carries_no_trace_of_our_attention(cross_encoder, tmp_path):
    model = cross_encoder()
    trained_weights(model, losses.BinaryCrossEntropyLoss, pairs([1, 0] * 4), tmp_path)
    text_pairs = list(zip(QUERIES, ANSWERS, strict=True))
    before = model.float().predict(text_pairs, convert_to_tensor=True)
    model.save_pretrained(str(tmp_path / "saved"))
    assert "ag_" not in (tmp_path / "saved" / "config.json").read_text()
    loaded = CrossEncoder(str(tmp_path / "saved"), device="cpu")
    torch.testing.assert_close(loaded.predict(text_pairs, convert_to_tensor=True), before)


@pytest.mark.parametrize("wrap", [lambda loss: loss, lambda loss: {"train": loss}])
def test_a_loss_that_caches_gradients_is_refused(cross_encoder, tmp_path, wrap):
    model = cross_encoder()
    with pytest.raises(UsageError, match="CachedMultipleNegativesRankingLoss caches gradients") as error:
        GuidedTrainer(
            model=model,
            args=arguments(tmp_path),
            loss=wrap(losses.CachedMultipleNegativesRankingLoss(model)),
            guides=GUIDES,
        )
    assert "use MultipleNegativesRankingLoss" in error.value.hint


def test_a_loss_that_caches_gradients_is_fine_without_guides(cross_encoder, tmp_path):
    model = cross_encoder()
    loss = losses.CachedMultipleNegativesRankingLoss(model)
    assert GuidedTrainer(model=model, args=arguments(tmp_path), loss=loss).loss is loss


class OnDelim(Ahead):
    """Attention to separators, which the trainer knows from the cross-encoder's tokenizer."""

    name = "on_delim"

    def target(self, tokens):
        return Columns(tokens.among(tokens.vocabulary.delim_ids).double())


def delim_by_hand(model, text_pairs, head):
    """Minus the mass of a head on [SEP], a mean over layers and real rows, then over samples, from eager maps."""
    encoder = copy.deepcopy(model.transformers_model)
    encoder.set_attn_implementation("eager")
    batch = model.tokenizer(*map(list, zip(*text_pairs, strict=True)), padding=True, return_tensors="pt")
    maps = torch.stack(encoder(**batch, output_attentions=True).attentions)[:, :, head]
    mass = (maps * (batch["input_ids"] == model.tokenizer.sep_token_id)[None, :, None, :]).sum(-1).mean(0)
    rows = batch["attention_mask"]
    return -((mass * rows).sum(-1) / rows.sum(-1)).mean()


def test_a_guide_on_tokens_in_each_of_several_forwards(cross_encoder, tmp_path):
    model = cross_encoder()
    trainer = GuidedTrainer(
        model=model,
        args=arguments(tmp_path),
        train_dataset=pairs(count=4),
        loss=losses.MultipleNegativesRankingLoss(model, num_negatives=None),
        guides=[OnDelim(weight=3.0, heads=(1,))],
        schedules={"on_delim": "linear:0.5"},
    )
    batch = {"query": QUERIES[:4], "answer": ANSWERS[:4]}
    guided = trainer.compute_loss(model.train(), dict(batch))
    plain = trainer.compute_loss(model.eval(), dict(batch))
    every_pair = [(query, answer) for query in QUERIES[:4] for answer in ANSWERS[:4]]
    torch.testing.assert_close(guided - plain, 3.0 * delim_by_hand(model, every_pair, 1), rtol=0, atol=1e-12)


def test_its_value_is_logged(cross_encoder, tmp_path):
    model = cross_encoder()
    expected = delim_by_hand(model, list(zip(QUERIES, ANSWERS, strict=True)), 0).item()
    guides = [OnDelim(weight=3.0, heads=(0,))]
    trainer = GuidedTrainer(model=model, args=arguments(tmp_path), train_dataset=pairs([1.0, 0.0] * 4), guides=guides)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert (entry["on_delim"], entry["on_delim_weighted"]) == pytest.approx((expected, 3 * expected), abs=1e-6)
