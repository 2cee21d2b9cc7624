"""What a wheel holds: the code, and the checkout's folders that it reads, as data of the package `suite`. All else is in pyproject.toml.

One copy of them is in git. A checkout reads them where they lie, and so does `pip install -e`; suite/core/paths.py finds them in all cases.
At the top of what is installed `datasets` would be another project's package.
"""

from setuptools import find_packages, setup

SHIPPED = {
    "datasets": ["*.toml"],
    "results": ["baseline.json", "operations.json", "claims/*.toml", "evidence/*.json", "evidence/pictures/*", "published/*.toml"],
    "reports": ["assets/*", "templates/*"],
}

setup(
    packages=[*find_packages(include=["models", "models.*", "suite", "suite.*"]), *(f"suite.shipped.{name}" for name in SHIPPED)],
    package_dir={f"suite.shipped.{name}": name for name in SHIPPED},
    package_data={f"suite.shipped.{name}": patterns for name, patterns in SHIPPED.items()}
    | {"models.scan.backends": ["scan.cpp"]},  # compiled at first use
)
