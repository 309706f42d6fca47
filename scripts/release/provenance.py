"""in-toto statements with the predicate SLSA provenance, version 1, unsigned."""

from __future__ import annotations

from typing import Any

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
# docs/security/supply-chain.md describes both.
BUILD = "urn:sluice:make-build:v1"
BUILDER = "urn:sluice:unattested-builder"


def statement(
    digests: dict[str, str], commit: str, changed: bool, parameters: dict[str, str], materials: dict[str, str],
    tools: dict[str, str], epoch: int,
) -> dict[str, Any]:
    """Returns the statement about files.

    ``digests`` and ``materials`` are SHA-256 by name, ``changed`` is whether the checkout differed
    from the commit, ``tools`` are versions by name.
    """
    source: dict[str, Any] = {"name": "source", "digest": {"gitCommit": commit}}
    if changed:
        source["annotations"] = {"uncommittedChanges": True}
    return {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": parameters,
                "internalParameters": {"SOURCE_DATE_EPOCH": str(epoch)},
                "resolvedDependencies": [
                    source,
                    *({"name": name, "digest": {"sha256": digest}} for name, digest in sorted(materials.items())),
                ],
            },
            "runDetails": {
                # Whoever ran `make build`: the statement is not signed, so nobody vouches for it.
                "builder": {"id": BUILDER, "version": dict(sorted(tools.items()))},
            },
        },
    }
