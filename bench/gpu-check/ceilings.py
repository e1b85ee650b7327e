"""What the GPU can do at most: bytes copied a second (read and written), and operations a second of a bfloat16 matrix product.

With --dry-run the same of the processor, small.
"""
import json
import sys
import time

import torch


DRY = "--dry-run" in sys.argv[1:]
DEVICE = "cpu" if DRY else "cuda"


def seconds(work, repetitions):
    for _ in range(3):
        work()
    times = []
    for _ in range(repetitions):
        if DRY:
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
            continue
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return sorted(times)[len(times) // 2]


def main():
    source = torch.empty(1 << (24 if DRY else 32), dtype=torch.uint8, device=DEVICE).random_()
    target = torch.empty_like(source)
    copy = 2 * source.numel() / seconds(lambda: target.copy_(source), 20)
    del source, target
    n = 256 if DRY else 8192
    a, b = torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16), torch.randn(n, n, device=DEVICE, dtype=torch.bfloat16)
    product = 2 * n**3 / seconds(lambda: a @ b, 20)
    print(json.dumps({
        "kind": "ceilings", "gpu": "processor" if DRY else torch.cuda.get_device_name(), "torch": torch.__version__,
        "copyBytesPerSecond": copy, "bf16OperationsPerSecond": product,
    }))


main()
