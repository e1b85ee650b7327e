# Sourced by the scripts that measure: finds what they need, builds the program, and writes models once.
#
#   BENCH_MODELS    where the synthesized models are kept (default: bench/.models)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
models=${BENCH_MODELS:-$root/bench/.models}
program=$root/gateway/bin/Release/net10.0/llama3cluster.dll

fail() {
  echo "error: $*" >&2
  exit 1
}

need() { command -v "$1" >/dev/null || fail "$1 is not installed; $2"; }

ours() { dotnet "$program" "$@"; }

build_ours() {
  need dotnet "get the .NET 10 SDK"
  dotnet build -c Release "$root/gateway" -v quiet -clp:NoSummary >&2
}

# synthesize SHAPE TYPE [LAYERS]: sets $model, writing the file if it is not there yet.
synthesize() {
  model=$models/$1${3:+-$3layers}-$2.gguf
  [ -f "$model" ] && return
  mkdir -p "$models"
  local size=(--shape "$1" --type "$2" --seed 7 --format gguf)
  [ -z "${3:-}" ] || size+=(--layers "$3")
  rm -f "$model.part"
  ours synth "${size[@]}" --out "$model.part" >&2 || fail "could not write $model"
  mv "$model.part" "$model"
}
