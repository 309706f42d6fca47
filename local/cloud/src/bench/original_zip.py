"""Zips a Lambda function in Python: ZIP SOURCE [DISTRIBUTION], where the distribution is its driver, installed here.

boto3 stays out: Lambda's Python has it. Compiled bytecode stays out, as with `sam build`. PyGreSQL links libpq, which comes
from the system here: that one library goes in, those that it needs itself do not, so that the size is the least possible.
"""

import importlib
import importlib.metadata
import sys
import zipfile
from pathlib import Path

target, source, *drivers = sys.argv[1:]
with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write(source, "lambda_function.py")
    for driver in drivers:
        for file in importlib.metadata.files(driver):
            if file.suffix != ".pyc" and ".." not in file.parts:
                archive.write(file.locate(), str(file))
    if "PyGreSQL" in drivers:
        importlib.import_module("pg")
        mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
        libraries = [Path(path) for path in mapped if Path(path).name.startswith("libpq.so")]
        if len(libraries) != 1:
            sys.exit(f"error: expected one libpq, found {libraries}")
        archive.write(libraries[0], "lib/libpq.so.5")
