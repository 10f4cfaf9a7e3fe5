"""Bootstrap a GPT-2 checkpoint for transformers: weights from gpt2.yaml, and a config beside them.

python bootstrap_torch.py [FOLDER] [NAME=VALUE ...]

A NAME is one of the manifest's vars: `n_layer=2 n_embd=128` makes a model to try things with, the
default is GPT-2 itself (498 MB). Needs torch and transformers.
"""

import sys
from pathlib import Path

import yaml
from transformers import GPT2Config, GPT2LMHeadModel

import initlib

MANIFEST = Path(__file__).with_name("gpt2.yaml")


def main(folder: str = "gpt2", *changes: str) -> None:
    """Write the checkpoint, load it, and show what the model starts from."""
    manifest = yaml.safe_load(MANIFEST.read_text())
    for change in changes:
        name, value = change.split("=")
        manifest["vars"][name] = yaml.safe_load(value)

    # GPT-2's heads are 64 wide, whatever its size.
    config = GPT2Config(**manifest["vars"], n_head=manifest["vars"]["n_embd"] // 64)
    config.save_pretrained(folder)
    done = initlib.generate(manifest, Path(folder, "model.safetensors"), force=True)
    print(f"{done.path}: {done.parameters:,} parameters in {done.seconds:.2f} s")

    model, report = GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
    if any(report.values()):
        sys.exit(f"the model and the manifest disagree: {report}")
    for name, parameter in model.named_parameters():
        if ".h." not in name or ".h.0." in name:
            print(f"{name:38} mean {parameter.mean():+.5f}  std {parameter.std():.5f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
