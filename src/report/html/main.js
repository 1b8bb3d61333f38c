// SPDX-License-Identifier: Apache-2.0
// The start of the page. Keeps selections consistent: choosing a run selects its layers, choosing a layer its α.

/// The cost of a run's target or of its regularizer, if the page has it.
function costWanted(run) {
  const {targets, regularizer, cost} = run.summary;
  return [...Object.keys(targets ?? {}), regularizer].find(name => name in cost) ?? Object.keys(cost)[0];
}

/// Shows another run at the end of its search, with the same layer, α and cost if it has them.
function showRun(run) {
  const names = choices(run).map(alpha => alpha.name),
    layers = layersOf(run),
    costs = Object.keys(run.summary.cost);
  const largest = layers.reduce((a, b) => (b.weights > a.weights ? b : a), layers[0]);
  const layer = layers.some(l => l.name === state.layer) ? state.layer : largest?.name,
    own = alphaOf(run, layer, 'alpha_w')?.name;
  stop();
  change({
    run,
    layer,
    cost: costs.includes(state.cost) ? state.cost : costWanted(run),
    epoch: epochsOf(run),
    alpha: [state.alpha, own, names[0]].find(name => names.includes(name)) ?? null,
  });
}

function showLayer(layer) {
  const own = alphaOf(state.run, layer, 'alpha_w')?.name;
  change({layer, alpha: choices(state.run).some(alpha => alpha.name === own) ? own : state.alpha});
}

/// The run shown first; in a sweep, a search from the middle of the front.
function firstRun() {
  const searches = data.kind === 'sweep' ? frontOf(runsWith(state.cost), state.cost).filter(run => ['fisher', 'dnas'].includes(run.summary.method)) : [];
  return searches[Math.floor(searches.length / 2)] ?? data.runs[0];
}

function drawAll() {
  setChartDefaults();
  for (const {draw} of views) draw();
}

/// Paper is white: also what charts and cells draw themselves is printed in light colours.
function drawForPrint(printing) {
  document.documentElement.classList.toggle('printing', printing);
  drawAll();
}

/// Leaves the sections of this kind of page.
function keepSections() {
  for (const section of document.querySelectorAll('[data-of]')) {
    if (!section.dataset.of.split(' ').includes(data.kind)) section.remove();
  }
}

keepSections();
setChartDefaults();
if (data.kind === 'front') {
  change({run: frontAsRun(), cost: data.costs[0].name});
} else if (data.kind === 'running') {
  showRunning();
} else {
  state.cost = costWanted(data.runs[0]);
  showRun(firstRun());
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
addEventListener('beforeprint', () => drawForPrint(true));
addEventListener('afterprint', () => drawForPrint(false));
