// SPDX-License-Identifier: Apache-2.0
// The search, epoch by epoch: the slider, θ and α of one layer or tensor, the entropy of all.

const meanOf = row => (Array.isArray(row) ? row.reduce((sum, v) => sum + v, 0) / row.length : row);

/// Mean entropy over the columns of θ (in percent), in nats.
function entropy(theta) {
  const columns = Array.isArray(theta[0]) ? theta[0].map((_, c) => theta.map(row => row[c])) : [theta];
  return meanOf(
    columns.map(column => {
      const total = column.reduce((sum, v) => sum + v, 0) || 1;
      return column.reduce((sum, v) => (v > 0 ? sum - (v / total) * Math.log(v / total) : sum), 0);
    }),
  );
}

/// The α with more than one candidate.
const choices = run => (run.history?.alphas ?? []).filter(alpha => alpha.bits.length > 1);

/// A vertical line in the charts at the epoch of the slider.
const cursor = {
  id: 'cursor',
  afterDatasetsDraw({ctx, chartArea: area, scales}) {
    if (state.epoch >= epochsOf(state.run)) return;
    const x = scales.x.getPixelForValue(state.epoch);
    ctx.save();
    ctx.strokeStyle = color('text');
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.moveTo(x, area.top);
    ctx.lineTo(x, area.bottom);
    ctx.stroke();
    ctx.restore();
  },
};

function overEpochs(id, epochs, datasets, y, shown, more = {}) {
  const points = epochs > 20 ? 0 : epochs > 1 ? 2 : 4;
  chart(id, {
    type: 'line',
    plugins: [cursor, lonePoints(shown)],
    data: {
      labels: Array.from({length: epochs}, (_, e) => e + 1),
      datasets: datasets.map(set => ({pointRadius: points, borderWidth: 2, tension: 0.2, ...set})),
    },
    options: {
      interaction: {mode: 'index', intersect: false},
      onClick: (event, found) => found.length && epochsOf(state.run) && change({epoch: found[0].index}),
      scales: {
        x: {
          offset: epochs === 1,
          grid: {display: false},
          title: {display: true, text: 'search epoch'},
          ticks: {maxRotation: 0, autoSkipPadding: 12},
        },
        y,
      },
      plugins: {
        legend: {position: 'bottom'},
        tooltip: {callbacks: {title: ([item]) => `epoch ${item?.label}`}, ...more.tooltip},
        ...more.plugins,
      },
    },
  });
}

function drawTheta(alpha) {
  const epochs = epochsOf(state.run);
  overEpochs(
    'theta-chart',
    epochs,
    alpha.bits.map((bits, p) => ({
      label: bitsName(bits),
      data: alpha.theta.map(theta => meanOf(theta[p])),
      fill: p === 0 ? 'origin' : '-1',
      backgroundColor: faded(bitsColor(bits), 0.75),
      borderColor: bitsColor(bits),
      pointRadius: epochs > 1 ? 0 : 4,
      pointStyle: 'rectRounded',
      borderWidth: 1,
    })),
    axis('', {stacked: true, min: 0, max: 100, ticks: {callback: value => `${value}%`}}),
    value => `${value.toFixed(0)}%`,
    {tooltip: {callbacks: {label: item => `${item.dataset.label}: ${item.raw.toFixed(0)}%`, title: ([item]) => `epoch ${item?.label}`}}},
  );
  overEpochs(
    'alpha-chart',
    epochs,
    alpha.bits.map((bits, p) => ({
      label: bitsName(bits),
      data: alpha.alpha.map(row => row[p]),
      borderColor: bitsColor(bits),
      backgroundColor: bitsColor(bits),
    })),
    axis(''),
    value => digits(value, 4),
  );
}

function drawEntropy() {
  const {run} = state,
    told = run.metrics.filter(line => line.phase === 'search').map(line => line.entropy);
  const chosen = choices(run).find(alpha => alpha.name === state.alpha);
  const sets = [{label: 'mean of all', data: told, borderColor: color('text'), backgroundColor: color('text')}];
  if (chosen)
    sets.push({label: chosen.name, data: chosen.theta.map(entropy), borderColor: color('accent'), backgroundColor: color('accent')});
  const others = choices(run)
    .filter(alpha => alpha !== chosen)
    .map((alpha, i) => ({
      label: i === 0 ? 'the others' : alpha.name,
      data: alpha.theta.map(entropy),
      borderColor: faded(color('third'), 0.35),
      backgroundColor: faded(color('third'), 0.35),
      borderWidth: 1,
      pointRadius: 0,
      unnamed: true,
    }));
  overEpochs('entropy-chart', told.length, [...sets, ...others], axis('', {min: 0}), value => value.toFixed(3), {
    tooltip: {
      filter: item => item.datasetIndex < sets.length,
      callbacks: {label: item => `${item.dataset.label}: ${item.raw.toFixed(3)}`, title: ([item]) => `epoch ${item?.label}`},
    },
    plugins: {legend: {position: 'bottom', labels: {filter: item => item.datasetIndex <= sets.length}}},
  });
}

function drawSearch() {
  const {run} = state,
    candidates = choices(run),
    searched = run.metrics.some(line => line.phase === 'search');
  byId('search').hidden = !searched;
  if (!searched) return;
  for (const id of ['theta-chart', 'alpha-chart']) byId(id).closest('figure').hidden = candidates.length === 0;
  byId('alpha').hidden = candidates.length === 0;
  const alpha = candidates.find(a => a.name === state.alpha);
  options(
    'alpha',
    candidates.map(a => [a.name, a.name.replace(/\.alpha_w$/, ' · weights').replace(/\.alpha_a$/, ' · output')]),
    state.alpha,
    chosen => change({alpha: chosen}),
  );
  if (alpha) drawTheta(alpha);
  drawEntropy();
}

// --- the slider: every epoch of the search, then the network found --------------------------------------------

let playing = null;

function stop() {
  clearInterval(playing);
  playing = null;
  byId('play').textContent = '▶';
}

function play() {
  if (playing) return stop();
  if (state.epoch >= epochsOf(state.run)) change({epoch: 0});
  byId('play').textContent = '❚❚';
  playing = setInterval(() => (state.epoch < epochsOf(state.run) ? change({epoch: state.epoch + 1}) : stop()), 700);
}

function drawSlider() {
  const epochs = epochsOf(state.run),
    found = state.epoch >= epochs;
  byId('replay').hidden = epochs === 0;
  Object.assign(byId('epoch'), {max: epochs, value: state.epoch});
  byId('epoch-name').textContent = found
    ? 'network found'
    : `epoch ${state.epoch + 1} of ${epochs}, τ ${Number(state.run.history.tau[state.epoch].toPrecision(2))}`;
}

byId('play').addEventListener('click', play);
byId('epoch').addEventListener('input', event => change({epoch: Number(event.target.value)}));
view(['run', 'epoch'], drawSlider);
view(['run', 'alpha', 'epoch'], drawSearch, ['run', 'sweep', 'running']);
