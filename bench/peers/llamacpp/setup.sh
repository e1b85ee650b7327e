# Sourced by the comparisons with llama.cpp: what all measuring needs, and llama.cpp, built once.
#
#   LLAMACPP_BUILD    a CMake build folder of llama.cpp to use instead of building one
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../setup.sh"

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
