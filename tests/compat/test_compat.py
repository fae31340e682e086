"""Libraries whose private API is used are checked at import."""

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import proxy.compat
from proxy.compat import check, has_all, sets_all

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
MODULES = sorted(path.stem for path in Path(proxy.compat.__file__).parent.glob("[a-z]*.py"))


class Lamp:
    def __init__(self) -> None:
        self.watts = 60


@pytest.mark.parametrize("name", MODULES)
def test_the_installed_version_is_supported(name: str) -> None:
    import_module(f"proxy.compat.{name}")


@pytest.mark.parametrize("name", MODULES)
def test_the_library_has_an_upper_bound(name: str) -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["heif"]]
    package = name.replace("_", "-")
    assert any(re.match(rf"{package}[<>=].*<\d", requirement) for requirement in requirements)


def test_an_unsupported_version_is_named_with_what_is_wrong() -> None:
    with pytest.raises(ImportError) as caught:
        check("pytest", {"lamps are bright": False, "lamps shine": True, "lamps are round": False})
    assert str(caught.value) == (
        f"pytest {pytest.__version__} is not supported: expected that lamps are bright, that lamps"
        " are round; install a version that framekeep allows"
    )


def test_missing_attributes_are_found() -> None:
    assert has_all(Lamp, ("__init__",))
    assert not has_all(Lamp, ("__init__", "dim"))


def test_attributes_that_a_function_does_not_set_are_found() -> None:
    assert sets_all(Lamp.__init__, ("watts",))
    assert not sets_all(Lamp.__init__, ("watts", "volts"))
