"""Run one contender once: `worker.py NAME QUANTITY COUNT CHECKPOINT`; tells CPU s and memory."""

from __future__ import annotations

import gc
import json
import sys
import time
from pathlib import Path

from contenders import contender
from measure import anonymous_bytes
from tasks import Question


def main() -> None:
    name, quantity, count, path = sys.argv[1:]
    row = contender(name, Question(quantity=quantity, count=int(count)))
    gc.collect()
    start_bytes, start = anonymous_bytes(), time.process_time()
    row.run(Path(path))
    seconds = time.process_time() - start
    print(json.dumps({"seconds": seconds, "start_bytes": start_bytes}))


if __name__ == "__main__":
    main()
