// SPDX-License-Identifier: Apache-2.0
// Accuracy against a cost: all points of a sweep with their Pareto front, or one run with its float and 8-bit networks.

const methodMarks = {
  dnas: ['circle', 'accent'],
  uniform: ['rect', 'third'],
  sensitivity: ['triangle', 'second'],
  random: ['crossRot', 'float'],
};

/// Points that no other point beats at a lower or equal cost, by ascending cost.
function frontOf(runs, cost) {
  const front = [];
  for (const run of [...runs].sort(
    (a, b) => a.summary.cost[cost] - b.summary.cost[cost] || (better(a, score(a, 'final'), score(b, 'final')) ? -1 : 1),
  )) {
    if (!front.length || better(run, score(run, 'final'), score(front.at(-1), 'final'))) front.push(run);
  }
  return front;
}

function runsWith(cost) {
  return data.runs.filter(run => run.summary.cost[cost] !== undefined);
}
const pointOf = (run, stage = 'final') => ({x: run.summary.cost[state.cost], y: score(run, stage), run, stage});

/// Mean and sample standard deviation.
function spreadOf(values) {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return {mean, deviation: Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / Math.max(values.length - 1, 1))};
}

/// Groups of at least two runs that differ only in their seed.
function seedGroups(runs) {
  const groups = new Map();
  for (const run of runs) {
    const name = run.name.replace(/-seed\d+$/, '');
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  return [...groups].filter(([, members]) => members.length > 1).map(([name, members]) => ({name, members}));
}

/// A bar at the mean over the seeds; `whiskers` adds the standard deviation.
function meanDatasets(runs) {
  const means = seedGroups(runs).map(({name, members}) => {
    const y = spreadOf(members.map(run => score(run, 'final')));
    const x = spreadOf(members.map(run => run.summary.cost[state.cost])).mean;
    return {x, y: y.mean, deviation: y.deviation, name, seeds: members.length, run: members[0]};
  });
  if (!means.length) return [];
  const tone = color('text');
  return [
    {
      label: 'mean of the seeds, ± standard deviation',
      pointStyle: 'line',
      data: means,
      borderColor: tone,
      backgroundColor: tone,
      borderWidth: 2,
      pointRadius: 9,
      pointHoverRadius: 10,
    },
  ];
}

const whiskers = {
  id: 'whiskers',
  afterDatasetsDraw(chart) {
    const {ctx, scales} = chart;
    ctx.save();
    ctx.lineWidth = 1.5;
    for (const [d, set] of chart.data.datasets.entries()) {
      if (!chart.isDatasetVisible(d)) continue;
      for (const point of set.data.filter(p => p.deviation !== undefined)) {
        const x = scales.x.getPixelForValue(point.x),
          [low, high] = [-1, 1].map(sign => scales.y.getPixelForValue(point.y + sign * point.deviation));
        ctx.strokeStyle = set.borderColor;
        ctx.beginPath();
        ctx.moveTo(x, low);
        ctx.lineTo(x, high);
        for (const end of [low, high]) {
          ctx.moveTo(x - 4, end);
          ctx.lineTo(x + 4, end);
        }
        ctx.stroke();
      }
    }
    ctx.restore();
  },
};

function sweepDatasets() {
  const runs = runsWith(state.cost),
    front = frontOf(runs, state.cost),
    groups = new Map();
  for (const run of runs) {
    const name = `${run.summary.method}, ${run.summary.scheme}`;
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  const sets = [...groups].map(([label, members]) => {
    const [pointStyle, tone] = methodMarks[members[0].summary.method] ?? ['star', 'text'];
    const own = color(tone),
      open = members[0].summary.scheme === 'per-layer';
    return {
      label,
      pointStyle,
      data: members.map(run => pointOf(run)),
      borderColor: own,
      backgroundColor: open ? color('card') : faded(own, 0.75),
      borderWidth: 2,
      pointRadius: members.map(run => (run === state.run ? 9 : 6)),
      pointHoverRadius: 9,
    };
  });
  const line = {
    label: 'Pareto front',
    type: 'line',
    data: front.map(run => pointOf(run)),
    borderColor: faded(color('accent'), 0.55),
    borderWidth: 2,
    pointRadius: 0,
    pointHitRadius: 0,
    pointStyle: 'line',
  };
  return [...sets, ...meanDatasets(runs), line];
}

function runDatasets() {
  const {run} = state,
    floating = (run.summary.cost_float ?? {})[state.cost],
    own = color('accent');
  const sets = [
    {label: 'found, fine-tuned', data: [pointOf(run)], borderColor: own, backgroundColor: own, pointRadius: 8, pointHoverRadius: 9},
    {
      label: 'found, before fine-tuning',
      data: [pointOf(run, 'search')],
      borderColor: own,
      backgroundColor: color('card'),
      borderWidth: 2,
      pointRadius: 6,
      pointHoverRadius: 8,
    },
  ];
  if (floating !== undefined) {
    sets.push({
      label: 'float',
      pointStyle: 'rectRot',
      data: [{x: floating, y: score(run, 'float'), run, stage: 'float'}],
      borderColor: color('float'),
      backgroundColor: color('float'),
      pointRadius: 8,
      pointHoverRadius: 9,
    });
  }
  return sets;
}

/// Reference lines: the float accuracy, the uniform 8-bit network's cost, the target.
function references() {
  const {run} = state,
    lines = [{axis: 'y', value: score(run, 'float'), text: data.kind === 'sweep' ? 'float' : '', color: color('muted')}];
  const uniform = (run.summary.cost_uniform8 ?? {})[state.cost],
    target = (run.summary.targets ?? {})[state.cost];
  if (uniform !== undefined) lines.push({axis: 'x', value: uniform, text: 'uniform 8-bit', color: color('bits-8')});
  if (target) lines.push({axis: 'x', value: target.limit, text: 'target', color: color('second')});
  return lines;
}

function aboutPoint({raw}) {
  const {run, stage, seeds, deviation, x, y} = raw,
    uniform = (run.summary.cost_uniform8 ?? {})[state.cost];
  const stages = {final: 'fine-tuned', search: 'before fine-tuning', float: 'float'};
  return [
    seeds
      ? `mean of ${seeds} seeds: ${scoreName(run)} ${shownScore(run, y)} ± ${shownScore(run, deviation)}`
      : `${stages[stage]}: ${scoreName(run)} ${shownScore(run, y)}`,
    `${state.cost} ${shownCost(run, state.cost, x)}${uniform ? `, ${shareOf(x / uniform)} of 8-bit` : ''}`,
  ];
}

function drawTradeoff() {
  const {run} = state,
    sweep = data.kind === 'sweep',
    lines = references();
  const all = sweep ? sweepDatasets() : runDatasets();
  const upright = lines.filter(line => line.axis === 'x').map(line => line.value),
    level = score(run, 'float');
  const xs = [...upright, ...all.flatMap(set => set.data.map(p => p.x))],
    ys = [level, ...all.flatMap(set => set.data.flatMap(p => [p.y - (p.deviation ?? 0), p.y + (p.deviation ?? 0)]))];
  const room = Math.max(0.08 * (Math.max(...ys) - Math.min(...ys)), isShare(run) ? 0.002 : 1e-6);
  byId('tradeoff-title').textContent = `${scoreName(run)[0].toUpperCase()}${scoreName(run).slice(1)} against`;
  chart('tradeoff-chart', {
    type: 'scatter',
    data: {datasets: all},
    plugins: [marks(lines), whiskers],
    options: {
      onClick: (event, found) => found.length && sweep && showRun(found[0].element.$context.raw.run),
      interaction: {mode: 'nearest', intersect: true},
      layout: {padding: {top: 6, right: 6}},
      scales: {
        x: axis(costLabel(run, state.cost), {min: 0, max: 1.05 * Math.max(...xs)}),
        y: axis('', {
          min: Math.min(...ys) - room,
          max: Math.max(...ys) + room,
          ticks: {callback: value => (isShare(run) ? percent(value) : short(value))},
        }),
      },
      plugins: {
        legend: {position: 'bottom'},
        tooltip: {
          filter: item => item.dataset.type !== 'line',
          callbacks: {title: ([item]) => (item ? (sweep ? (item.raw.name ?? item.raw.run.name) : item.dataset.label) : ''), label: aboutPoint},
        },
      },
    },
  });
  const missing = data.runs.length - runsWith(state.cost).length;
  const notes = [];
  if (missing) notes.push(`${plural(missing, 'point')} without this cost not shown.`);
  if (run.summary.kept_start) {
    const which = sweep ? `For ${run.name}, no` : 'No';
    notes.push(`${which} epoch of fine-tuning was as good on the validation images, so the network before it is kept.`);
  }
  byId('tradeoff-note').textContent = notes.join(' ');
}

function drawPoints() {
  if (data.kind !== 'sweep') return;
  byId('points').hidden = false;
  byId('points-note').textContent = 'The rest of the page shows the selected point; select another one here or in the chart.';
  const front = new Set(frontOf(runsWith(state.cost), state.cost));
  const means = new Map(
    seedGroups(data.runs).flatMap(({members}) => {
      const {mean, deviation} = spreadOf(members.map(run => score(run, 'final')));
      return members.map(run => [run, `${shownScore(run, mean)} ± ${shownScore(run, deviation)}`]);
    }),
  );
  const meanColumn = cell => (means.size ? [cell] : []);
  const head = element(
    'tr',
    {},
    ...[
      'point',
      scoreName(state.run),
      ...meanColumn('over seeds'),
      state.cost,
      'of 8-bit',
      'method',
      'scheme',
      'target, strength',
      'seed',
    ].map(name => element('th', {}, name)),
  );
  const rows = data.runs.map(run => {
    const s = run.summary,
      cost = s.cost[state.cost],
      uniform = (s.cost_uniform8 ?? {})[state.cost];
    const wanted =
      Object.entries(s.targets ?? {})
        .map(([name, t]) => `${name} ${shownCost(run, name, t.limit)}`)
        .join(', ') || (s.strength ? digits(s.strength) : '');
    const cells = [
      shownScore(run, score(run, 'final')),
      ...meanColumn(means.get(run) ?? '–'),
      cost === undefined ? '–' : shownCost(run, state.cost, cost),
      cost && uniform ? shareOf(cost / uniform) : '–',
      s.method,
      s.scheme,
      wanted,
      String(s.seed),
    ];
    return element(
      'tr',
      {
        class: run === state.run ? 'chosen' : '',
        tabindex: 0,
        click: () => showRun(run),
        keydown: event => event.key === 'Enter' && showRun(run),
      },
      element('td', {class: front.has(run) ? 'front' : '', title: front.has(run) ? 'on the Pareto front' : null}, run.name),
      ...cells.map(cell => element('td', {}, cell)),
    );
  });
  fill('points-table', element('thead', {}, head), element('tbody', {}, ...rows));
}

view(['run', 'cost'], drawTradeoff);
view(['run', 'cost'], drawPoints);
view(['cost', 'run'], () =>
  options(
    'cost',
    Object.keys(state.run.summary.cost).map(name => [name, costLabel(state.run, name)]),
    state.cost,
    cost => change({cost}),
  ),
);
