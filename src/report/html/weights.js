// SPDX-License-Identifier: Apache-2.0
// A layer's weights, relative to the range of their channel's levels, and those levels.

/// The histogram as an outline: two corners per bin.
function outline(counts) {
  const corner = i => (2 * i) / counts.length - 1;
  return counts.flatMap((count, i) => [
    {x: corner(i), y: count, from: corner(i), to: corner(i + 1)},
    {x: corner(i + 1), y: count, from: corner(i), to: corner(i + 1)},
  ]);
}

/// A level as a stem from 0 to its number of weights.
function stems({at_level: counts, lowest_code: lowest, code_stride: stride}) {
  const step = 2 / (counts.length - 1);
  return counts.flatMap((count, i) => {
    const code = lowest + i * stride,
      x = (code / stride) * step;
    return [
      {x, y: 0},
      {x, y: count, code},
      {x, y: NaN},
    ];
  });
}

function aboutGrid(grid) {
  const about = [`${plural(grid.weights, 'weight')} in ${plural(grid.channels, 'channel')}, relative to the range of the levels of each channel; weights beyond it count at the ends.`];
  if (grid.step) {
    const [least, most] = grid.step.map(step => digits(step));
    about.push(
      `${grid.at_level.length} levels with a step of ${least === most ? least : `${least} to ${most}`};`,
      `rounding changes the weights by ${percent(grid.error)} (RMS).`,
    );
  }
  return about.join(' ');
}

function drawWeights() {
  const layers = layersOf(state.run),
    layer = layers.find(l => l.name === state.layer);
  options(
    'layer',
    layers.map(l => [l.name, l.name]),
    state.layer,
    showLayer,
  );
  if (!layer?.grids.length) return;
  const grid = layer.grids.find(g => g.bits === state.bits) ?? layer.grids.reduce((a, b) => (b.weights > a.weights ? b : a));
  choose(
    'weights-bits',
    layer.grids.map(g => [g.bits, `${bitsName(g.bits)} · ${plural(g.channels, 'channel')}`]),
    grid.bits,
    bits => change({bits}),
  );
  const tone = bitsColor(grid.bits),
    datasets = [];
  if (grid.at_level) {
    const top = grid.at_level.length > 64 ? 1.5 : 4;
    datasets.push({
      label: 'weights at a level',
      data: stems(grid),
      yAxisID: 'levels',
      borderColor: tone,
      backgroundColor: tone,
      borderWidth: grid.at_level.length > 64 ? 1 : 2,
      pointRadius: ({raw}) => (raw?.code === undefined ? 0 : top),
      pointHoverRadius: ({raw}) => (raw?.code === undefined ? 0 : top + 2),
      pointHitRadius: 8,
    });
  }
  datasets.push({
    label: 'weights',
    data: outline(grid.counts),
    borderColor: color('third'),
    backgroundColor: faded(color('histogram'), 0.55),
    fill: 'origin',
    borderWidth: 1,
    pointRadius: 0,
    pointHitRadius: 6,
    pointStyle: 'rectRounded',
  });
  chart('weights-chart', {
    type: 'scatter',
    data: {datasets: datasets.map(set => ({showLine: true, ...set}))},
    options: {
      interaction: {mode: 'nearest', axis: 'x', intersect: false},
      scales: {
        x: axis('w / half the range of the levels', {
          min: Math.min(-1, ((grid.lowest_code ?? 0) / (grid.code_stride ?? 1)) * (2 / ((grid.at_level ?? []).length - 1))) - 0.04,
          max: 1.04,
          ticks: {stepSize: 0.5, maxTicksLimit: 11},
        }),
        y: axis('weights per bin', {min: 0, grace: '4%'}),
        ...(grid.at_level && {levels: axis('weights per level', {min: 0, grace: '4%', position: 'right', grid: {display: false}})}),
      },
      plugins: {
        legend: {position: 'bottom'},
        tooltip: {
          filter: ({raw}) => !Number.isNaN(raw.y) && (raw.code !== undefined || raw.from !== undefined),
          callbacks: {
            title: () => '',
            label: ({raw}) =>
              raw.code === undefined
                ? `${raw.from.toFixed(2)} to ${raw.to.toFixed(2)}: ${plural(raw.y, 'weight')}`
                : `code ${raw.code}, at ${raw.x.toFixed(3)}: ${plural(raw.y, 'weight')}`,
          },
        },
      },
    },
  });
  byId('weights-note').textContent = aboutGrid(grid);
}

view(['run', 'layer', 'bits'], drawWeights);
