#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the two traces of tests/data again, from the models they were captured from.
#
# usage: default_traces.sh KVSINK MODELS [DIR]    MODELS holds tiny1m/ and stories260K.bin with tok512.bin; DIR: where the
#                                                 traces go (tests/data)
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ $# -lt 2 ]]; then
  echo "usage: default_traces.sh KVSINK MODELS [DIR]" >&2
  exit 2
fi
kvsink=$1 models=$2 to=${3:-tests/data}

# A strong sink: <s> at position 0. The tokens are a text of this model's, drawn once and kept.
"$kvsink" capture --model "$models/tiny1m" --ids tests/data/tiny1m_p0.ids --tokens 256 --prefill 128 \
  --name shibatch/tiny1m --source 'github:ianfunghk/luck-php-llm-poc@30cf5b4c weights_tiny1m/' \
  --licence 'MIT (as stated in that repository README section 11)' --out "$to/tiny1m_p0.safetensors"

# No sink: the story that this model tells by itself, each token the likeliest.
"$kvsink" capture --model "$models/stories260K.bin" --prompt 'Once upon a time, there was a little girl named Lily.' \
  --tokens 256 --prefill 128 --name 'karpathy/tinyllamas stories260K' \
  --source 'github:ytmytm/llama2.c64@76fd8628 stories260K.bin (sha256 b0a507e7..); tokenizer tok512.bin' \
  --licence 'MIT (karpathy/llama2.c and tinyllamas)' --out "$to/stories260K_lily.safetensors"
