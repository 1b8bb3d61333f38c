// SPDX-License-Identifier: Apache-2.0
// The top of the page, and its end: the settings and the command that repeats the run.

function tile(label, value, details, share, attributes = {}) {
  return element(
    attributes.click ? 'button' : 'div',
    {class: 'tile', ...attributes},
    element('div', {class: 'label'}, label),
    element('div', {class: 'value'}, value),
    element('div', {class: 'detail'}, ...details),
    share === null ? null : element('div', {class: 'bar'}, element('i', {style: `width: ${Math.min(100, 100 * share)}%`})),
  );
}

function scoreTile(run) {
  const found = score(run, 'final'),
    floating = score(run, 'float'),
    gap = found - floating;
  const shown = isShare(run) ? `${gap >= 0 ? '+' : '−'}${Math.abs(100 * gap).toFixed(2)}` : shownScore(run, floating);
  return tile(
    scoreName(run),
    shownScore(run, found),
    ['float ', element('span', {class: better(run, floating, found) ? 'bad' : 'good'}, shown)],
    isShare(run) ? found : null,
  );
}

function costTile(run, [name, value]) {
  const uniform = (run.summary.cost_uniform8 ?? {})[name];
  return tile(
    name,
    shownCost(run, name, value),
    [uniform ? `${shareOf(value / uniform)} of 8-bit` : 'no 8-bit cost'],
    uniform ? value / uniform : null,
    {'click': () => change({cost: name}), 'aria-pressed': String(name === state.cost), 'title': costLabel(run, name)},
  );
}

const methodNames = {
  'fisher': 'search by Fisher information',
  'dnas': 'differentiable search',
  'front': 'picked from a front',
  'front-sensitivity': 'picked from a front by sensitivity',
};

/// At the top of every kind of page.
function showTitles(title, subtitle) {
  document.title = `${data.name} · mixgrad`;
  byId('brand').textContent = `mixgrad ${data.version}`;
  byId('title').textContent = title;
  byId('subtitle').textContent = subtitle;
}

function drawHead() {
  const {run} = state,
    s = run.summary,
    sweep = data.kind === 'sweep';
  const about = [
    methodNames[s.method] ?? `${s.method} baseline`,
    s.scheme,
    Object.keys(s.targets ?? {}).length ? 'with targets' : `regularizer ${s.regularizer}`,
    `seed ${s.seed}`,
  ];
  showTitles(
    sweep ? `${data.name}: ${plural(data.runs.length, 'point')}` : `${s.model} on ${s.data}`,
    sweep ? `shown below: ${run.name} · ${s.model} on ${s.data} · ${about.join(' · ')}` : [data.name, ...about].join(' · '),
  );
  fill('tiles', scoreTile(run), ...Object.entries(s.cost).map(cost => costTile(run, cost)));
}

/// A line of the settings; values may be missing.
const settingEntry = ([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, told(value)));
const told = value => (value === null || value === '' ? '–' : Array.isArray(value) ? value.join(', ') : String(value));

function drawSettings() {
  const {summary} = state.run,
    seconds = Object.entries(summary.seconds ?? {}).map(([phase, s]) => [`seconds, ${phaseName(phase)}`, s.toFixed(1)]);
  const device = Object.entries(summary.device_bytes ?? {}).map(([part, n]) => [`device, ${part}`, bytes(n)]);
  fill('command', ...(summary.command ?? '').split(/ (?=--)/).flatMap(part => [element('span', {}, part), ' ']));
  byId('command').parentElement.hidden = summary.command === undefined;
  fill('config', ...[...Object.entries(summary.config ?? {}), ['threads used', summary.threads], ...seconds, ...device].map(settingEntry));
}

byId('copy').addEventListener('click', async () => {
  const range = document.createRange();
  range.selectNodeContents(byId('command'));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  const copied = document.execCommand('copy'); // works for pages opened from disk, where navigator.clipboard may not
  byId('copy').textContent = copied ? 'Copied' : 'Selected';
  setTimeout(() => (byId('copy').textContent = 'Copy'), 1500);
});

view(['run', 'cost'], drawHead);
view(['run'], drawSettings);
