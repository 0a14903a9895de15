#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Captures a trace from any causal language model of transformers whose attention goes through its attention interface.

usage: capture_hf.py --model MODEL (--prompt TEXT | --ids FILE) --out TRACE [--tokens N] [--prefill N] [--dtype NAME]
                     [--device NAME] [--kvsink PROGRAM] [--name TEXT] [--source TEXT] [--licence TEXT]

MODEL is a folder or a name of the model hub. Needs what requirements-capture.txt lists, in an environment of its own.
The hook is one attention function: it copies q, k (after RoPE) and v of the new tokens to files, and computes what the
model's own would. `kvsink import` then checks the files, computes the exact outputs and writes the trace. Models that
kvsink capture reads itself need none of this. Exit status: 0, or 2 with one line that says why.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BAD_INPUT = 2
NAME = "kvsink_capture"


class Refused(Exception):
    """What is wrong, as one line."""


class Recorder:
    """Rows of every layer, in files that grow no further than the sequence: [tokens][heads][d] each."""

    def __init__(self, folder: Path, tokens: int) -> None:
        self.folder = folder
        self.tokens = tokens
        self.files: dict[tuple[int, str], Any] = {}
        self.filled: dict[int, int] = {}  # tokens recorded, by layer
        self.scales: set[float] = set()
        self.windows: dict[int, int] = {}
        self.sinks: dict[int, Any] = {}

    def take(self, layer: int, name: str, first: int, rows: Any) -> None:
        """rows: [heads][count][d] of consecutive tokens."""
        import numpy as np

        values = rows.detach().double().cpu().numpy().transpose(1, 0, 2)
        file = self.files.get((layer, name))
        if file is None:
            shape = (self.tokens, values.shape[1], values.shape[2])
            file = np.lib.format.open_memmap(
                self.folder / f"{name}{layer}.npy", mode="w+", dtype="<f8", shape=shape
            )
            self.files[layer, name] = file
        file[first : first + values.shape[0]] = values


def attention(recorder: Recorder):
    """The attention function to register: records, then computes."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def with_sinks(module, query, key, value, mask, scaling, sinks):
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        scores = query @ key.transpose(2, 3) * scaling
        if mask is not None:
            mask = mask[..., : key.shape[2]]
            scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
        elif query.shape[2] > 1:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(
                key.shape[2] - query.shape[2]
            )
            scores = scores.masked_fill(~seen, float("-inf"))
        joined = torch.cat([scores, sinks.reshape(1, -1, 1, 1).expand(*scores.shape[:3], 1).to(scores.dtype)], -1)
        return (joined.softmax(-1)[..., :-1] @ value).transpose(1, 2).contiguous(), None

    def run(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
        layer = module.layer_idx
        new, length = query.shape[2], key.shape[2]
        scale = float(scaling if scaling is not None else query.shape[3] ** -0.5)
        # A cache that keeps only a window hands over fewer keys than there are positions.
        first = recorder.filled.get(layer, 0)
        for name, rows in (("q", query[0]), ("k", key[0, :, length - new :]), ("v", value[0, :, length - new :])):
            if name != "q" and value.shape[3] != query.shape[3]:
                raise Refused(f"layer {layer}: rows of V have {value.shape[3]} elements, those of K {query.shape[3]}")
            recorder.take(layer, name, first, rows)
        recorder.filled[layer] = first + new
        recorder.scales.add(scale)
        window = kwargs.get("sliding_window")
        recorder.windows[layer] = int(window) if window else 0
        sinks = kwargs.get("s_aux")
        if sinks is not None:
            recorder.sinks[layer] = sinks.detach().double().cpu().numpy()
            return with_sinks(module, query, key, value, attention_mask, scale, sinks)
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling)

    return run


def tokens_of(args: argparse.Namespace) -> tuple[list[int], Any]:
    if args.ids is not None:
        try:
            return [int(word) for word in args.ids.read_text().replace(",", " ").split()], None
        except ValueError:
            raise Refused(f"--ids: {args.ids}: is not a list of whole numbers") from None
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    return list(tokenizer(args.prompt)["input_ids"]), tokenizer


def capture(args: argparse.Namespace, folder: Path) -> Path:
    """Runs the model; returns the mapping for kvsink import."""
    import numpy as np
    import torch
    from transformers import AttentionInterface, AutoModelForCausalLM
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    ids, tokenizer = tokens_of(args)
    total = args.tokens or max(256, len(ids) + 1)
    ids = ids[:total]
    prefill = args.prefill or min(len(ids), total - 1)
    recorder = Recorder(folder, total)
    AttentionInterface.register(NAME, attention(recorder))
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    try:
        model.set_attn_implementation(NAME)
    except ValueError as error:
        raise Refused(f"{args.model}: its attention does not go through the interface ({error})") from None
    model = model.to(args.device).eval()
    if not ids or min(ids) < 0 or max(ids) >= model.config.vocab_size:
        raise Refused(f"the prompt is empty, or has a token out of the vocabulary of {model.config.vocab_size}")
    if not 1 <= prefill < total:
        raise Refused(f"--prefill: {prefill} of {total} tokens leaves no step to decode")
    end = model.config.eos_token_id
    ends = set(end if isinstance(end, list) else [end])
    prompt_tokens = len(ids)
    with torch.inference_mode():
        cache = None
        fed = 0
        while fed < len(ids):
            out = model(torch.tensor([ids[fed:]], device=args.device), past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            fed = len(ids)
            if fed < total and not (fed > prompt_tokens and ids[-1] in ends):
                ids.append(int(out.logits[0, -1].argmax()))
    if not recorder.files:
        raise Refused(f"{args.model}: its attention does not go through the interface: nothing was recorded")
    if len(recorder.scales) != 1:
        raise Refused(f"{args.model}: layers scale differently ({sorted(recorder.scales)}), a trace has one scale")
    layers = sorted({layer for layer, _ in recorder.files})
    for (layer, name), file in list(recorder.files.items()):
        file.flush()
        if len(ids) < total:
            np.save(folder / f"{name}{layer}.npy", np.array(file[: len(ids)]))
    np.save(folder / "ids.npy", np.array(ids, dtype="<i4"))
    mapping = {
        "model": args.name or str(getattr(model.config, "_name_or_path", args.model)) or args.model,
        "source": args.source or f"transformers, {type(model).__name__}, {args.dtype}",
        "licence": args.licence or "not given (see the model)",
        "text": tokenizer.decode(ids) if tokenizer else "",
        "layers": len(layers),
        "prefill_tokens": prefill,
        "scale": recorder.scales.pop(),
        "token_ids": {"file": "ids.npy"},
        **{name: {"file": name + "{layer}.npy", "axes": "thd"} for name in "qkv"},
    }
    if any(recorder.windows.values()):
        mapping["windows"] = [recorder.windows[layer] for layer in layers]
    if recorder.sinks:
        heads = len(next(iter(recorder.sinks.values())))
        none = np.full(heads, -1e30)
        np.save(folder / "sinks.npy", np.stack([recorder.sinks.get(layer, none) for layer in layers]))
        mapping["sink_logit"] = {"file": "sinks.npy"}
    path = folder / "map.json"
    path.write_text(json.dumps(mapping))
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--prompt")
    what.add_argument("--ids", type=Path)
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--prefill", type=int)
    parser.add_argument("--dtype", default="float32", choices=["float16", "bfloat16", "float32", "float64"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kvsink", default="build/bin/kvsink")
    parser.add_argument("--name")
    parser.add_argument("--source")
    parser.add_argument("--licence")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        # Beside the trace: that is where room for it was meant to be.
        with tempfile.TemporaryDirectory(prefix=args.out.name + ".", dir=args.out.parent) as folder:
            mapping = capture(args, Path(folder))
            return subprocess.run([args.kvsink, "import", str(mapping), "--out", str(args.out)], check=False).returncode
    except ImportError as error:
        print(f"capture_hf: {error.name or error}: not installed (pip install -r requirements-capture.txt)", file=sys.stderr)
    except Refused as error:
        print(f"capture_hf: {error}", file=sys.stderr)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        print("capture_hf: " + (str(error).strip().splitlines() or [repr(error)])[0], file=sys.stderr)
    return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
