"""``python -m sluice_ministack``: MiniStack with Sluice's extension, in the foreground on
GATEWAY_PORT.
"""

from __future__ import annotations

import logging
import os
import sys

from . import config, patching


def main() -> int:
    """Check and patch MiniStack, then serve; exit with status 2 and a message if a check fails."""
    try:
        config.set_ministack_defaults(os.environ)
        config.current()
        # Functions inherit this environment and must not see the gateway's own variables.
        os.environ.pop("SLUICE_REDSHIFT_URL", None)
        patching.check_version()
        # Imported here, because MiniStack reads its environment at import.
        from . import concerns

        patching.check_all(concerns.targets())
    except (config.ConfigError, patching.Mismatch) as problem:
        print(problem, file=sys.stderr)
        return 2
    concerns.install()
    # This library warns about its own telemetry at every transform.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)

    import ministack.app

    ministack.app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
