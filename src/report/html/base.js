// SPDX-License-Identifier: Apache-2.0
// State, elements, numbers, colours: shared by all sections. Texts from runs reach the page as text nodes only.
'use strict';

const data = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);

// --- state: a section is redrawn when the state that it shows changes ------------------------------------------

const state = {run: null, cost: null, budgets: 'all', layer: null, alpha: null, epoch: 0, measure: 'channels', bits: null, network: 'found'};
const views = [];

/// Registers `draw` to run whenever one of `keys` changes, on pages of these kinds.
function view(keys, draw, kinds = ['run', 'sweep']) {
  if (kinds.includes(data.kind)) views.push({keys, draw});
}

function change(changes) {
  const changed = Object.keys(changes).filter(key => state[key] !== changes[key]);
  Object.assign(state, changes);
  for (const {keys, draw} of views) if (keys.some(key => changed.includes(key))) draw();
}

// --- elements ------------------------------------------------------------------------------------------------

/// A new element; attributes that are functions become event listeners.
function element(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') e.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) e.setAttribute(name, value);
  }
  e.append(...children.filter(child => child !== null));
  return e;
}

function fill(id, ...children) {
  byId(id).replaceChildren(...children);
}

/// A group of buttons, one of which is pressed.
function choose(id, options, chosen, onChoose) {
  fill(
    id,
    ...options.map(([value, label]) =>
      element('button', {'aria-pressed': String(value === chosen), 'click': () => onChoose(value)}, label),
    ),
  );
}

function options(id, values, chosen, onChoose) {
  fill(id, ...values.map(([value, label]) => element('option', {value}, label)));
  byId(id).value = chosen;
  byId(id).onchange = event => onChoose(event.target.value);
}

function showTip(event, text) {
  const tip = byId('tip');
  tip.textContent = text;
  tip.hidden = false;
  const {width, height} = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 6))}px`;
  tip.style.top = `${event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18}px`;
}
function hideTip() {
  byId('tip').hidden = true;
}

// --- numbers -------------------------------------------------------------------------------------------------

const whole = value => Math.round(value).toLocaleString('en-US');
const percent = (share, decimals = 1) => `${(100 * share).toFixed(decimals)}%`;
const shareOf = share => percent(share, share < 0.9995 ? 1 : 0);
const plural = (n, thing) => `${whole(n)} ${thing}${n === 1 ? '' : 's'}`;

function digits(value, most = 3) {
  const rounded = Number(value.toPrecision(most));
  return rounded !== 0 && Math.abs(rounded) < 1e-3 ? rounded.toExponential() : rounded.toString();
}

/// 12,801,671,168 → 12.8G; 8.57e-5 → 85.7µ
function short(value) {
  for (const [factor, letter] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
    [1e-3, ''],
    [1e-6, 'µ'],
    [1e-9, 'n'],
  ]) {
    if (Math.abs(value) >= factor) return digits(value / (letter ? factor : 1)) + letter;
  }
  return digits(value);
}

function bytes(n) {
  return n < 1024 ? `${whole(n)} B` : n < 1 << 20 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / (1 << 20)).toFixed(2)} MiB`;
}

// --- runs ----------------------------------------------------------------------------------------------------

/// The metric of a run's task. Older summaries have an accuracy instead, or null if the metric is the loss.
function metricOf(run) {
  if (run.summary.metric) return run.summary.metric;
  const accuracy = run.summary.final_accuracy !== null;
  return {name: accuracy ? 'accuracy' : 'mean squared error', larger_is_better: accuracy, is_share: accuracy};
}
const scoreName = run => metricOf(run).name;
const isShare = run => metricOf(run).is_share;
const score = (run, stage) =>
  run.summary[`${stage}_metric`] ?? run.summary[isShare(run) ? `${stage}_accuracy` : `${stage}_loss`];
const shownScore = (run, value) => (isShare(run) ? percent(value, 2) : digits(value, 4));
const better = (run, a, b) => (metricOf(run).larger_is_better ? a > b : a < b);
const unit = (run, cost) => (run.summary.cost_unit ?? {})[cost] ?? (run.summary.targets ?? {})[cost]?.unit ?? '';
function shownCost(run, cost, value) {
  const counted = unit(run, cost);
  return counted === 'bits'
    ? bytes(value / 8)
    : counted === 'bytes'
      ? bytes(value)
      : counted === 'joules'
        ? `${short(value)}J`
        : short(value);
}
const costLabel = (run, cost) => (unit(run, cost) ? `${cost} (${unit(run, cost)})` : cost);
const bitsName = bits => (bits === 32 ? 'float' : bits === 0 ? 'pruned' : `${bits}-bit`);

/// The layers in a run's summary, with their channels by bit-width; 0 for pruned channels.
function layersOf(run) {
  return (run.layers ??= run.summary.layers.map(layer => {
    const {grids, output} = run.weights.find(w => w.name === layer.name) ?? {grids: []};
    const channels = new Map(grids.map(g => [g.bits, g.channels]));
    if (layer.pruned_channels > 0) channels.set(0, layer.pruned_channels);
    const left = grids.reduce((sum, g) => sum + g.channels, 0);
    const order = Array.isArray(layer.weight_bits) ? layer.weight_bits : Array(left).fill(layer.weight_bits ?? 32);
    return {...layer, grids, output, channels, order, weightBits: grids.reduce((sum, g) => sum + g.bits * g.weights, 0)};
  }));
}

/// All bit-widths of weights in a run, ascending.
function bitsOf(run) {
  return [...new Set(layersOf(run).flatMap(layer => [...layer.channels.keys()]))].sort((a, b) => a - b);
}

/// The tooltip of a layer.
function aboutLayer(layer) {
  return [
    `${whole(layer.weights)} weights, ${bytes(layer.weightBits / 8)}`,
    `${whole(layer.macs)} MACs`,
    `input ${layer.in_bits ? `${layer.in_bits}-bit` : 'float'}, output ${layer.out_bits ? `${layer.out_bits}-bit` : 'float'}`,
  ];
}

// --- colours and charts --------------------------------------------------------------------------------------

const color = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const bitsColor = bits => color(`bits-${bits}`);
const faded = (hex, alpha) =>
  hex +
  Math.round(255 * alpha)
    .toString(16)
    .padStart(2, '0');
const swatch = bits => element('i', {class: 'swatch', style: `background: var(--bits-${bits})`});

function setChartDefaults() {
  Object.assign(Chart.defaults, {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    color: color('muted'),
    borderColor: color('line'),
  });
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Object.assign(Chart.defaults.plugins.tooltip, {
    backgroundColor: '#1b2230',
    titleColor: '#f2f4f8',
    bodyColor: '#d6dbe5',
    padding: 10,
    cornerRadius: 8,
    boxPadding: 4,
  });
  Object.assign(Chart.defaults.plugins.legend.labels, {boxWidth: 8, boxHeight: 7, usePointStyle: true, padding: 14});
  Chart.defaults.plugins.legend.align = 'start';
}

/// Draws `config` on the canvas, replacing any previous chart.
function chart(id, config) {
  Chart.getChart(id)?.destroy();
  return new Chart(id, config);
}

/// Draws points without neighbours, which make no line: each gets a short stroke, with its value beside it unless the
/// set is `unnamed`.
const lonePoints = shown => ({
  id: 'lone-points',
  afterDatasetsDraw(chart) {
    const {ctx, chartArea: area} = chart,
      gone = value => value === null || value === undefined || Number.isNaN(value);
    const texts = (chart.loneValues = []);
    ctx.save();
    ctx.font = `11.5px ${Chart.defaults.font.family}`;
    ctx.textBaseline = 'middle';
    for (const [d, set] of chart.data.datasets.entries()) {
      if (!chart.isDatasetVisible(d)) continue;
      for (const [i, {x, y}] of chart.getDatasetMeta(d).data.entries()) {
        if (gone(set.data[i]) || !gone(set.data[i - 1]) || !gone(set.data[i + 1])) continue;
        ctx.strokeStyle = ctx.fillStyle = set.borderColor;
        ctx.lineWidth = 2;
        ctx.beginPath();
        ctx.moveTo(Math.max(area.left, x - 12), y);
        ctx.lineTo(Math.min(area.right, x + 12), y);
        ctx.stroke();
        if (set.unnamed) continue;
        const text = shown(set.data[i]),
          {width} = ctx.measureText(text),
          left = x + 18 + width > area.right ? x - 18 - width : x + 18;
        let at = Math.min(Math.max(y, area.top + 7), area.bottom - 7);
        const taken = () => texts.some(t => Math.abs(t.at - at) < 13 && t.left < left + width && left < t.left + t.width);
        while (taken() && at > area.top) at -= 13;
        texts.push({text, left, at, width});
        ctx.fillStyle = color('text');
        ctx.fillText(text, left, at);
      }
    }
    ctx.restore();
  },
});

/// A linear axis with short numbers.
function axis(title, more = {}) {
  return {
    title: {display: Boolean(title), text: title},
    border: {display: false},
    ...more,
    ticks: {callback: short, maxTicksLimit: 7, maxRotation: 0, includeBounds: false, ...more.ticks},
  };
}

/// Dashed lines with a label: [{axis: 'x' or 'y', value, text, color}].
function marks(lines) {
  return {
    id: 'marks',
    beforeDatasetsDraw({ctx, chartArea: area, scales}) {
      ctx.save();
      ctx.font = `11.5px ${Chart.defaults.font.family}`;
      ctx.setLineDash([4, 4]);
      for (const line of lines) {
        const at = scales[line.axis].getPixelForValue(line.value),
          upright = line.axis === 'x';
        ctx.strokeStyle = ctx.fillStyle = line.color;
        ctx.beginPath();
        ctx.moveTo(upright ? at : area.left, upright ? area.top : at);
        ctx.lineTo(upright ? at : area.right, upright ? area.bottom : at);
        ctx.stroke();
        ctx.save();
        ctx.translate(upright ? at + 14 : area.left + 5, upright ? area.bottom - 6 : at - 5);
        if (upright) ctx.rotate(-Math.PI / 2);
        ctx.fillText(line.text ?? '', 0, 0);
        ctx.restore();
      }
      ctx.restore();
    },
  };
}
