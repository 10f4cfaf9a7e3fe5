"""Small models of transformers', of different kinds, and how to compare what they begin with."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers

SMALL = {
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 300,
}
VISION = {key: value for key, value in SMALL.items() if key != "vocab_size"}
# Decoders, encoders, both, vision, speech, a mixture of experts, state spaces, convolutions.
CONFIGS = {
    "GPT2LMHeadModel": transformers.GPT2Config(n_embd=48, n_layer=3, n_head=4, vocab_size=300),
    "LlamaForCausalLM": transformers.LlamaConfig(**SMALL, num_key_value_heads=2, pad_token_id=0),
    "BertForMaskedLM": transformers.BertConfig(**SMALL),
    "T5ForConditionalGeneration": transformers.T5Config(
        d_model=48, d_kv=12, d_ff=64, num_layers=3, num_heads=4, vocab_size=300
    ),
    "ViTForImageClassification": transformers.ViTConfig(**VISION, image_size=32, patch_size=8),
    "WhisperForConditionalGeneration": transformers.WhisperConfig(
        d_model=48,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        vocab_size=300,
        max_source_positions=50,
        max_target_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "MixtralForCausalLM": transformers.MixtralConfig(
        **SMALL, num_key_value_heads=2, num_local_experts=4
    ),
    "MambaForCausalLM": transformers.MambaConfig(
        hidden_size=48, num_hidden_layers=3, vocab_size=300, state_size=8
    ),
    "Mamba2ForCausalLM": transformers.Mamba2Config(
        hidden_size=48, num_hidden_layers=2, vocab_size=300, num_heads=8, head_dim=12, n_groups=2
    ),
    "ResNetForImageClassification": transformers.ResNetConfig(
        embedding_size=16, hidden_sizes=[32, 64], depths=[1, 2]
    ),
}


def built(kind):
    """Build a model, with the values that the framework draws."""
    torch.manual_seed(1)
    config = CONFIGS[kind].__class__.from_dict(CONFIGS[kind].to_dict())
    return getattr(transformers, kind)(config)


def assert_alike(name, ours, theirs):
    """Compare two tensors: the same constant, or mean and stddev within sampling error."""
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype), name
    ours, theirs = (each.astype(np.float64).ravel() for each in (ours, theirs))
    # What is computed may differ in its last bits.
    if ours.size == 0 or np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max():
        return
    deviation = theirs.std()
    assert deviation > 0, name
    # Of two independent samples: the mean varies by s/sqrt(n), the stddev by s sqrt((k-1)/4n).
    kurtosis = max(((theirs - theirs.mean()) ** 4).mean() / deviation**4, 3)
    error = deviation * np.sqrt(2 / ours.size)
    assert abs(ours.mean() - theirs.mean()) < 6 * error, name
    assert abs(ours.std() - deviation) < 6 * error * np.sqrt((kurtosis - 1) / 4), name
    # Whoever repeats another's values has drawn nothing.
    assert ours.size < 8 or abs(np.corrcoef(ours, theirs)[0, 1]) < max(6 / ours.size**0.5, 0.3), (
        name
    )
