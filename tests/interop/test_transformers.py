"""`initgen manifest hf:...`: what transformers would begin with, without building it in memory."""

import json

import numpy as np
import pytest
import torch
from architectures import CONFIGS, assert_alike, built
from safetensors.numpy import load_file

import initlib
from initlib._errors import RequestError, StorageError


def tensors_in(folder):
    """Return every tensor of a folder's shards."""
    found = {}
    for path in folder.glob("*.safetensors"):
        found |= load_file(path)
    return found


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_model_begins_as_its_own_framework_has_it(tmp_path, kind):
    model = built(kind)
    model.save_pretrained(tmp_path / "theirs")
    (tmp_path / "config").mkdir()
    (tmp_path / "theirs/config.json").rename(tmp_path / "config/config.json")
    draft = initlib.manifest(f"hf:{tmp_path / 'config'}")
    assert (draft.missing, draft.rules) == ((), None)
    theirs = tensors_in(tmp_path / "theirs")
    for size in ("5GB", "40KB"):
        folder = tmp_path / size
        done = initlib.generate(
            draft.manifest, folder, max_shard_size=size, copy_from=tmp_path / "config"
        )
        assert (len(done.files) > 1) is (size == "40KB")
        _, report = type(model).from_pretrained(folder, output_loading_info=True)
        assert not any(report.values()), report
        ours = tensors_in(folder)
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert_alike(name, ours[name], values)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_module_in_memory(tmp_path, kind):
    """Some have other names there, and what is one tensor there is several in files."""
    model = built(kind)
    model.config.architectures = [kind]
    model.config.save_pretrained(tmp_path)
    draft = initlib.manifest(f"hf:{tmp_path}", state_dict=True)
    assert not draft.partial
    with torch.device("meta"):
        empty = type(model)(model.config)
    initlib.torch.materialize(empty, draft.manifest, buffers=empty._init_weights)
    theirs = model.state_dict()
    for name, values in empty.state_dict().items():
        assert_alike(name, values.numpy(), theirs[name].numpy())
    names = {name for name in theirs if name not in model.all_tied_weights_keys}
    assert names == set(initlib.open(draft.manifest).keys())


def test_names_of_memory_are_a_module_s(tmp_path):
    with pytest.raises(RequestError, match=r"--state-dict .* is for models of transformers', not "):
        initlib.manifest(tmp_path / "m.safetensors", state_dict=True)


def test_a_type_by_itself_and_what_is_tied():
    draft = initlib.manifest("hf:gpt2")
    assert (draft.tensors, draft.parameters, draft.missing) == (148, 124_439_808, ())
    assert draft.notes == ("tied: lm_head.weight is transformer.wte.weight, which is written once",)
    assert "# GPT2LMHeadModel as transformers" in draft.text
    assert "# Tied: lm_head.weight is transformer.wte.weight" in draft.text
    # The residual projections' stddev, as a person would write it.
    assert "random_normal(stddev=0.02/sqrt(24))" in draft.text
    assert initlib.generate(draft.manifest, dry_run=True).parameters == draft.parameters


def test_the_padding_row_is_zero(tmp_path):
    CONFIGS["LlamaForCausalLM"].save_pretrained(tmp_path)
    draft = initlib.manifest(f"hf:{tmp_path}")
    (embeddings,) = [
        each for each in draft.manifest["layers"] if "embed_tokens" in each.get("name", "")
    ]
    parts = "concatenate([1, 299], [zeros(), random_normal(stddev=0.02)])"
    assert embeddings["initializer"] == parts


def test_a_dtype_of_the_config(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "gpt2", "n_layer": 1, "dtype": "bfloat16"})
    )
    assert initlib.manifest(f"hf:{tmp_path}").manifest["dtype"] == "bfloat16"


def write(folder, text):
    (folder / "config.json").write_text(text)
    return f"hf:{folder}"


def test_what_is_wrong_with_a_config(tmp_path):
    cases = {
        "{": (StorageError, "config.json"),
        "{}": (RequestError, "config.json: transformers .* knows no model_type None"),
        '{"model_type": "lama"}': (RequestError, "no model_type 'lama'; did you mean 'llama'"),
        '{"model_type": "gpt2", "architectures": ["GPT7"]}': (
            RequestError,
            "no model class 'GPT7'",
        ),
        '{"model_type": "gpt2", "n_embd": 7}': (RequestError, "GPT2LMHeadModel of .* raised"),
        '{"model_type": "gpt2", "n_embd": "x"}': (RequestError, "raised"),
    }
    for text, (error, message) in cases.items():
        with pytest.raises(error, match=message) as caught:
            initlib.manifest(write(tmp_path, text))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"attn_implementation": "someone/kernels"},
        {"_attn_implementation": "someone/kernels"},
        {"experts_implementation": "someone/kernels"},
        {"auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}},
    ],
    ids=lambda keys: next(iter(keys)),
)
def test_code_that_a_config_names_is_neither_fetched_nor_run(tmp_path, keys):
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    config = {"model_type": "gpt2", "n_layer": 1, "n_embd": 12, "n_head": 1}
    plain = initlib.manifest(write(tmp_path, json.dumps(config)))
    assert initlib.manifest(write(tmp_path, json.dumps({**config, **keys}))) == plain
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf:gtp2", "received 'gtp2'; did you mean 'gpt2'?"),
        ("hf:org/model", "expected a folder with a config.json, or a model type of transformers'"),
        ("hf:", "expected a folder"),
    ],
)
def test_no_such_model(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match="expected a folder") as caught:
        initlib.manifest(source)
    assert message in str(caught.value)


def test_rules_are_not_for_models():
    with pytest.raises(RequestError, match="rules are for checkpoints; hf:gpt2 says itself"):
        initlib.manifest("hf:gpt2", rules="gpt2")


def test_nothing_is_left_behind():
    import sys

    import torch

    before = sys.getprofile(), torch.get_default_dtype()
    initlib.manifest("hf:gpt2")
    assert (sys.getprofile(), torch.get_default_dtype()) == before
    assert torch.zeros(2).tolist() == [0, 0]
    assert np.isfinite(torch.nn.Linear(3, 3).weight.detach().numpy()).all()
