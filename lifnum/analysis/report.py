"""python -m lifnum.analysis.report: all figures of studies and the numbers in one page."""

import base64
import html
import io
import math
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifnum import options
from lifnum._version import __version__
from lifnum.analysis import figures, style
from lifnum.analysis.options import output, percent
from lifnum.analysis.study import designs, pictures, results, statistics

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.1rem 4rem; max-width: 60rem; color: #1d1d1f;
  background: #fff; font: 1.05rem/1.55 Georgia, "Times New Roman", serif; }
h1, h2, h3, nav, table, figcaption, summary, .small { font-family: system-ui, -apple-system,
  "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; padding-top: .8rem; border-top: 1px solid #d5d5d8; }
h3 { font-size: .95rem; margin: 1.4rem 0 .3rem; }
p { max-width: 42rem; }
a { color: #005a92; }
nav ul { padding: 0; line-height: 1.8; list-style: none; columns: 22rem; }
nav .missing { color: #6a6a70; }
figure { margin: 1rem 0; }
figcaption { font-size: .9rem; color: #444; max-width: 42rem; }
.scroll { overflow-x: auto; }
.scroll img { display: block; width: 100%; min-width: 40rem; height: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .7rem .22rem 0; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 1px solid #888; font-weight: 600; }
tbody tr + tr td { border-top: 1px solid #ececee; }
summary { cursor: pointer; font-size: .9rem; padding: .3rem 0; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .82rem; }
pre { background: #f4f4f6; padding: .7rem .9rem; overflow-x: auto; }
.note { background: #fdf3e1; padding: .7rem .9rem; max-width: 42rem; }
.small { font-size: .85rem; color: #555; overflow-wrap: anywhere; }
"""


class Entry(NamedTuple):
    """One figure of the page, or why it is not there."""

    anchor: str
    title: str
    caption: str
    command: str
    drawing: object = None
    missing: str = ""


def entries(study, source, **wanted):
    """Draw what the data allow: an `Entry` for each figure, and data set where it shows one.

    wanted: options of figures by name, for those that have them.
    """
    made = []
    for number, module in enumerate(figures.modules(), 1):
        title, caption = figures.texts(module)
        has = figures.options_of(module)
        reads = figures.reads(module)
        names = module.datasets(study) if hasattr(module, "datasets") else []
        for dataset in names or [None]:
            options = {name: value for name, value in wanted.items() if name in has}
            heading, anchor = f"Figure {number}: {title}", f"figure{number}"
            if dataset is not None:
                options["dataset"] = dataset
            if len(names) > 1:
                heading += f" ({style.dataset(dataset)})"
                anchor += f"-{dataset}"
            words = [f"python -m {figures.__name__} {number}", *[source] * reads]
            words += [f"--{key} {value:g}" if isinstance(value, float) else f"--{key} {value}"
                      for key, value in options.items()]  # fmt: skip
            command = f"{' '.join(words)} --out {anchor}.png"
            try:
                drawing, missing = module.draw(*[study] * reads, **options), ""
            except results.NoData as error:
                drawing, missing = None, str(error)
            made.append(Entry(anchor, heading, caption, command, drawing, missing))
    return made


class Answer(NamedTuple):
    """What the table of a study with a design of its own answers."""

    anchor: str  # the name of the study
    title: str
    caption: str
    command: str
    image: bytes  # SVG
    lines: list  # of text
    missing: str = ""


def answers(paths):
    """An `Answer` for each table of a study.

    Raises
    ------
    ValueError
        A file that is none, by its name or its columns, or has no runs.
    """
    made = []
    for path in map(Path, paths):
        name = path.stem.removesuffix("-small")
        if name not in designs.DESIGNS:
            raise ValueError(f"{path}: accepted: NAME.csv of {', '.join(designs.DESIGNS)}")
        study = designs.study_of(name)
        rows = designs.rows_of(study, path)
        if not rows:
            raise ValueError(f"{path}: has no runs; accepted: a table that has some")
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder, "figure.svg")
            pictures.draw(name, rows, image)
            made.append(Answer(
                name, f"Study {name}", f"{study.__doc__.splitlines()[0].split(': docs')[0]}.",
                f"python -m lifnum.analysis.study {name} --no-runs --results {path}",
                image.read_bytes(), study.answer(rows),
            ))  # fmt: skip
    return made


def page(study, made, source, command):
    """The page as one text of HTML, closing the drawings of `entries`.

    made: of each `Entry` and `Answer`; study is None where there are answers alone.
    """
    e = html.escape
    contents = "".join(
        f'<li><a href="#{e(one.anchor)}">{e(one.title)}</a>'
        + (' <span class="missing">(missing)</span>' if one.missing else "") + "</li>"
        for one in made
    )  # fmt: skip
    if study is not None:
        contents += '<li><a href="#data">Data</a></li>'
    body = [
        "<h1>Networks of spiking neurons under numerical integration</h1>",
        f'<p class="small">Study <code>{e(source)}</code>, lifnum {e(__version__)}. Points '
        "are means over seeds, bars and bands 95 % t-intervals. Test accuracy is that of the last "
        "epoch.</p>",
        f'<nav aria-label="Contents"><ul>{contents}'
        '<li><a href="#commands">Commands</a></li></ul></nav>',
    ]
    absent = [one for one in made if one.missing]
    if absent:
        reasons = "".join(f"<li>{e(one.title)}: {e(one.missing)}</li>" for one in absent)
        body.append(f'<div class="note"><p>Missing figures:</p><ul>{reasons}</ul></div>')
    for one in made:
        body.append(f'<section id="{e(one.anchor)}"><h2>{e(one.title)}</h2>')
        if one.missing:
            body.append(f'<p class="note">Missing: {e(one.missing)}.</p></section>')
            continue
        if isinstance(one, Answer):
            image, numbers = _svg(one.image, one.title), f"<pre>{e(chr(10).join(one.lines))}</pre>"
        else:
            image, numbers = _image(one), _tables(one.drawing.numbers)
        body += [
            f'<figure><div class="scroll">{image}</div>'
            f"<figcaption>{e(one.caption)}</figcaption></figure>",
            f"<details><summary>Numbers</summary>{numbers}</details>",
            f'<p class="small"><code>{e(one.command)}</code></p></section>',
        ]
    if study is not None:
        body.append(_data(study))
    body.append(_commands(study, command))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'  # keeps browsers from asking for one
        f"<title>lifnum: {e(source)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _image(one):
    """The figure as an inlined SVG image with its size."""
    width, height = one.drawing.figure.get_size_inches()
    stream = io.BytesIO()
    one.drawing.figure.savefig(stream, format="svg", metadata={"Date": None})
    style.plt.close(one.drawing.figure)
    size = f'width="{96 * width:.0f}" height="{96 * height:.0f}" '
    return _svg(stream.getvalue(), one.title, size)


def _svg(image, title, size=""):
    """An inlined image."""
    data = base64.b64encode(image).decode()
    return f'<img alt="{html.escape(title)}" {size}src="data:image/svg+xml;base64,{data}">'


def table(heads, rows):
    """An HTML table of texts that scrolls by itself where it is too wide."""

    def cells(texts, tag):
        return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)

    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (f'<div class="scroll"><table><thead><tr>{cells(heads, "th")}</tr></thead>'
            f"<tbody>{lines}</tbody></table></div>")  # fmt: skip


def _tables(numbers):
    """The numbers of a figure: a table for each panel and quantity, a column for each dt (ms)."""
    groups = {}
    for number in numbers:
        groups.setdefault((number.panel, number.quantity), []).append(number)
    parts = []
    for (panel, quantity), group in groups.items():
        # NaN, no grid, comes last
        dts = sorted({number.dt for number in group if not math.isnan(number.dt)})
        columns = [(dt, f"{dt:g} ms") for dt in dts]
        if any(math.isnan(number.dt) for number in group):
            columns.append((math.nan, "no grid"))
        cells = {}
        for number in group:
            key = None if math.isnan(number.dt) else number.dt
            cells.setdefault(number.scheme, {})[key] = _cell(number)
        rows = [
            [scheme, *(row.get(None if math.isnan(dt) else dt, "") for dt, _ in columns)]
            for scheme, row in cells.items()
        ]
        title = f"{panel}: {quantity}"
        fewest, most = (f(number.n for number in group) for f in (min, max))
        if most > 1:
            title += f", {most} seeds" if fewest == most else f", {fewest} to {most} seeds"
        parts.append(f"<h3>{html.escape(title)}</h3>")
        parts.append(table(["", *(head for _, head in columns)], rows))
    return "".join(parts)


def _cell(number):
    """A number to two digits of its interval, or to four figures."""
    if math.isnan(number.half):
        return f"{number.mean:.4g}"
    size = max(number.half, 1e-3 * abs(number.mean)) or 1.0
    digits = max(0, 1 - math.floor(math.log10(size)))
    return f"{number.mean:.{digits}f} ± {number.half:.{digits}f}"


def _data(study):
    """What was read, and what was not."""
    rows = []
    for dataset in np.unique(study.runs["dataset"]):
        for number in np.unique(study.runs["study"][study.runs["dataset"] == dataset]):
            own = statistics.select(study.runs, dataset=dataset, study=number)
            epochs = sorted({f"{epoch:g}" for epoch in own["epoch"]})
            rows.append([
                f"training on {style.dataset(dataset)}" + (", other options" if number else ""),
                str(len(own)), str(len(np.unique(own["seed"]))), " or ".join(epochs),
                str(int((own["workers"] == 1).sum())),
            ])  # fmt: skip
    for trained, dataset in np.unique(study.transfer[["trained", "dataset"]]):
        own = statistics.select(study.transfer, trained=trained, dataset=dataset)
        rows.append([
            f"transfer from {style.dataset(trained)} to {style.dataset(dataset)}",
            str(len(own)), str(len(np.unique(own["seed"]))), "", "",
        ])  # fmt: skip
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in study.notes)
    listed = f'<ul class="small">{notes}</ul>' if notes else ""
    heads = ["", "schemes and seeds", "seeds", "epochs", "alone on their machine"]
    return f'<section id="data"><h2>Data</h2>{table(heads, rows)}{listed}</section>'


def _commands(study, command):
    lines = [*(study.commands if study is not None else ()), command]
    text = html.escape("\n".join(lines))
    return (f'<section id="commands"><h2>Commands</h2><p>What wrote the files of a folder, and '
            f"this page:</p><pre>{text}</pre></section>")  # fmt: skip


def parser():
    p = options.Parser(
        prog=f"python -m {__package__}.report",
        description="Put all figures that the data of studies allow, and the numbers behind them, "
        "into one self-contained HTML page.",
    )
    p.add_argument("sources", nargs="+", metavar="DIR",
                   help="folders of traces and transfer files, or what lifnum.analysis.study made "
                   "of them, or NAME.csv, the tables of its studies by name")  # fmt: skip
    p.add_argument("--out", type=output(".html"), default="report.html", metavar="FILE",
                   help="an .html file (default: report.html)")  # fmt: skip
    p.add_argument("--threshold", type=percent, default=97.0, metavar="%",
                   help="validation accuracy to reach in figure 4, in percent "
                   "(default: 97)")  # fmt: skip
    return p


def main(argv=None):
    args = parser().parse_args(argv)
    tables = [name for name in args.sources if name.endswith(".csv")]
    others = [name for name in args.sources if name not in tables]
    study, made, source = None, [], " ".join(args.sources)
    if others:
        study = results.load(*others)
        for note in study.notes:
            print(note, file=sys.stderr)
        made = entries(study, " ".join(others), threshold=args.threshold)
    made += answers(tables)
    command = f"python -m {__package__}.report {source} --out {args.out}"
    if args.threshold != 97.0:
        command += f" --threshold {args.threshold:g}"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(page(study, made, source, command), encoding="utf-8")
    drawn = sum(not one.missing for one in made)
    print(f"{drawn} figures, {len(made) - drawn} missing, in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(options.run(f"{__package__}.report", main))
