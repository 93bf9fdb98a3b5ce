#!/usr/bin/env python3
"""A command for `fenfa worker --exec` that says how far it is, and asks for more time."""
import json
import os
import sys

task = json.load(sys.stdin)
with os.fdopen(int(os.environ["FENFA_PROGRESS_FD"]), "w", buffering=1) as progress:
    pages = task["payload"]["pages"]
    for page in range(1, pages + 1):
        print(json.dumps({"ratio": page / pages, "text": f"page {page}", "extend": "1m"}), file=progress)
print(f"{pages} pages")
