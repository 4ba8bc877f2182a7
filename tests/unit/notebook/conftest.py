from __future__ import annotations

import importlib.util

# These need IPython or PySpark: `.pinflow/envs/spark/bin/python -m pytest tests/unit/notebook` runs them.
NEEDS = {
    "test_dbutils.py": "IPython",
    "test_magics.py": "IPython",
    "test_paths.py": "grpc",
    "test_reading.py": "IPython",
    "test_secrets.py": "IPython",
    "test_sql.py": "grpc",
    "test_widgets.py": "IPython",
}

collect_ignore = [file for file, module in NEEDS.items() if importlib.util.find_spec(module) is None]
