"""CycloneDX documents of functions, from `cargo tree`, `cargo metadata` and Cargo.lock.

The crates are those that cargo resolves for a function with the features of all functions, which is
how `make build` builds: without crates of build scripts, macros and tests. What the linker leaves
out is listed all the same.
"""

from __future__ import annotations

import re
import tomllib
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

SPEC = "1.6"


# A line of `cargo tree --prefix depth`.
LINE = re.compile(r"(?P<depth>\d+)(?P<name>[A-Za-z0-9_-]+) v(?P<version>\S+)")

# A crate: its name and version.
Crate = tuple[str, str]


class Graph:
    """The resolved crates of the functions."""

    def __init__(self, tree: str, metadata: dict[str, Any], lock: str) -> None:
        """``tree`` is what `cargo tree --prefix depth` prints for all functions."""
        self.licenses = {(it["name"], it["version"]): it.get("license") for it in metadata["packages"]}
        self.checksums = {(it["name"], it["version"]): it["checksum"] for it in tomllib.loads(lock)["package"] if "checksum" in it}
        self.roots: dict[str, Crate] = {}
        self.below: dict[Crate, set[Crate]] = {}
        above: list[Crate] = []
        for line in filter(None, tree.splitlines()):
            found = LINE.match(line)
            if not found:
                raise SystemExit(f"attest: expected a line of `cargo tree --prefix depth`, found {line!r}")
            crate, depth = (found["name"], found["version"]), int(found["depth"])
            del above[depth:]
            if above:
                self.below[above[-1]].add(crate)
            else:
                self.roots[crate[0]] = crate
            self.below.setdefault(crate, set())
            above.append(crate)

    def function(self, name: str) -> Crate:
        """Returns the package of a function."""
        if name not in self.roots:
            raise SystemExit(f"attest: the workspace has no function {name}; build again")
        return self.roots[name]

    def linked(self, crate: Crate) -> list[Crate]:
        """Returns the crates that a crate names and that are linked with it."""
        return sorted(self.below[crate])

    def reachable(self, crate: Crate) -> list[Crate]:
        """Returns all crates below a crate, without it."""
        found, waiting = set(), [crate]
        while waiting:
            for it in self.below[waiting.pop()]:
                if it not in found:
                    found.add(it)
                    waiting.append(it)
        return sorted(found)

    def reference(self, crate: Crate) -> str:
        """Returns a crate's package URL."""
        return f"pkg:cargo/{crate[0]}@{quote(crate[1], safe='.-')}"

    def component(self, crate: Crate) -> dict[str, Any]:
        reference = self.reference(crate)
        found: dict[str, Any] = {"type": "library", "bom-ref": reference, "name": crate[0], "version": crate[1],
                                 "scope": "required", "purl": reference}
        if licence := self.licenses.get(crate):
            # Cargo allows a slash for OR in old manifests.
            found["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", licence)}]
        if crate in self.checksums:
            found["hashes"] = [{"alg": "SHA-256", "content": self.checksums[crate]}]
        return found


def document(graph: Graph, function: str, digests: dict[str, str], epoch: int) -> dict[str, Any]:
    """Returns the CycloneDX document of a function, with the SHA-256 of its files by their names."""
    package = graph.function(function)
    crates = graph.reachable(package)
    subject = graph.component(package)
    subject.pop("scope")
    subject.pop("hashes", None)
    subject["type"] = "application"
    subject["components"] = [
        {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
        for name, digest in sorted(digests.items())]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        # The same files have the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(sorted(digests.values())))}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "sluice scripts/attest", "version": "1"}]},
            "component": subject,
        },
        "components": [graph.component(it) for it in crates],
        "dependencies": [{"ref": graph.reference(it), "dependsOn": [graph.reference(one) for one in graph.linked(it)]}
                         for it in [package, *crates]],
    }
