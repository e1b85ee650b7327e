"""The 8B shape in plain PyTorch, bfloat16, random weights: prefill of 2,048 tokens, and decode of one and of eight sequences.

Decode keeps its cache in place and is compiled (torch.compile with CUDA graphs); where compiling fails, it is captured as it is. With
--dry-run the same steps go over a tiny shape on the processor, neither compiled nor captured.
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

DRY = "--dry-run" in sys.argv[1:]
DEVICE = "cpu" if DRY else "cuda"
HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, VOCABULARY = (64, 96, 2, 4, 2, 256) if DRY else (4096, 14336, 32, 32, 8, 128256)
PROMPT, ANSWER = (64, 8) if DRY else (2048, 128)
HEAD_DIM = HIDDEN // HEADS


def weights(*shape):
    return torch.randn(*shape, device=DEVICE, dtype=torch.bfloat16) / shape[-1] ** 0.5


class Layer:
    def __init__(self):
        self.norms = torch.ones(2, HIDDEN, device=DEVICE, dtype=torch.bfloat16)
        self.qkv = weights((HEADS + 2 * KV_HEADS) * HEAD_DIM, HIDDEN)
        self.out = weights(HIDDEN, HIDDEN)
        self.gate_up = weights(2 * INTERMEDIATE, HIDDEN)
        self.down = weights(HIDDEN, INTERMEDIATE)


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def forward(model, tokens, positions, caches, mask):
    """tokens [batch, n] at positions [n]; caches of (keys, values) [batch, heads, context, dim] are written in place."""
    x = F.embedding(tokens, model["embedding"])
    cos, sin = model["cos"][positions], model["sin"][positions]
    batch, n, _ = x.shape
    for layer, (keys, values) in zip(model["layers"], caches):
        normed = F.rms_norm(x, (HIDDEN,), layer.norms[0])
        q, k, v = F.linear(normed, layer.qkv).split((HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM), dim=-1)
        q = rotate(q.view(batch, n, HEADS, HEAD_DIM).transpose(1, 2), cos, sin)
        k = rotate(k.view(batch, n, KV_HEADS, HEAD_DIM).transpose(1, 2), cos, sin)
        keys.index_copy_(2, positions, k)
        values.index_copy_(2, positions, v.view(batch, n, KV_HEADS, HEAD_DIM).transpose(1, 2))
        if mask is None:
            attended = F.scaled_dot_product_attention(q, keys[:, :, :n], values[:, :, :n], is_causal=True, enable_gqa=True)
        else:
            attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask[positions], enable_gqa=True)
        x = x + F.linear(attended.transpose(1, 2).reshape(batch, n, HIDDEN), layer.out)
        gate, up = F.linear(F.rms_norm(x, (HIDDEN,), layer.norms[1]), layer.gate_up).chunk(2, dim=-1)
        x = x + F.linear(F.silu(gate) * up, layer.down)
    return F.linear(F.rms_norm(x[:, -1], (HIDDEN,), model["norm"]), model["head"]).argmax(-1, keepdim=True)


def caches_for(batch, context):
    return [tuple(torch.zeros(batch, KV_HEADS, context, HEAD_DIM, device=DEVICE, dtype=torch.bfloat16) for _ in range(2)) for _ in range(LAYERS)]


def report(test, rates, how):
    print(json.dumps({"kind": "peer", "peer": "torch", "type": "bf16", "test": test, "median": statistics.median(rates), "rates": rates, "how": how}), flush=True)


def synchronize():
    if not DRY:
        torch.cuda.synchronize()


def measure(work, tokens, repetitions=3):
    work()
    rates = []
    for _ in range(repetitions):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        rates.append(tokens / (time.perf_counter() - start))
    return rates


def captured(step):
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(2):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def decoding(model, batch, mask):
    caches, tokens = caches_for(batch, ANSWER), torch.zeros(batch, 1, dtype=torch.long, device=DEVICE)
    position = torch.zeros(1, dtype=torch.long, device=DEVICE)

    def step(run=forward):
        tokens.copy_(run(model, tokens, position, caches, mask))
        position.add_(1)

    if DRY:
        return step, position, "eager"
    compiled = torch.compile(forward, fullgraph=True, mode="max-autotune-no-cudagraphs")
    try:
        return captured(lambda: step(compiled)), position, "torch.compile, CUDA graph"
    except Exception as error:  # the compiler's own errors have no common type
        print(f"torch.compile failed: {error}", file=sys.stderr)
        return captured(step), position, "CUDA graph"


@torch.inference_mode()
def main():
    angles = torch.outer(torch.arange(PROMPT, device=DEVICE), 500000 ** (-torch.arange(0, HEAD_DIM, 2, device=DEVICE) / HEAD_DIM))
    model = {
        "embedding": weights(VOCABULARY, HIDDEN), "head": weights(VOCABULARY, HIDDEN), "layers": [Layer() for _ in range(LAYERS)],
        "norm": torch.ones(HIDDEN, device=DEVICE, dtype=torch.bfloat16),
        "cos": angles.cos().bfloat16(), "sin": angles.sin().bfloat16(),
    }
    mask = torch.ones(ANSWER, ANSWER, dtype=torch.bool, device=DEVICE).tril()
    prompt, positions, caches = torch.randint(VOCABULARY, (1, PROMPT), device=DEVICE), torch.arange(PROMPT, device=DEVICE), caches_for(1, PROMPT)
    report(f"pp{PROMPT}", measure(lambda: forward(model, prompt, positions, caches, None), PROMPT), "eager")
    del caches
    for batch, test in ((1, f"tg{ANSWER}"), (8, f"tg{ANSWER} x 8")):
        replay, position, how = decoding(model, batch, mask)

        def work():
            position.zero_()
            for _ in range(ANSWER):
                replay()

        report(test, measure(work, ANSWER * batch), how)


main()
