// SPDX-License-Identifier: Apache-2.0
// Bits or costs per layer as bars, and the channels of each layer as a strip: of the network found or of an epoch of the search.

const measures = {
  channels: {title: 'channels', of: (layer, bits) => layer.channels.get(bits) ?? 0},
  weights: {title: 'weights', of: (layer, bits) => layer.grids.find(g => g.bits === bits)?.weights ?? 0},
  bytes: {title: 'bytes', of: (layer, bits) => (bits / 8) * (layer.grids.find(g => g.bits === bits)?.weights ?? 0)},
};

/// The costs of a layer that are times, or given by a table.
const layerCosts = layer => Object.keys(layer?.costs ?? {}).filter(name => name.includes('latency') || name.startsWith('table'));

/// What the bars can show: the measures above, and such costs, which are not split by bits.
function measuresOf(run) {
  const costs = layerCosts(layersOf(run)[0]).map(name => [name, {title: costLabel(run, name), of: layer => layer.costs[name] ?? 0, whole: true}]);
  return {...measures, ...Object.fromEntries(costs)};
}

function drawBars() {
  const layers = layersOf(state.run),
    all = measuresOf(state.run),
    measure = all[state.measure] ?? measures.channels;
  byId('layers-box').style.minHeight = `${Math.max(260, 84 + 24 * layers.length)}px`;
  choose(
    'layers-measure',
    Object.entries(all).map(([name, m]) => [name, m.title]),
    all[state.measure] ? state.measure : 'channels',
    chosen => change({measure: chosen}),
  );
  const parts = measure.whole ? [{label: 'all bits', fill: color('accent')}] : bitsOf(state.run).map(bits => ({label: bitsName(bits), fill: bitsColor(bits), bits}));
  const datasets = parts.map(({label, fill, bits}) => ({
    label,
    data: layers.map(layer => measure.of(layer, bits)),
    backgroundColor: fill,
    borderColor: color('card'),
    borderWidth: {right: 1},
    borderSkipped: false,
    barPercentage: 0.86,
    categoryPercentage: 0.92,
    pointStyle: 'rectRounded',
  }));
  chart('layers-chart', {
    type: 'bar',
    data: {labels: layers.map(layer => layer.name), datasets},
    options: {
      indexAxis: 'y',
      onClick: (event, found) => found.length && showLayer(layers[found[0].index].name),
      interaction: {mode: 'index', axis: 'y', intersect: false},
      scales: {
        x: axis(measure.title, {stacked: true}),
        y: {
          stacked: true,
          grid: {display: false},
          ticks: {
            autoSkip: false,
            color: ({index}) => (layers[index]?.name === state.layer ? color('accent') : color('text')),
            callback: index => shortened(layers[index].name),
          },
        },
      },
      plugins: {
        legend: {position: 'bottom', display: !measure.whole},
        tooltip: {
          filter: item => item.raw > 0,
          callbacks: {
            label: item => `${item.dataset.label}: ${whole(item.raw)} ${measure.title}`,
            footer: ([item]) => (item ? aboutLayer(layers[item.dataIndex]) : ''),
          },
        },
      },
    },
  });
}

/// Shortens long paths at the start, because the end is more specific.
function shortened(name) {
  const most = innerWidth < 600 ? 14 : 22;
  return name.length <= most ? name : `…${name.slice(1 - most)}`;
}

/// The α of a layer's weights (kind alpha_w) or of a node's output (alpha_a); layers and nodes may share one.
const alphaOf = (run, node, kind) => run.history?.alphas.find(alpha => alpha.name.endsWith(`.${kind}`) && alpha.nodes.includes(node));
const epochsOf = run => run.history?.tau.length ?? 0;

/// The colours of bit-widths, mixed by their θ in percent.
function mixture(bits, shares) {
  const total = shares.reduce((sum, share) => sum + share, 0) || 1,
    mixed = [0, 0, 0];
  bits.forEach((b, p) => [1, 3, 5].forEach((at, i) => (mixed[i] += (parseInt(bitsColor(b).slice(at, at + 2), 16) * shares[p]) / total)));
  return `rgb(${mixed.map(Math.round).join(' ')})`;
}

/// The cells of a layer's strip, {fill, about} per channel: of the network found,
function foundCells(layer) {
  const gone = Array(layer.pruned_channels ?? 0).fill(0);
  return [...layer.order, ...gone].map((bits, c) => ({
    fill: bitsColor(bits),
    about: bits === 0 ? 'pruned channel' : `channel ${c}: ${bitsName(bits)}`,
  }));
}

/// and of an epoch of the search.
function searchedCells(layer, alpha) {
  const theta = alpha.theta[state.epoch];
  const cell = shares => ({fill: mixture(alpha.bits, shares), about: alpha.bits.map((b, p) => `${bitsName(b)}: ${shares[p]}%`).join('\n')});
  if (!Array.isArray(theta[0])) return Array(layer.order.length + (layer.pruned_channels ?? 0)).fill(cell(theta));
  return theta[0].map((_, c) => {
    const {fill: tone, about} = cell(theta.map(row => row[c]));
    return {fill: tone, about: `channel ${c}\n${about}`};
  });
}

function cellsOf(layer) {
  if (state.epoch >= epochsOf(state.run)) return foundCells(layer);
  const alpha = alphaOf(state.run, layer.name, 'alpha_w');
  return alpha ? searchedCells(layer, alpha) : foundCells(layer);
}

function paintStrip(canvas, cells) {
  const ratio = devicePixelRatio || 1,
    width = Math.round(canvas.clientWidth * ratio),
    height = Math.round(canvas.clientHeight * ratio);
  Object.assign(canvas, {width, height});
  const ctx = canvas.getContext('2d'),
    step = width / cells.length,
    gap = step > 5 ? ratio : step > 3 ? 0.5 * ratio : 0;
  cells.forEach((cell, c) => {
    ctx.fillStyle = cell.fill;
    ctx.fillRect(c * step, 0, step - gap + (gap ? 0 : 0.5), height);
  });
}

/// The bits of a layer's output at the epoch shown.
function outputBits(layer) {
  const alpha = state.epoch < epochsOf(state.run) ? alphaOf(state.run, layer.output, 'alpha_a') : null;
  if (!alpha) return layer.out_bits;
  const theta = alpha.theta[state.epoch];
  return alpha.bits[theta.lastIndexOf(Math.max(...theta))];
}

function strip(layer) {
  const cells = cellsOf(layer),
    out = outputBits(layer);
  const canvas = element('canvas', {
    mousemove: event => {
      const {left, width} = canvas.getBoundingClientRect(),
        c = Math.floor(((event.clientX - left) / width) * cells.length);
      if (cells[c]) showTip(event, `${layer.name}\n${cells[c].about}`);
    },
    mouseleave: hideTip,
  });
  canvas.cells = cells;
  return element(
    'div',
    {class: `strip${layer.name === state.layer ? ' chosen' : ''}`, click: () => showLayer(layer.name)},
    element('span', {class: 'name', title: layer.name}, layer.name),
    canvas,
    element('span', {class: 'out', title: 'bits of the output'}, out ? swatch(out) : '', out ? `out ${out}` : 'out float'),
  );
}

function paintStrips() {
  for (const canvas of document.querySelectorAll('.strip canvas')) paintStrip(canvas, canvas.cells);
}

function drawStrips() {
  const {run} = state,
    searched = run.history?.alphas.flatMap(alpha => alpha.bits) ?? [];
  const bits = [...new Set([...bitsOf(run), ...searched])].sort((a, b) => a - b);
  fill('channels-legend', ...bits.map(b => element('span', {}, swatch(b), bitsName(b))));
  fill('strips', ...layersOf(run).map(strip));
  paintStrips();
  byId('channels-note').textContent =
    state.epoch < epochsOf(run)
      ? 'Each cell is a channel; its colour mixes those of the bit-widths by their θ. “out” is the most likely ' +
        'bit-width of the output. Pale layers share the choice of an earlier layer and show the final result.'
      : 'Each cell is a channel of the layer’s weights; “out” is the bit-width of its output. Pruned channels are last.';
}

view(['run', 'layer', 'measure'], drawBars);
view(['run', 'layer', 'epoch'], drawStrips);
new ResizeObserver(paintStrips).observe(byId('strips'));
