"""Compares schema.json with what azurerm publishes: `make check-terraform-schema`.

PyPI's cdktn-provider-azurerm is generated from azurerm's schema. Its wheel (45 MB) holds a .jsii file that names every
argument and block, says which are required, and gives their types; whether an argument is computed, and whether a
collection is a list or a set, it does not say. Downloads into build/, exits with 1 where the two differ.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "build/terraform"
# azurerm's version: the wheel's version, and the wheel's hash.
WHEELS = {
    "4.81.0": ("16.9.0", "b5cbe0944f9db85c118df4d63fd0c1a6eb7da2ec11bae9e28818a8dfaa4d054c"),
    "5.10.0": ("18.9.0", "83dc7e7d1e8e0dcc62d0ceeb8aff741bf70f5132548d9b47169f619425a6b4e1"),
}
PREFIX = "@cdktn/provider-azurerm."
TYPES = {"string": "string", "number": "number", "boolean": "bool", "map": "map", "array": "list"}


def download(version: str) -> dict[str, Any]:
    """The types of the .jsii file in the wheel for a version of azurerm."""
    wheel_version, wanted = WHEELS[version]
    CACHE.mkdir(parents=True, exist_ok=True)
    requirement = CACHE / f"{version}.txt"
    requirement.write_text(f"cdktn-provider-azurerm=={wheel_version} --hash=sha256:{wanted}\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--require-hashes", "--dest", CACHE, "--requirement", requirement],
        check=True,
    )  # fmt: skip
    with zipfile.ZipFile(CACHE / f"cdktn_provider_azurerm-{wheel_version}-py3-none-any.whl") as wheel:
        (inner,) = (name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
        packed = wheel.read(inner)
    with tarfile.open(fileobj=io.BytesIO(packed)) as package:
        member = package.extractfile("package/.jsii")
        assert member is not None
        types: dict[str, Any] = json.load(member)["types"]
    some = json.dumps(types[f"{PREFIX}resourceGroup.ResourceGroupConfig"])
    if f"/azurerm/{version}/docs" not in some:
        raise SystemExit(f"cdktn-provider-azurerm {wheel_version} was not made from azurerm {version}")
    return types


def published(types: dict[str, Any], name: str) -> dict[str, str]:
    """A resource's arguments as "a.b": "required string", and its blocks with the type "block"."""
    camel = "".join(word.title() for word in name.removeprefix("azurerm_").split("_"))
    module, top = ("provider", "AzurermProvider") if name == "provider" else (camel[0].lower() + camel[1:], camel)
    return dict(_published(types, f"{PREFIX}{module}.{top}Config", ""))


def _published(types: dict[str, Any], config: str, path: str) -> Iterator[tuple[str, str]]:
    module = config.rpartition(".")[0]
    for entry in types[config].get("properties", []):
        named = re.search(r"#(\w+) ", json.dumps(entry["docs"]))
        if named is None:  # CDK's own, such as dependsOn
            continue
        wanted = "optional" if entry.get("optional") else "required"
        text = json.dumps(entry["type"])
        inner = [found for found in re.findall(r'"fqn": "([^"]+)"', text) if found.startswith(f"{module}.")]
        if inner:
            yield f"{path}{named[1]}", f"{wanted} block"
            yield from _published(types, inner[0], f"{path}{named[1]}.")
        else:
            kind = re.search(r'"kind": "(\w+)"', text) or re.search(r'"primitive": "(\w+)"', text)
            assert kind is not None
            yield f"{path}{named[1]}", f"{wanted} {TYPES[kind[1]]}"


def exported(types: dict[str, Any], name: str) -> set[str]:
    """The attributes that a resource has once it is made, those only computed among them."""
    camel = "".join(word.title() for word in name.removeprefix("azurerm_").split("_"))
    made = types[f"{PREFIX}{camel[0].lower() + camel[1:]}.{camel}"]
    return {re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", entry["name"]) for entry in made["properties"]}


def kept(fields: dict[str, Any], required: list[str], path: str, top: str) -> Iterator[tuple[str, str]]:
    """schema.json's own entries in the same form; "computed" alone for what cannot be set."""
    for name, field in fields.items():
        if isinstance(field, str):
            *words, kind = field.split()
            wanted = next((word for word in words if word in ("required", "optional")), "computed")
            yield f"{path}{name}", f"{wanted} {'list' if kind == 'set' else kind}"
        else:
            minimum = 1 if f"{top}.{path}{name}" in required else field.get("min", 0)
            yield f"{path}{name}", f"{'required' if minimum else 'optional'} block"
            yield from kept(field["block"], required, f"{path}{name}.", top)


def compare(version: str) -> list[str]:
    """A sentence for each difference."""
    schema = json.loads((HERE / "provider/schema.json").read_text())
    types, required, said = download(version), schema["versions"][version]["required"], []
    count = 0
    for name, fields in ({"provider": schema["provider"]} | schema["resources"]).items():
        theirs = published(types, name)
        ours = dict(kept(fields, required, "", name))
        count += len(ours)
        for path, text in ours.items():
            if text.startswith("computed "):
                # What is only computed inside a block has no entry of its own to compare with.
                if "." not in path and path not in exported(types, name):
                    said.append(f"azurerm {version}: {name} exports no {path}")
            elif theirs.get(path) != text:
                said.append(f"azurerm {version}: {name}.{path}: kept as {text}, published as {theirs.get(path)}")
        # What is required and not kept would be missing from terraform/ without a word.
        for path, text in theirs.items():
            outer = path.rpartition(".")[0]
            if (
                text.startswith("required ")
                and path not in ours
                and (not outer or ours.get(outer, "").endswith("block"))
            ):
                said.append(f"azurerm {version}: {name}.{path}: {text} in azurerm, not kept")
    sys.stdout.write(f"azurerm {version}: {count} arguments, blocks and attributes compared\n")
    return said


if __name__ == "__main__":
    differences = [sentence for version in WHEELS for sentence in compare(version)]
    sys.exit("\n".join(differences) if differences else 0)
