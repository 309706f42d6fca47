"""``python -m sluice_ministack``: MiniStack with Sluice's extension, in the foreground on
GATEWAY_PORT.
"""

from __future__ import annotations

import gc
import logging
import os
import sys

from . import config, patching


# Python looks for circular garbage after this many new objects. With its own limit of 700 a sixth
# of the processor time of an end-to-end test went into that.
GARBAGE_THRESHOLD = 50_000


def main() -> int:
    """Check and patch MiniStack, then serve; exit with status 2 and a message if a check fails."""
    # Nothing that is imported becomes garbage.
    gc.disable()
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

    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    gc.enable()
    ministack.app.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
