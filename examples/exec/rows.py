#!/usr/bin/env python3
"""A command for `fenfa worker --exec --batch N`: a line in for each task, a line out for each."""
import json
import sys

tasks = [json.loads(line) for line in sys.stdin]
for task in tasks:  # Here all rows would go out with one statement.
    row = task.get("payload")
    if not isinstance(row, dict) or "sku" not in row:
        said = {"outcome": "reject", "error": "a row needs a sku"}
    elif row.get("locked"):
        said = {"outcome": "retry", "error": "the row is locked", "retry_after": "10s"}
    else:
        said = {"outcome": "done", "result": {"rows": len(tasks)}}
    print(json.dumps({"id": task["id"], **said}))
