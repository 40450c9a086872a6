#!/usr/bin/env bash
# vLLM on this machine: serves what `jmed export hf` wrote, and LoRA adapters beside it by name, as an OpenAI-compatible
# endpoint that `jmed evaluate run --endpoint http://localhost:8000` can ask.
#
#   MODEL=out/model launch/serve_vllm.sh
#   MODEL=Qwen2-7B-Instruct ADAPTERS="ja=out/adapter-ja en=out/adapter-en" launch/serve_vllm.sh
#   launch/serve_vllm.sh --dry-run
#
# Options go to `vllm serve`. The model of NCVC-slm-1 needs vLLM 0.32 or newer (older ones insist on relu² in its MLP)
# and, for its MeCab tokenizer, `--trust-remote-code`: read tokenization_jmed.py in its directory first.
set -euo pipefail

MODEL=${MODEL:-out/model}
NAME=${NAME:-jmed}                     # what requests call the model; adapters have names of their own
ADAPTERS=${ADAPTERS:-}                 # NAME=DIR, separated by spaces
MAX_LORA_RANK=${MAX_LORA_RANK:-64}     # of all adapters: 8, 16, 32, 64, 128 or 256
MAX_LENGTH=${MAX_LENGTH:-4096}         # prompt and answer, tokens
DTYPE=${DTYPE:-bfloat16}
GPUS=${GPUS:-1}                        # over which the model is split
HOST=${HOST:-127.0.0.1}                # 0.0.0.0 answers other machines too, without asking who they are
PORT=${PORT:-8000}
VLLM=${VLLM:-vllm}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi

command=("$VLLM" serve "$MODEL" --served-model-name "$NAME" --host "$HOST" --port "$PORT")
command+=(--dtype "$DTYPE" --max-model-len "$MAX_LENGTH" --tensor-parallel-size "$GPUS")
if [[ -n $ADAPTERS ]]; then
  read -ra modules <<<"$ADAPTERS"
  for module in "${modules[@]}"; do
    if [[ $module != ?*=?* ]]; then
      echo "error: ADAPTERS: $module is not NAME=DIR" >&2
      exit 2
    fi
  done
  command+=(--enable-lora --max-lora-rank "$MAX_LORA_RANK" --lora-modules "${modules[@]}")
fi
command+=("$@")
if $dry_run; then
  printf '%q ' "${command[@]}"
  printf '\n'
  exit
fi
exec "${command[@]}"
