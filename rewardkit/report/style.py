"""The style sheet of the page, for light and dark."""

__all__ = ["CSS"]

CSS = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1d1f23; --soft: #646a73; --rule: #e2e3e0;
  --c0: #2563c9; --c1: #c2570c; --c2: #15803d; --c3: #9333a8; --warn: #b45309;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #15171a; --card: #1e2125; --ink: #e7e8ea; --soft: #9aa1ab; --rule: #33373d;
    --c0: #6ea8fe; --c1: #f59e5b; --c2: #5fce86; --c3: #d08be0; --warn: #f0b35a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 12px; }
h3 { font-size: 15px; margin: 0 0 8px; }
h4 { font-size: 12px; margin: 12px 0 4px; color: var(--soft); font-weight: 600; }
h2, h3, p, li, summary { overflow-wrap: anywhere; }
article p { margin: 0 0 6px; }
section { margin-top: 36px; }
dl { display: flex; flex-wrap: wrap; gap: 12px 32px; margin: 0; }
dt { font-size: 12px; color: var(--soft); }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.tables { display: flex; flex-wrap: wrap; gap: 20px; align-items: flex-start; }
.tables > div, figure, article, .problems { background: var(--card);
  border: 1px solid var(--rule); border-radius: 8px; padding: 16px; }
.tables > div { flex: 1 1 320px; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 0 4px 16px; text-align: right; border-top: 1px solid var(--rule); }
tr:first-child th { border-top: 0; color: var(--soft); font-weight: 500; font-size: 12px; }
th:first-child { padding-left: 0; text-align: left; font-weight: 500; overflow-wrap: anywhere;
  min-width: 130px; }
.grid { display: grid; gap: 16px; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); }
figure { margin: 0; padding: 12px 12px 8px; }
figcaption { display: flex; justify-content: space-between; gap: 12px; font-size: 13px;
  color: var(--soft); overflow-wrap: anywhere; }
figcaption b { color: var(--ink); white-space: nowrap; font-variant-numeric: tabular-nums; }
svg { display: block; width: 100%; height: auto; margin-top: 6px; overflow: visible; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg text { fill: var(--soft); font-size: 10.5px; font-variant-numeric: tabular-nums; }
svg text.y { text-anchor: end; }
svg text.x { text-anchor: middle; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .faint { stroke-width: 1; opacity: 0.35; }
svg path.c0 { stroke: var(--c0); } svg circle.c0, i.c0 { fill: var(--c0); background: var(--c0); }
svg path.c1 { stroke: var(--c1); } svg circle.c1, i.c1 { fill: var(--c1); background: var(--c1); }
svg path.c2 { stroke: var(--c2); } svg circle.c2, i.c2 { fill: var(--c2); background: var(--c2); }
svg path.c3 { stroke: var(--c3); } svg circle.c3, i.c3 { fill: var(--c3); background: var(--c3); }
.legend { display: flex; gap: 16px; font-size: 12px; color: var(--soft); padding-top: 4px; }
.legend b { color: var(--ink); font-variant-numeric: tabular-nums; }
.note { color: var(--soft); font-size: 13px; margin: 24px 0 -20px; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px;
  margin-right: 6px; vertical-align: middle; }
article { margin-bottom: 16px; border-left-width: 4px; }
article.best { border-left-color: var(--c2); }
article.worst { border-left-color: var(--c1); }
article.unscorable, .problems { border-left: 4px solid var(--warn); }
.problems ul { margin: 0; padding-left: 20px; }
pre { margin: 0; padding: 10px 12px; background: var(--page); border-radius: 6px;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 420px; overflow-y: auto; }
pre.columns { white-space: pre; overflow-wrap: normal; overflow-x: auto; max-height: none; }
summary { cursor: pointer; font-weight: 600; }
details > div { margin-top: 12px; }
details .grid, details pre { margin-top: 12px; }
"""
