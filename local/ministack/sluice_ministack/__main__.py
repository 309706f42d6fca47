"""``python -m sluice_ministack``: MiniStack with Sluice's extension, in the foreground on
GATEWAY_PORT.
"""

from __future__ import annotations

import logging
import os
import sys

from . import config, patching


def main() -> int:
    """Check, patch, serve. Exit status 2 and one sentence when something does not fit."""
    try:
        config.set_ministack_defaults(os.environ)
        config.current()
        # Functions inherit this environment; what only the gateway needs is not for them.
        os.environ.pop("SLUICE_REDSHIFT_URL", None)
        patching.check_version()
        # Only now: MiniStack reads its environment at import.
        from . import concerns

        patching.check_all(concerns.targets())
    except (config.ConfigError, patching.Mismatch) as problem:
        print(problem, file=sys.stderr)
        return 2
    concerns.install()
    # It warns about its own telemetry at every transform.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)

    import ministack.app

    ministack.app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
