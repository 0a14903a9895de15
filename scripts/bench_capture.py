#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed and memory of kvsink capture.

usage: bench_capture.py --kvsink PROGRAM [--models DIR] [--keep DIR]

Three figures: tokens a second of stories260K on one thread, seconds of tiny1m over 256 tokens with everything recorded
(both when DIR has the models), and the memory that an F16 model of 100 million weights takes beyond their own size
(made here, at random). Exit status 1 when a figure misses its goal. Times are processor times, so that a busy machine
does not change them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12,
         "num_key_value_heads": 12, "vocab_size": 32000, "max_position_embeddings": 2048}  # fmt: skip
GIB = 1 << 30


def write_model(folder: Path) -> int:
    """A Llama of about 110 million weights in F16, none above 2^-6; returns the bytes of its weights."""
    hidden, mlp, layers = WORDS["hidden_size"], WORDS["intermediate_size"], WORDS["num_hidden_layers"]
    shapes: dict[str, list[int]] = {"model.embed_tokens.weight": [WORDS["vocab_size"], hidden]}
    for layer in range(layers):
        at = f"model.layers.{layer}."
        shapes |= {at + f"self_attn.{n}_proj.weight": [hidden, hidden] for n in "qkvo"}
        shapes |= {at + f"mlp.{n}_proj.weight": [mlp, hidden] for n in ("gate", "up")}
        shapes[at + "mlp.down_proj.weight"] = [hidden, mlp]
        shapes |= {at + n + ".weight": [hidden] for n in ("input_layernorm", "post_attention_layernorm")}
    shapes["model.norm.weight"] = [hidden]
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    # Random bytes with the exponent's upper bits cleared: every pattern is a small number.
    table = bytes((b & 0x80) | (b & 0x1F) for b in range(256))
    folder.mkdir()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, entry in header.items():
            begin, stop = entry["data_offsets"]
            if name.endswith("norm.weight"):
                file.write(b"\x00\x3c" * ((stop - begin) // 2))
                continue
            piece = bytearray(os.urandom(stop - begin))
            piece[1::2] = piece[1::2].translate(table)
            file.write(piece)
    config = {"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True, **WORDS}
    (folder / "config.json").write_text(json.dumps(config))
    return end


def run(command: list[str]) -> tuple[float, float, int]:
    """Processor seconds, seconds, and largest resident size in bytes of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"bench_capture: {' '.join(command[:4])} ... failed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, time.monotonic() - start, usage.ru_maxrss * 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kvsink", default="build/bin/kvsink")
    parser.add_argument("--models", type=Path, default=Path("../shared/models"))
    args = parser.parse_args()
    good = True

    def told(what: str, value: str, goal: str, ok: bool) -> None:
        nonlocal good
        good = good and ok
        print(f"{what:<58}{value:>16}   goal {goal:<18}{'' if ok else 'MISSED'}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "trace.safetensors")
        stories, tiny = args.models / "stories260K.bin", args.models / "tiny1m"
        if stories.exists() and tiny.exists():
            for steps, every in ((511, "1"), (1, "511")):
                seconds = min(run([args.kvsink, "capture", "--model", str(stories), "--prompt", "", "--tokens", "512",
                                   "--ignore-eos", "--every", every, "--threads", "1", "--out", out])[0]
                              for _ in range(3))  # fmt: skip
                told(f"stories260K, 512 tokens, one thread, {steps} steps recorded", f"{512 / seconds:,.0f} tokens/s",
                     ">= 1,000 tokens/s", 512 / seconds >= 1000)  # fmt: skip
            seconds = min(run([args.kvsink, "capture", "--model", str(tiny), "--prompt", "Once", "--tokens", "256",
                               "--ignore-eos", "--out", out])[1] for _ in range(3))  # fmt: skip
            told("tiny1m, 256 tokens, every step recorded", f"{seconds:.2f} s", "< 2 s", seconds < 2)
        else:
            print(f"no models in {args.models}: their speed is not measured")
        weights = write_model(Path(folder) / "m")
        ids = Path(folder) / "ids"
        ids.write_text(" ".join(str(i * 37 % 32000) for i in range(512)))
        seconds, wall, size = run([args.kvsink, "capture", "--model", str(Path(folder) / "m"), "--ids", str(ids),
                                   "--tokens", "520", "--out", out])  # fmt: skip
        told(f"{weights / 2e6:.0f} million weights in F16 ({weights / 1e6:.0f} MB), 520 tokens, beyond the weights",
             f"{(size - weights) / GIB:.3f} GiB", "<= 1 GiB", size - weights <= GIB)  # fmt: skip
        print(f"    that run: {wall:.0f} s, {seconds:.0f} s of processor time, {520 / wall:.1f} tokens/s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
