"""Packaging of easycall.  Tool settings are in pyproject.toml."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
about: dict[str, str] = {}
exec((HERE / "easycall" / "__init__.py").read_text(encoding="utf-8"), about)  # noqa: S102 - our own file: the version


class BuildWithEtc(build_py):
    """Puts ``etc/`` into the package, where an installed easycall finds the configuration it ships."""

    def run(self) -> None:
        """Build as ever, then add ``etc/``."""
        super().run()
        if not self.editable_mode:
            shutil.copytree(HERE / "etc", Path(self.build_lib) / "easycall" / "etc", dirs_exist_ok=True)

    def get_source_files(self) -> list[str]:
        """What a source distribution must hold."""
        etc = [str(file.relative_to(HERE)) for file in (HERE / "etc").rglob("*") if file.is_file()]
        return [*super().get_source_files(), *etc]


setup(
    name="easycall",
    version=about["__version__"],
    description="A Twisted daemon that turns an Asterisk PBX into a contact centre",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.11",
    # twisted.plugins has no __init__.py: it is a folder that Twisted's plugin system reads, listed by name.
    packages=[*find_packages(include=["easycall", "easycall.*"]), "twisted.plugins"],
    package_data={"easycall": ["lab/templates/**/*.conf", "py.typed"]},
    cmdclass={"build_py": BuildWithEtc},
    zip_safe=False,
    # Everything we import ourselves, also what another of these brings along.
    install_requires=[
        "Twisted[tls,websocket]>=26.4",
        "klein>=24.8",
        "attrs>=24.2",
        "msgspec>=0.19",
        "pyOpenSSL>=24.2",
        "PyYAML>=6.0",
        "alembic>=1.14",
        "SQLAlchemy>=2.0",
        "click>=8.1",
        "cryptography>=43",
        "holidays>=0.60",
        "phonenumbers>=8.13",
        "prometheus-client>=0.21",
        "rich>=13",
        "psycopg2-binary>=2.9.9",
        "python-ulid>=3.0",
        "service-identity>=24.1",
        "treq>=24.9",
        "txpostgres>=1.7",
        "tzdata>=2024.1",
        "Werkzeug>=3.0",
        "wsproto>=1.2",
        "zope.interface>=7.0",
    ],
    entry_points={
        "console_scripts": ["easycall = easycall.cli.main:cli"],
        "easycall.strategies": ["https = easycall.acd.decision_service:DecisionService"],
    },
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Communications :: Telephony",
    ],
)
