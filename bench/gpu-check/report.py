"""report.py LINES.jsonl: the table of a GPU check, from the lines that bench/gpu-check/run gathered."""
import json
import sys

KILLED = (124, 137)  # by timeout, at the limit


def parsed(lines):
    """The lines that are whole: a step that was ended may have left half of one."""
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            pass


def rate(row):
    return f"{row['median']:,.0f}" if row["median"] >= 100 else f"{row['median']:.1f}"


def cells(row, ceilings, peers):
    read, operations = row.get("readBytesPerSecond"), row.get("operationsPerSecond")
    peer = peers.get((row["type"].lower(), row["test"])) if row["step"].startswith("8b") and row.get("stages") == 1 else None
    return [
        row["step"], row["test"], rate(row),
        f"{read / 1e9:,.0f}" if read else "", f"{read / ceilings['copyBytesPerSecond']:.0%}" if read and ceilings else "",
        f"{operations / 1e12:,.1f}" if operations else "",
        f"{operations / ceilings['bf16OperationsPerSecond']:.0%}" if operations and ceilings else "",
        f"{peer['peer']} {rate(peer)}" if peer else "", f"{row['median'] / peer['median']:.2f}" if peer else "",
    ]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = list(parsed(file))
    ceilings = next((row for row in rows if row.get("kind") == "ceilings"), None)
    if ceilings:
        print(f"{ceilings['gpu']}: copies {ceilings['copyBytesPerSecond'] / 1e9:,.0f} GB/s (read and written), "
              f"multiplies bfloat16 at {ceilings['bf16OperationsPerSecond'] / 1e12:,.1f} TFLOP/s\n")
    else:
        print("ceilings: not measured\n")
    checks = [row for row in rows if row.get("step") == "selftest" and "operation" in row]
    failed = [row for row in checks if not row["passed"]]
    print(f"conformance: {len(checks) - len(failed)} of {len(checks)} passed" if checks else "conformance: not run")
    for row in failed:
        print(f"  FAILED {row['operation']}: {row.get('failure') or row.get('error')}")
    print("\n| model | test | tokens/s | GB/s | of copy | TFLOP/s | of product | peer | ours / peer |\n|---|---|---|---|---|---|---|---|---|")
    peers = {(row["type"].lower(), row["test"]): row for row in rows if row.get("kind") == "peer"}
    for row in rows:
        if row.get("kind") == "test":
            print("| " + " | ".join(cells(row, ceilings, peers)) + " |")
    for row in rows:
        if row.get("kind") == "skipped":
            print(f"\nleft out: {row['step']} ({row['why']})")
        elif row.get("kind") == "step" and row["status"] != 0:
            why = f"ended after its {row['limit']} s" if row["status"] in KILLED else f"exit {row['status']}"
            print(f"\nfailed: {row['step']} ({why}); see gpu-check.log")


main()
