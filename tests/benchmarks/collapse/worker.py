"""Run one contender once: `worker.py NAME CHECKPOINT`; tells CPU seconds and memory at start."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from contenders import PEER_TORCH, contenders
from measure import anonymous_bytes


def main() -> None:
    name, path = sys.argv[1:]
    rows = {row.name: row for row in contenders(with_torch=name == PEER_TORCH)}
    if name == PEER_TORCH:
        __import__("torch_yardstick")  # its megabytes and seconds belong to the start
    gc.collect()
    start_bytes, start = anonymous_bytes(), time.process_time()
    rows[name].run(Path(path))
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "start_bytes": start_bytes}))


if __name__ == "__main__":
    main()
