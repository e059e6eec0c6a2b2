"""The manifest's rules, as docs/manifest.md states them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torchdeploy_pkg import InvalidArgumentError, Manifest, TensorSpec


def document(**changes: Any) -> dict[str, Any]:
    """A good manifest with some keys changed; a value of ... takes the key away."""
    good = {
        "format": 1,
        "name": "minilm",
        "version": "1",
        "entry": {"package": "torchdeploy", "resource": "entry.pkl"},
        "example": {"package": "torchdeploy", "resource": "example.pkl"},
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
        "batch_dimension": 0,
        "yields": False,
        "methods": {},
        "python": "3.11.7",
        "torch": "2.13.0",
        "distributions": {"sentence-transformers": "5.1.0"},
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not ...}


def spec(**changes: Any) -> list[dict[str, Any]]:
    good = {"name": "x", "datatype": "FP32", "shape": [-1, 3]}
    return [{key: value for key, value in {**good, **changes}.items() if value is not ...}]


def test_manifest_is_the_same_after_json() -> None:
    manifest = Manifest.from_json(json.dumps(document()))
    assert manifest.inputs == (TensorSpec("text", "BYTES", (-1,)),)
    assert json.loads(manifest.to_json()) == document()
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_unknown_keys_are_ignored() -> None:
    assert Manifest.from_json(json.dumps(document(later=[1]))).name == "minilm"


def test_archives_of_before_have_no_example_and_do_not_yield() -> None:
    manifest = Manifest.from_json(json.dumps(document(example=..., yields=...)))
    assert manifest.example is None
    assert not manifest.yields
    assert Manifest.from_json(json.dumps(document(example=None))).example is None


def test_null_shape_and_empty_datatype_mean_any() -> None:
    read = Manifest.from_json(json.dumps(document(inputs=spec(datatype="", shape=None))))
    assert read.inputs == (TensorSpec("x", "", None),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, r"format is 2; this version reads format 1"),
        ({"format": True}, r"format is True"),
        ({"format": ...}, r"format is None"),
        ({"name": ...}, r"no key 'name'"),
        ({"name": 3}, r"name is 3; expected a string"),
        ({"name": ""}, r"name is ''"),
        ({"name": "-x"}, r"name is '-x'"),
        ({"name": "a/b"}, r"name is 'a/b'"),
        ({"name": "a\n"}, r"name is 'a\\n'"),
        ({"version": ".."}, r"version is '\.\.'"),
        ({"version": 1}, r"version is 1; expected a string"),
        ({"entry": ...}, r"no key 'entry'"),
        ({"entry": "entry.pkl"}, r"entry is 'entry.pkl'; expected an object"),
        ({"entry": {"package": "p"}}, r"no key 'entry.resource'"),
        ({"example": "example.pkl"}, r"example is 'example.pkl'; expected an object"),
        ({"example": {"resource": "r"}}, r"no key 'example.package'"),
        ({"yields": 1}, r"yields is 1; expected true or false"),
        ({"methods": []}, r"methods is \[\]; expected an object"),
        ({"methods": {"a.b": {"inputs": [], "outputs": []}}}, r"methods has 'a.b'"),
        ({"methods": {"encode": {}}}, r"no key 'methods.encode.inputs'"),
        ({"methods": {"encode": {"inputs": spec() + spec()}}}, r"no key 'methods.encode.outputs'"),
        ({"inputs": {}}, r"inputs is {}; expected a list"),
        ({"inputs": ["x"]}, r"inputs\[0\] is 'x'; expected an object"),
        ({"inputs": spec(name=...)}, r"no key 'inputs\[0\].name'"),
        ({"inputs": spec(name="")}, r"name is empty"),
        ({"inputs": spec() + spec()}, r"inputs names 'x' twice"),
        ({"inputs": spec(datatype="FLOAT")}, r"datatype of 'x' is 'FLOAT'"),
        ({"inputs": spec(datatype=None)}, r"inputs\[0\].datatype is None"),
        ({"inputs": spec(shape=3)}, r"inputs\[0\].shape is 3; expected a list"),
        ({"inputs": spec(shape=[1.5])}, r"an extent of inputs\[0\].shape is 1.5"),
        ({"inputs": spec(shape=[True])}, r"an extent of inputs\[0\].shape is True"),
        ({"inputs": spec(shape=[-2])}, r"extent below -1"),
        ({"outputs": ...}, r"no key 'outputs'"),
        ({"batch_dimension": "0"}, r"batch_dimension is '0'; expected an integer"),
        ({"batch_dimension": -1}, r"batch_dimension is -1"),
        ({"batch_dimension": 1}, r"batch_dimension is 1, but 'text' has shape \[-1\]"),
        ({"python": ...}, r"no key 'python'"),
        ({"torch": None}, r"torch is None; expected a string"),
        ({"distributions": []}, r"distributions is \[\]; expected an object"),
        ({"distributions": {"numpy": 2}}, r"distributions\['numpy'\] is 2; expected a string"),
    ],
)
def test_bad_manifest_is_refused_by_name_and_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Manifest.from_json(json.dumps(document(**changes)))


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_what_is_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="the manifest is"):
        Manifest.from_json(text)
