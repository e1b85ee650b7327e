# Sourced by the comparisons with llama.cpp: finds what they need, builds llama.cpp once, and writes models once.
#
#   LLAMACPP_BUILD    a CMake build folder of llama.cpp to use instead of building one
#   LLAMACPP_MODELS   where the synthesized models are kept (default: .build/models beside this file)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
models=${LLAMACPP_MODELS:-$here/.build/models}
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

install_packages() {
  need node "get Node.js 20 or newer"
  need npm "it comes with Node.js"
  [ -d "$here/node_modules" ] || (cd "$here" && npm install --ignore-scripts --no-audit --no-fund --no-package-lock >&2)
}

# Sets $build. The library that npm ships is made for any processor; a comparison of speed needs one made for this one.
build_llamacpp() {
  if [ -n "${LLAMACPP_BUILD:-}" ]; then
    build=$LLAMACPP_BUILD
    [ -x "$build/bin/llama-bench" ] || fail "LLAMACPP_BUILD=$build has no bin/llama-bench"
    return
  fi
  build=$here/.build/llama.cpp/build
  [ -x "$build/bin/llama-bench" ] && [ -x "$build/bin/llama-batched-bench" ] && return
  install_packages
  need git "llama.cpp's source comes as a bundle"
  need cmake "it builds llama.cpp"
  need g++ "it builds llama.cpp"
  mkdir -p "$here/.build"
  [ -d "$here/.build/llama.cpp" ] ||
    git clone --quiet "$here/node_modules/node-llama-cpp/llama/gitRelease.bundle" "$here/.build/llama.cpp" >&2
  echo "building llama.cpp, once" >&2
  cmake -S "$here/.build/llama.cpp" -B "$build" -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DLLAMA_CURL=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF >"$here/.build/cmake.log" 2>&1 ||
    fail "cmake failed; see $here/.build/cmake.log"
  cmake --build "$build" -j "$(nproc)" --target llama-bench llama-batched-bench >>"$here/.build/cmake.log" 2>&1 ||
    fail "the build failed; see $here/.build/cmake.log"
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
