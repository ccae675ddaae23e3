"""Prints the lowest version that pyproject.toml allows of each dependency, as constraints for pip.

torch stays out: an index with CPU builds does not hold every version, and the other builds are gigabytes.
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in [*project["dependencies"], *extras["knowledge"], *extras["ray"], *extras["tensorboard"]]:
    bound = re.match(r"([\w-]+)>=([\w.]+)", requirement)
    assert bound, f"no lower bound: {requirement}"
    if bound[1] != "torch":
        print(f"{bound[1]}=={bound[2]}")
