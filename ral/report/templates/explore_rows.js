"use strict";
// Chooses a row of attention by sample, answer, token, layer, head and kind of row, and draws it. All of the page's
// state is `chosen`; `draw` shows it, and every input changes it and draws again.
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("index").textContent);
const ROWS_OF = { previous: "the position that produces the token", self: "the token itself (the paper's)" };
const SPACES = { "\n": "↵", "\t": "⇥" };
const chosen = { sample: 0, layer: data.layers.length - 1, head: 0, query: 0, side: 0, tokens: [], average: false };
let bytes = new Uint8Array();
let hovered = null; // {side, token} under the pointer

const sample = () => data.samples[chosen.sample];
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const clamp = (n, count) => Math.min(Math.max(n, 0), count - 1);
const visible = (text) => (text.trim() || text.replace(/ /g, "␣")).replace(/[\n\t]/g, (c) => SPACES[c]);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// ---- rows

function unpack(text) {
  const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer().then((buffer) => new Uint8Array(buffer));
}

function rowNumber(answer, token, layer, head) {
  return ((chosen.query * data.layers.length + layer) * (1 + data.heads) + head) * answer.tokens.length + token;
}

function sharesOf(answer, token, layer = chosen.layer, head = chosen.head) {
  const at = answer.at + rowNumber(answer, token, layer, head) * 2 * data.shares;
  const numbers = Array.from({ length: data.shares }, (_, n) => bytes[at + 2 * n] + 256 * bytes[at + 2 * n + 1]);
  const [visual, peak, evidence] = numbers.map((n) => (n === data.unknown ? null : n / data.full));
  return { visual, peak, evidence };
}

function cellsOf(answer, token) {
  const [, rows, columns] = sample().grid;
  const size = sample().frames.length * rows * columns;
  const all = data.queries.length * data.layers.length * (1 + data.heads) * answer.tokens.length;
  const start = answer.at + all * 2 * data.shares + rowNumber(answer, token, chosen.layer, chosen.head) * size;
  const { peak } = sharesOf(answer, token);
  return Float64Array.from(bytes.subarray(start, start + size), (n) => peak * (n / data.levels) ** 2);
}

function mean(values) {
  return values.some((value) => value === null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

const tokensShown = (answer, side) => (chosen.average ? answer.tokens.map((_, n) => n) : [tokenOf(side)]);

function tokenOf(side) {
  return hovered && hovered.side === side ? hovered.token : chosen.tokens[side];
}

function lookOf(answer, side) {
  const tokens = tokensShown(answer, side);
  const found = tokens.map((token) => sharesOf(answer, token));
  const maps = tokens.map((token) => cellsOf(answer, token));
  const cells = maps[0].map((_, n) => maps.reduce((sum, map) => sum + map[n], 0) / maps.length);
  return { cells, visual: mean(found.map((s) => s.visual)), evidence: mean(found.map((s) => s.evidence)) };
}

function measured(shares) { // what bars and the table of layers and heads show
  return sample().chance === null ? shares.visual : shares.evidence;
}

// ---- colours

function colour(heat) {
  const high = data.ramp.findIndex((stop) => stop[0] >= heat);
  const [to, from] = [data.ramp[Math.max(high, 0)], data.ramp[Math.max(high - 1, 0)]];
  const part = to[0] === from[0] ? 0 : (heat - from[0]) / (to[0] - from[0]);
  return to.slice(1).map((value, n) => from[n + 1] + part * (value - from[n + 1]));
}

function paint(canvas, heats, columns, rows) {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  heats.forEach((heat, n) => {
    const [red, green, blue, opacity] = colour(heat);
    image.data.set([red, green, blue, 255 * opacity], 4 * n);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}
