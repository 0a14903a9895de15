#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small models with random weights, made by transformers in many shapes: kvsink capture and scripts/capture_hf.py give
the same trace of each, and the tokenizers the same tokens. Needs what requirements-capture.txt lists.

usage: compare_hf.py KVSINK FOLDER [MODEL IDS]    MODEL, IDS: one more model, and tokens for it

Prints a line a model; exit status 1 when one differs, 77 when the packages are not there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

try:
    import numpy as np
    import torch
    import transformers
    from safetensors import safe_open
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError as error:
    print(f"skipped: {error.name} is not installed (requirements-capture.txt)")
    sys.exit(77)

ROOT = Path(__file__).resolve().parents[2]
VOCABULARY = 160
TEXT = (
    "Once upon a time, there was a girl; she'd 3 cats, 12 dogs and 2345 mice.\n\n  \"Don't go,\" said Zo\u00eb, "
    "na\u00efve caf\u00e9 \u00fcber\ttabs   spaces\r\n<|x|> done! \u4f60\u597d \U0001f600 end "
)


def order(half: np.ndarray) -> np.ndarray:
    """fp16 bits as integers that count ulps."""
    bits = half.view(np.int16).astype(np.int32)
    return np.where(bits < 0, -(bits & 0x7FFF), bits)


def same(a: Path, b: Path, loose: bool) -> str:
    """Empty when the traces agree, else what differs."""
    with safe_open(str(a), "np") as x, safe_open(str(b), "np") as y:
        if sorted(x.keys()) != sorted(y.keys()):
            return f"tensors {sorted(x.keys())} and {sorted(y.keys())}"
        for name in ("token_ids", "decode_positions"):
            if not np.array_equal(x.get_tensor(name), y.get_tensor(name)):
                return name
        for name in ("window", "prefill_tokens"):
            if x.metadata().get(name) != y.metadata().get(name):
                return f"{name}: {x.metadata().get(name)} and {y.metadata().get(name)}"
        if not np.isclose(float(x.metadata()["scale"]), float(y.metadata()["scale"]), rtol=1e-14):
            return "scale"
        for name in "qkv":
            p, q = x.get_tensor(name), y.get_tensor(name)
            # transformers computes norms, RoPE and learned sinks in float32 even when the rest is float64: near zero a
            # difference is many of fp16's ulps, so an absolute one is allowed as well.
            ok = (abs(order(p) - order(q)) <= 1) | (abs(p.astype(float) - q.astype(float)) <= (2e-4 if loose else 2e-5))
            if ok.mean() < 0.999:
                return f"{name}: {100 * ok.mean():.3f} % agree"
    return ""


def compare(kvsink: str, folder: Path, model: Path, ids: Path, loose: bool = False) -> str:
    for command in (
        [kvsink, "capture", "--model", str(model), "--out", str(folder / "a.safetensors"), "--ignore-eos"],
        [sys.executable, str(ROOT / "scripts/capture_hf.py"), "--model", str(model), "--dtype", "float64", "--kvsink",
         kvsink, "--out", str(folder / "b.safetensors")],
    ):  # fmt: skip
        done = subprocess.run(
            [*command, "--ids", str(ids), "--tokens", "48", "--prefill", "20"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode != 0:
            return f"{Path(command[0]).name}: {done.stderr.strip()}"
    return same(folder / "a.safetensors", folder / "b.safetensors", loose)


def random_models() -> dict[str, tuple[object, dict]]:
    base = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6, vocab_size=VOCABULARY,
                max_position_embeddings=64, bos_token_id=1, eos_token_id=None, initializer_range=0.3)  # fmt: skip
    t = transformers
    stretch = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}  # fmt: skip
    return {
        "llama, one kv head, tied, BF16": (t.LlamaForCausalLM, dict(base, num_key_value_heads=1, tie_word_embeddings=True, dtype="bfloat16")),
        "llama, llama3 RoPE, biases, F16": (t.LlamaForCausalLM, dict(base, num_key_value_heads=2, rope_scaling=stretch, attention_bias=True, mlp_bias=True, dtype="float16")),
        "llama, linear RoPE, wide heads, shards": (t.LlamaForCausalLM, dict(base, num_key_value_heads=3, head_dim=16, rope_scaling={"rope_type": "linear", "factor": 2.0}, shard="40KB")),
        "mistral, window of 7": (t.MistralForCausalLM, dict(base, num_key_value_heads=2, sliding_window=7, head_dim=8)),
        "qwen2, window in the upper layers": (t.Qwen2ForCausalLM, dict(base, num_key_value_heads=2, use_sliding_window=True, sliding_window=9, max_window_layers=1)),
        "qwen3, norms of heads": (t.Qwen3ForCausalLM, dict(base, num_key_value_heads=2, head_dim=16)),
    }  # fmt: skip


def tokenizers() -> dict[str, Tokenizer]:
    """Trained on the spot: bytes as letters with two word patterns, and pieces with marked spaces."""
    out = {}
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
              r"\s*[\r\n]+|\s+(?!\S)|\s+")  # fmt: skip
    from tokenizers import Regex

    text = [TEXT, "the cat and the dog and the mouse, " * 3, "she'd said it's 123 4567 times\n" * 3]
    for name in ("bytes", "bytes, split", "bytes, digits"):
        tokenizer = Tokenizer(models.BPE())
        if name == "bytes, split":
            tokenizer.normalizer = None
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Split(Regex(llama3), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
            )
        elif name == "bytes, digits":
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
            )
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=["<|x|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
        tokenizer.train_from_iterator(text, trainer)
        out[name] = tokenizer
    for name in ("pieces, prepended", "pieces, metaspace"):
        tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
        if name == "pieces, prepended":
            tokenizer.normalizer = normalizers.Sequence(
                [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
            )
        else:
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=special, limit_alphabet=60)
        tokenizer.train_from_iterator(text, trainer)
        tokenizer.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        out[name] = tokenizer
    return out


def main() -> int:
    kvsink, folder = sys.argv[1], Path(sys.argv[2])
    failed = 0

    def told(what: str, difference: str) -> None:
        nonlocal failed
        failed += difference != ""
        print(f"{what}: {difference or 'equal'}", flush=True)

    torch.manual_seed(1)
    ids = folder / "ids.txt"
    ids.write_text(" ".join(str(int(x)) for x in torch.randint(0, VOCABULARY, (24,))))
    for name, (kind, settings) in random_models().items():
        shard = settings.pop("shard", "5GB")
        dtype = settings.pop("dtype", "float32")
        model = kind(kind.config_class(**settings)).to(getattr(torch, dtype))
        path = folder / name.replace(" ", "_").replace(",", "")
        model.save_pretrained(path, max_shard_size=shard)
        told(name, compare(kvsink, folder, path, ids, loose=True))
    if len(sys.argv) > 4:
        told(sys.argv[3], compare(kvsink, folder, Path(sys.argv[3]), Path(sys.argv[4])))

    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=512,
        max_position_embeddings=2048))  # fmt: skip
    model.save_pretrained(folder / "tokens")
    for name, tokenizer in tokenizers().items():
        tokenizer.save(str(folder / "tokens/tokenizer.json"))
        for text in (TEXT, "a", " leading and trailing ", TEXT * 3):
            done = subprocess.run(
                [kvsink, "capture", "--model", str(folder / "tokens"), "--prompt", text, "--out",
                 str(folder / "t.safetensors")], capture_output=True, errors="replace", check=False,
            )  # fmt: skip
            if done.returncode != 0:
                told(f"tokenizer {name}", done.stderr.strip())
                continue
            wanted = tokenizer.encode(text).ids
            with safe_open(str(folder / "t.safetensors"), "np") as trace:
                got = trace.get_tensor("token_ids")[: int(trace.metadata()["prompt_tokens"])].tolist()
            told(f"tokenizer {name}, {len(wanted)} tokens", "" if got == wanted else f"{got} is not {wanted}")
    print(json.dumps({"failed": failed}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
