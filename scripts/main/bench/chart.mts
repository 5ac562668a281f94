/** A chart as SVG: readable on a light ground and on a dark one, and nothing has to be loaded for it. */

import type { Bar, Chart, Panel } from "./chart-data.mts";

const WIDTH = 860;
const MARGIN = 16;
const LABELS = 190;
/** For the numbers behind the longest bar. */
const NUMBERS = 150;
const ROW = 24;
const BAR = 16;
const HEAD = 34;
const GAP = 14;

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .faint { fill: #59636e }
  .bar { fill: #0969da }
  .behind { fill: #b6d4f7 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .faint { fill: #9198a1 }
    .bar { fill: #4493f8 }
    .behind { fill: #1f3f6b }
  }
`;

const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

/** Three digits are all that such a figure is good for. */
const shown = (value: number): string => Number(value.toPrecision(3)).toLocaleString("en-US");

/** The whole picture. */
export function svgOf({ title, panels }: Chart): string {
  let top = MARGIN + ROW;
  const parts = panels.map((panel) => {
    const part = panelSvg(panel, top);
    top += HEAD + panel.bars.length * ROW + GAP;
    return part;
  });
  const height = top + MARGIN - GAP;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
<text class="faint" x="${MARGIN}" y="${MARGIN + 12}">${escaped(title)}</text>
${parts.join("\n")}
</svg>
`;
}

function panelSvg({ title, bars, joint }: Panel, top: number): string {
  const longest = Math.max(...bars.map(({ value, further }) => Math.max(value, further ?? 0)));
  const room = WIDTH - 2 * MARGIN - LABELS - NUMBERS;
  const widthOf = (value: number): number => Number(((value / (longest || 1)) * room).toFixed(1));
  return [
    `<text class="title" x="${MARGIN}" y="${top + HEAD - 14}">${escaped(title)}</text>`,
    ...bars.map((bar, i) => barSvg(bar, joint, top + HEAD + i * ROW, widthOf)),
  ].join("\n");
}

function barSvg(
  { label, value, further }: Bar,
  joint: Panel["joint"],
  top: number,
  widthOf: (value: number) => number,
): string {
  const left = MARGIN + LABELS;
  const middle = top + BAR / 2 + 4.5;
  const end = left + Math.max(widthOf(value), widthOf(further ?? 0)) + 8;
  const behind = further === null ? "" : ` <tspan class="faint">${joint} ${shown(further)}</tspan>`;
  const rect = (name: string, length: number): string =>
    `<rect class="${name}" x="${left}" y="${top}" width="${length}" height="${BAR}" rx="2"/>`;
  return [
    `<text x="${left - 10}" y="${middle}" text-anchor="end">${escaped(label)}</text>`,
    ...(further === null ? [] : [rect("behind", widthOf(further))]),
    rect("bar", widthOf(value)),
    `<text x="${end}" y="${middle}">${shown(value)}${behind}</text>`,
  ].join("");
}
