"""``make bench``: runs every benchmark, or those named: ``make bench ARGS="intake memory"``."""

import sys
from importlib import import_module

NAMES = (
    *("intake", "drain", "start_delay", "heartbeats", "to_serving", "idle_poll", "memory"),
    *("decision_quality", "sandbox", "report"),
    "large_journal",  # last: it takes ten minutes and 8 GB of disk
)


def main() -> int:
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"There is no benchmark {', '.join(unknown)}; there are: {', '.join(NAMES)}.")
        return 2
    for name in wanted:
        import_module(f"benchmarks.{name}").main()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
