"""How the page looks: light and dark, wide and narrow, on paper."""

import re

_LIGHT = """
--page:#f5f6f8;--card:#fff;--text:#1b1f24;--muted:#57606a;--rule:#d5dbe2;--grid:#e7ebef;--accent:#0b57c2;
--good:#1a7f37;--bad:#b3261e;--note:#fff6dd;--right:11 87 194;--wrong:190 45 20;
--c0:#0b57c2;--c1:#c2410c;--c2:#15803d;--c3:#7e22ce;--c4:#b91c8a;--c5:#0e7490;--c6:#946200;--c7:#4b5563;--c8:#dc2626;
--c9:#4d7c0f;
"""
_DARK = """
--page:#0f1216;--card:#181c22;--text:#e6e9ed;--muted:#9da7b3;--rule:#343c46;--grid:#262c34;--accent:#7ab8ff;
--good:#5fd38a;--bad:#ff8d83;--note:#322a12;--right:90 165 255;--wrong:255 120 95;
--c0:#7ab8ff;--c1:#ff9d66;--c2:#5fd38a;--c3:#c79bff;--c4:#ff8ad8;--c5:#5cd0e6;--c6:#e8c14a;--c7:#b3bcc8;--c8:#ff8080;
--c9:#b5d94c;
"""
_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:1080px;padding:28px 20px 60px;background:var(--page);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"Noto Sans",sans-serif;
overflow-wrap:anywhere}
h1{font-size:1.15rem;font-weight:600;color:var(--muted);margin:0 0 4px}
h2{font-size:1.15rem;margin:0 0 12px}
h3{font-size:1rem;margin:18px 0 4px}
p{margin:0 0 10px;max-width:75ch}
.verdict{font-size:1.6rem;line-height:1.3;font-weight:650;margin:0 0 14px;max-width:34em}
.warning{background:var(--note);border-radius:8px;padding:8px 12px}
.note,.legend,figure p{color:var(--muted);font-size:.875rem}
.stated{white-space:pre-wrap}
section{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:18px 20px;margin:18px 0 0}
ol,ul{margin:0 0 10px;padding-left:1.4em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:10px;margin:16px 0 0}
.tile{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:8px 12px;margin:0}
.tile.main{border:2px solid var(--accent);grid-column:span 2}
.tile dt{color:var(--muted);font-size:.8125rem}
.tile dt:first-letter{text-transform:uppercase}
.tile dd{margin:0;font-size:1.3rem;font-weight:600;font-variant-numeric:tabular-nums;line-height:1.3}
.tile small{display:block;font-size:.8125rem;font-weight:400;color:var(--muted)}
.scroll{overflow-x:auto;margin:0 0 14px}
th,dt{overflow-wrap:break-word}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--muted);font-size:.875rem;padding:0 0 6px}
th,td{padding:5px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th{font-weight:600}
th small{font-weight:400;color:var(--muted)}
thead th{color:var(--muted);font-weight:500;vertical-align:bottom}
tr>th:first-child{text-align:left;padding-left:0;min-width:7.5em;white-space:normal}
tr.own th,tr.own td,td.primary{font-weight:650}
tr.worse td,tr.worse th{color:var(--bad)}
.heat td{text-align:center;border:1px solid var(--card);min-width:2.5em;padding:5px 6px}
.heat tr>th:first-child{min-width:0}
.heat thead tr:first-child th:last-child{text-align:center}
.heat thead tr+tr th{text-align:center;min-width:0;padding:5px 6px}
.heat tbody th{white-space:nowrap;padding-right:12px}
figure{margin:0;min-width:0}
figcaption{font-weight:600;margin:0 0 4px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:22px 26px}
.chart{display:block;width:100%;max-width:470px;height:auto}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:6px 30px}
.pair>div{min-width:0}
summary{cursor:pointer;color:var(--accent);margin:2px 0}
.chart text{font-size:11.5px;fill:var(--muted)}
.chart text.name{fill:var(--text);font-size:12.5px;paint-order:stroke;stroke:var(--card);stroke-width:5px}
.grid{stroke:var(--grid)}
.axis{stroke:var(--rule)}
.zero{stroke:var(--muted);stroke-dasharray:3 3}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.dot{stroke:none}
.faint{fill-opacity:.45}
.guess{stroke:var(--muted);stroke-dasharray:4 4;stroke-width:1.4}
.ring{fill:none;stroke:var(--text);stroke-width:1.5}
.gap{stroke:var(--bad);stroke-width:1.5}
.whisker{stroke-width:3}
.good{color:var(--good)}
.bad{color:var(--bad)}
.even{color:var(--muted)}
.line.good{stroke:var(--good)}
.line.bad{stroke:var(--bad)}
.line.even{stroke:var(--muted)}
.dot.good{fill:var(--good)}
.dot.bad{fill:var(--bad)}
.dot.even{fill:var(--muted)}
.legend{list-style:none;padding:0;margin:6px 0 0;display:flex;flex-wrap:wrap;gap:2px 16px}
.key{width:22px;height:8px;margin-right:6px;vertical-align:middle}
.plain{list-style:none;padding:0;margin:8px 0 0;font-size:.9375rem}
.cards{list-style:none;padding:0;margin:0;display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(158px,1fr))}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr))}
.card{border:1px solid var(--rule);border-radius:10px;padding:10px 12px;font-size:.9rem;min-width:0}
.card p{margin:0 0 4px}
.card img{display:block;max-width:100%;height:auto;border-radius:4px;margin:0 0 8px}
.card img.small{width:112px;image-rendering:pixelated}
.card dl+dl{border-top:1px solid var(--rule);margin-top:6px;padding-top:6px}
blockquote{margin:0 0 8px;padding:0 0 0 10px;border-left:3px solid var(--rule);white-space:pre-wrap}
.spark{display:block;width:100%;max-width:260px;height:auto}
.pairs,.facts{margin:0}
.pairs div{display:flex;justify-content:space-between;gap:12px}
.pairs dt,.facts dt{color:var(--muted)}
.pairs dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:8px 26px;font-size:.9375rem}
.facts dt{font-size:.8125rem}
.facts dd{margin:0}
@media (max-width:560px){
body{padding:18px 12px 40px}
section{padding:14px;border-radius:10px}
.verdict{font-size:1.3rem}
th,td{padding:5px 7px}
}
@page{margin:14mm}
@media print{
:root{--page:#fff}
body{max-width:none;padding:0;font-size:12px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
section,figure,.card,tr{break-inside:avoid}
.scroll{overflow:visible}
}
"""


def _series() -> str:
    """Colours of the series; the later five are broken lines, so that colour alone tells none apart."""
    rules = [
        f".line.s{place}{{stroke:var(--c{place})}}.dot.s{place},.bar.s{place}{{fill:var(--c{place})}}"
        for place in range(10)
    ]
    rules += [f".line.s{place}{{stroke-dasharray:{2 + place} 4}}" for place in range(5, 10)]
    return "\n".join(rules)


def _shades() -> str:
    """Backgrounds of a confusion's cells, faint enough for the text on them in light and dark."""
    return "\n".join(
        f".{kind}.h{level}{{background:rgb(var(--{kind})/{0.1 + level * 0.045:.3f})}}"
        for kind in ("right", "wrong")
        for level in range(1, 10)
    )


STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_DARK}}}}}\n"
    f"{_RULES}{_series()}\n{_shades()}\n"
)


def in_light(rules: str) -> str:
    """Rules whose colours are those of the light page, for a drawing that stands alone."""
    colours = dict(re.findall(r"--([a-z0-9]+):([^;]+);", _LIGHT))
    return re.sub(r"var\(--([a-z0-9]+)\)", lambda found: colours[found[1]], rules)
