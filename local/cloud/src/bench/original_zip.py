"""Zips a Lambda function in Python: ZIP SOURCE [DISTRIBUTION].

The distribution is the function's driver, installed in this environment. boto3 is left out, because
Lambda's Python has it, and so is compiled bytecode, as with `sam build`. PyGreSQL links the
system's libpq. The zip has that library without its own dependencies, which is the smallest
possible size.
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
