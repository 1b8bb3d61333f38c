// SPDX-License-Identifier: Apache-2.0
// A front: its points and the runs beside it, in a chart and in a table.

/// The values of one key of all costs, by name, as in a run's summary.
const byCost = key => Object.fromEntries(data.costs.filter(cost => cost[key] !== null).map(cost => [cost.name, cost[key]]));

/// The front as functions about runs see it: its metric, its costs and its training.
function frontAsRun() {
  const summary = {metric: data.metric, cost_unit: byCost('unit'), cost_uniform8: byCost('uniform8'), regularizer: data.costs[0].name};
  return {name: data.name, summary, metrics: data.metrics};
}

const pointsOf = cost => data.points.filter(point => point.cost === cost);
const costOf = (point, name) => point.costs[data.costs.findIndex(cost => cost.name === name)];

/// "7.6 KiB (10.0% of 8-bit)"
function costAndShare(name, value, of = ' of 8-bit') {
  const uniform = state.run.summary.cost_uniform8[name];
  return `${shownCost(state.run, name, value)}${uniform ? ` (${shareOf(value / uniform)}${of})` : ''}`;
}
const budgetName = point => `${point.cost} ≤ ${shownCost(state.run, point.cost, point.limit)}`;

/// What made a run that is shown beside the front.
function kindOf({summary, picked}) {
  const config = summary.config ?? {};
  if (!picked && !config['from-front']) return `${summary.method}, ${summary.scheme}`;
  return [
    picked ? 'picked' : 'picked from another front',
    String(summary.method).endsWith('sensitivity') ? ' by sensitivity' : '',
    config['finetune-epochs'] > 0 ? ', fine-tuned' : '',
  ].join('');
}

// --- the chart -------------------------------------------------------------------------------------------------

const frontTones = ['accent', 'second', 'bits-2', 'bits-6', 'third'];
const besideMarks = [
  ['rectRot', 'bits-8'],
  ['triangle', 'good'],
  ['rect', 'third'],
  ['star', 'text'],
  ['crossRot', 'float'],
];

/// The points of the budgets on each cost; a line through those along the x axis.
function frontDatasets() {
  return data.costs.flatMap(({name}, i) => {
    if (![name, 'all'].includes(state.budgets)) return [];
    const own = color(frontTones[i % frontTones.length]);
    return {
      label: `front, budgets on ${name} (validation images)`,
      data: pointsOf(name).map(point => ({x: costOf(point, state.cost), y: point.validation, point})),
      showLine: name === state.cost,
      borderColor: own,
      backgroundColor: faded(own, 0.75),
      borderWidth: 2,
      pointRadius: 4.5,
      pointHoverRadius: 7,
    };
  });
}

function besideDatasets() {
  const kinds = [...new Set(data.beside.map(kindOf))];
  return kinds.map((kind, i) => {
    const [pointStyle, tone] = besideMarks[i % besideMarks.length],
      members = data.beside.filter(run => kindOf(run) === kind && run.summary.cost[state.cost] !== undefined);
    return {
      label: `${kind} (test images)`,
      pointStyle,
      data: members.map(run => ({x: run.summary.cost[state.cost], y: score(run, 'final'), run})),
      borderColor: color(tone),
      backgroundColor: faded(color(tone), 0.75),
      borderWidth: 2,
      pointRadius: 7,
      pointHoverRadius: 9,
    };
  });
}

/// Drawn or not: a metric may be missing where it was not finite.
const isDrawn = ({x, y}) => Number.isFinite(x) && Number.isFinite(y);

function aboutFrontPoint({raw: {point, run, x, y}}) {
  const reached = `${scoreName(state.run)} ${shownScore(state.run, y)}`;
  if (run) return [`${kindOf(run)}: ${reached} on the test images`, `${state.cost} ${costAndShare(state.cost, x)}`];
  return [`${reached} on the validation images`, ...data.costs.map(({name}, i) => `${name} ${costAndShare(name, point.costs[i])}`)];
}

/// From 1, 2 or 5 times a power of 10, which is enough on a logarithmic axis.
const roundTick = value => (/^[125]\.00/.test(value.toExponential(2)) ? short(value) : '');

const rangeOf = values => (values.length ? [Math.min(...values), Math.max(...values)] : [0, 1]);

/// An axis of costs: logarithmic if they differ by several times, as the budgets of a front do.
function costAxis(values) {
  const [least, most] = rangeOf(values),
    label = costLabel(state.run, state.cost);
  if (!(least > 0 && most > 4 * least)) return axis(label, {min: 0, max: 1.05 * most});
  return axis(`${label}, logarithmic`, {
    type: 'logarithmic',
    min: least / 1.1,
    max: most * 1.1,
    ticks: {callback: roundTick, autoSkip: false, maxTicksLimit: undefined},
  });
}

/// The 8-bit cost, and the float network of runs picked from this front.
function frontReferences() {
  const uniform = state.run.summary.cost_uniform8[state.cost],
    picked = data.beside.find(run => run.picked && Number.isFinite(score(run, 'float')));
  return [
    ...(uniform ? [{axis: 'x', value: uniform, text: 'uniform 8-bit', color: color('bits-8')}] : []),
    ...(picked ? [{axis: 'y', value: score(picked, 'float'), text: 'float, test images', color: color('muted')}] : []),
  ];
}

function frontNotes() {
  const without = data.beside.filter(run => run.summary.cost[state.cost] === undefined).length;
  const others = data.beside.filter(({summary}) => data.settings && ['model', 'data'].some(key => summary[key] !== data.settings[key]));
  return [
    'The front is measured on the validation images, on networks that were not trained after they were picked.',
    data.beside.length ? 'Runs are measured on the test images, so compare them with each other first.' : '',
    without ? `${plural(without, 'run')} without this cost not shown.` : '',
    others.length ? `Another model or other data: ${others.map(run => run.name).join(', ')}.` : '',
  ];
}

function drawFront() {
  const all = [...frontDatasets(), ...besideDatasets()].map(set => ({...set, data: set.data.filter(isDrawn)})),
    lines = frontReferences();
  const along = name => [...lines.filter(line => line.axis === name).map(line => line.value), ...all.flatMap(set => set.data.map(p => p[name]))],
    [low, high] = rangeOf(along('y'));
  const room = Math.max(0.08 * (high - low), isShare(state.run) ? 0.002 : 1e-6);
  byId('tradeoff').classList.add('wide');
  byId('tradeoff-chart').parentElement.style.minHeight = `${290 + 20 * all.length}px`; // the legend of a narrow page
  byId('tradeoff-title').textContent = `${scoreName(state.run)[0].toUpperCase()}${scoreName(state.run).slice(1)} against`;
  byId('tradeoff-chart').setAttribute('aria-label', `${scoreName(state.run)} against ${state.cost}; the table of points has the same numbers`);
  chart('tradeoff-chart', {
    type: 'scatter',
    data: {datasets: all},
    plugins: [marks(lines)],
    options: {
      interaction: {mode: 'nearest', intersect: true},
      layout: {padding: {top: 6, right: 6}},
      scales: {
        x: costAxis(along('x')),
        y: axis(scoreName(state.run), {
          min: low - room,
          max: high + room,
          ticks: {callback: value => (isShare(state.run) ? percent(value) : short(value))},
        }),
      },
      plugins: {
        legend: {position: 'bottom'},
        tooltip: {callbacks: {title: ([{raw}]) => (raw.run ? raw.run.name : `budget ${budgetName(raw.point)}`), label: aboutFrontPoint}},
      },
    },
  });
  byId('tradeoff-note').textContent = frontNotes().filter(Boolean).join(' ');
}

function drawFrontChoices() {
  const names = data.costs.map(cost => cost.name);
  options(
    'cost',
    names.map(name => [name, costLabel(state.run, name)]),
    state.cost,
    cost => change({cost}),
  );
  options('budgets', [['all', 'any cost'], ...names.map(name => [name, name])], state.budgets, budgets => change({budgets}));
  byId('budgets-choice').hidden = names.length === 1;
}

// --- the table and the top of the page -----------------------------------------------------------------------------

function frontRow(name, kind, validated, tested, costs) {
  const shown = value => (Number.isFinite(value) ? shownScore(state.run, value) : '–');
  const shownCosts = costs.map((value, i) => (Number.isFinite(value) ? costAndShare(data.costs[i].name, value, '') : '–'));
  const cells = [kind, shown(validated), shown(tested), ...shownCosts];
  return element('tr', {}, element('th', {scope: 'row', title: name}, name), ...cells.map(cell => element('td', {}, cell)));
}

function drawFrontPoints() {
  const costsOf = run => data.costs.map(({name}) => run.summary.cost[name]);
  const metric = scoreName(state.run),
    heads = ['network', 'kind', `${metric}, validation images`, `${metric}, test images`, ...data.costs.map(({name, uniform8}) => (uniform8 ? `${name} (of 8-bit)` : name))];
  const rows = [
    ...data.points.map(point => frontRow(budgetName(point), 'front', point.validation, null, point.costs)),
    ...data.beside.map(run => frontRow(run.name, kindOf(run), null, score(run, 'final'), costsOf(run))),
  ];
  byId('points').hidden = false;
  byId('points-note').textContent = 'A budget limits one cost; the other costs are those of the network found for it.';
  byId('points-table').classList.add('plain');
  const head = element('tr', {}, ...heads.map(name => element('th', {scope: 'col'}, name)));
  fill('points-table', element('thead', {}, head), element('tbody', {}, ...rows));
}

/// From the least to the most of a cost; pressed to show it along the x axis.
function rangeTile({name}) {
  const values = pointsOf(name).map(point => costOf(point, name));
  const [least, most] = [Math.min(...values), Math.max(...values)].map(value => shownCost(state.run, name, value));
  const about = {'click': () => change({cost: name}), 'aria-pressed': String(name === state.cost), 'title': costLabel(state.run, name)};
  return tile(name, values.length ? least : '–', [values.length ? `to ${most}` : 'no budgets'], null, about);
}

function drawFrontHead() {
  const {settings} = data,
    scores = data.points.map(point => point.validation).filter(Number.isFinite);
  const best = scores.length ? scores.reduce((a, b) => (better(state.run, b, a) ? b : a)) : null,
    shown = best === null ? '–' : shownScore(state.run, best);
  const about = settings ? [settings.scheme, `weights ${settings['weight-bits']} bits`, `activations ${settings['act-bits']} bits`] : [];
  showTitles(
    settings ? `Front: ${settings.model} on ${settings.data}` : `Front: ${data.name}`,
    [data.name, plural(data.points.length, 'point'), ...about].join(' · '),
  );
  fill(
    'tiles',
    tile(`best ${scoreName(state.run)}`, shown, ['validation images'], isShare(state.run) ? best : null),
    ...data.costs.map(rangeTile),
  );
}

function drawFrontSettings() {
  byId('settings').hidden = !data.settings;
  byId('settings-title').textContent = 'Settings';
  byId('command').parentElement.hidden = true;
  fill('config', ...Object.entries(data.settings ?? {}).map(settingEntry));
}

view(['run', 'cost'], drawFrontHead, ['front']);
view(['run', 'cost', 'budgets'], drawFrontChoices, ['front']);
view(['run', 'cost', 'budgets'], drawFront, ['front']);
view(['run'], drawFrontPoints, ['front']);
view(['run'], drawFrontSettings, ['front']);
