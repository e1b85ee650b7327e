"""report.py LINES.jsonl: the table of a GPU check, from the lines that bench/gpu-check/run gathered."""
import json
import sys


def rate(row):
    return f"{row['median']:,.0f}" if row["median"] >= 100 else f"{row['median']:.1f}"


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    ceilings = next((row for row in rows if row.get("kind") == "ceilings"), None)
    if ceilings:
        print(f"{ceilings['gpu']}: copies {ceilings['copyBytesPerSecond'] / 1e9:,.0f} GB/s (read and written), "
              f"multiplies bfloat16 at {ceilings['bf16OperationsPerSecond'] / 1e12:,.0f} TFLOP/s\n")
    checks = [row for row in rows if row.get("step") == "selftest" and "operation" in row]
    failed = [row for row in checks if not row["passed"]]
    print(f"conformance: {len(checks) - len(failed)} of {len(checks)} passed" if checks else "conformance: not run")
    for row in failed:
        print(f"  FAILED {row['operation']}: {row.get('failure') or row.get('error')}")
    print("\n| model | test | tokens/s | GB/s | of copy | TFLOP/s | of product | peer | ours / peer |\n|---|---|---|---|---|---|---|---|---|")
    peers = {(row["type"].lower(), row["test"]): row for row in rows if row.get("kind") == "peer"}
    for row in (row for row in rows if row.get("kind") == "test"):
        read, operations = row.get("readBytesPerSecond"), row["operationsPerSecond"]
        peer = peers.get((row["type"].lower(), row["test"])) if row["step"].startswith("8b") and row["stages"] == 1 else None
        cells = [
            row["step"], row["test"], rate(row),
            f"{read / 1e9:,.0f}" if read else "", f"{read / ceilings['copyBytesPerSecond']:.0%}" if read and ceilings else "",
            f"{operations / 1e12:,.1f}", f"{operations / ceilings['bf16OperationsPerSecond']:.0%}" if ceilings else "",
            f"{peer['peer']} {rate(peer)}" if peer else "", f"{row['median'] / peer['median']:.2f}" if peer else "",
        ]
        print("| " + " | ".join(cells) + " |")
    for row in rows:
        if row.get("kind") == "skipped":
            print(f"\nleft out: {row['step']} ({row['why']})")
        elif row.get("kind") == "step" and row["status"] != 0:
            print(f"\nfailed: {row['step']} (exit {row['status']}); see gpu-check.log")


main()
