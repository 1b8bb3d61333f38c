// SPDX-License-Identifier: Apache-2.0
// What one asks first about a run, answered in sentences.

const points = share => `${(100 * Math.abs(share)).toFixed(1)} points`;

function gains(run) {
  const {device_bytes: device, cost} = run.summary,
    uniform = run.summary.cost_uniform8 ?? {},
    found = score(run, 'final'),
    gap = found - score(run, 'float');
  const than = gap === 0 ? 'as much as' : `${points(gap)} ${gap < 0 ? 'less' : 'more'} than`,
    compared = isShare(run) ? than : `instead of ${shownScore(run, score(run, 'float'))} of`,
    answers = [`${shownScore(run, found)} ${scoreName(run)} on the test images, ${compared} the float network.`];
  const share = (bytes, name) => (uniform[name] ? ` (${shareOf(bytes / uniform[name])} of uniform 8 bits)` : '');
  if (device === null) answers.push('It has no integer form, so it cannot run on a device.');
  if (!device) return answers; // older summaries do not tell
  const packed = cost['packed-ram'] < device.arena ? `, or ${bytes(cost['packed-ram'])} if exported with --pack-activations` : '';
  answers.push(
    `On a device, ${bytes(device.constants)} of flash for constants${share(device.constants, 'flash')} and ${bytes(device.arena)} of RAM for activations${share(device.arena, 'peak-ram')}${packed}.`,
  );
  return answers;
}

/// Half the width of the interval in which a share of so many images lies with 95% (Agresti and Coull 1998).
function uncertainty(share, images) {
  const adjusted = (share * images + 2) / (images + 4);
  return 1.96 * Math.sqrt((adjusted * (1 - adjusted)) / (images + 4));
}

function certainty(run) {
  const images = run.summary.test_images,
    seeds = seedGroups(data.runs).find(({members}) => members.includes(run))?.members,
    answers = [];
  if (isShare(run) && images && run.confusion?.of !== 'pixels')
    answers.push(`On ${plural(images, 'test image')}, ${scoreName(run)} is known within ±${points(uncertainty(score(run, 'final'), images))} (95%).`);
  if (seeds) {
    const {mean, deviation} = spreadOf(seeds.map(other => score(other, 'final')));
    answers.push(`Over ${seeds.length} seeds${run.summary.config?.init ? ' from one float network' : ''}, the mean is ${shownScore(run, mean)} with a standard deviation of ${isShare(run) ? points(deviation) : digits(deviation, 2)}.`);
  } else {
    answers.push('How much depends on the seed, one run cannot tell: a sweep with several --seeds does.');
  }
  return answers;
}

function whereBitsWent(run) {
  const layers = layersOf(run).filter(layer => layer.weightBits > 0),
    total = layers.reduce((sum, layer) => sum + layer.weightBits, 0),
    mean = layer => layer.weightBits / layer.grids.reduce((sum, g) => sum + g.weights, 0);
  if (!layers.length) return ['No layer has weights.'];
  const largest = layers.reduce((a, b) => (b.weightBits > a.weightBits ? b : a)),
    finest = layers.reduce((a, b) => (mean(b) > mean(a) ? b : a)),
    coarsest = layers.reduce((a, b) => (mean(b) < mean(a) ? b : a)),
    pruned = layers.reduce((sum, layer) => sum + (layer.pruned_channels ?? 0), 0);
  const answers = [`${shareOf(largest.weightBits / total)} of the bytes of weights are those of ${largest.name}, with ${digits(mean(largest), 2)} bits each.`];
  if (mean(finest) > mean(coarsest))
    answers.push(`Weights of ${finest.name} have the most bits, ${digits(mean(finest), 2)} on average, those of ${coarsest.name} the fewest, ${digits(mean(coarsest), 2)}.`);
  for (const name of layerCosts(layers[0])) {
    const slowest = layers.reduce((a, b) => ((b.costs[name] ?? 0) > (a.costs[name] ?? 0) ? b : a)),
      all = layers.reduce((sum, layer) => sum + (layer.costs[name] ?? 0), 0);
    if (all > 0) answers.push(`By ${name}, ${slowest.name} costs the most ${unit(run, name) || 'of all'}, ${shareOf(slowest.costs[name] / all)} of those of all layers.`);
  }
  if (pruned) answers.push(`${plural(pruned, 'channel')} ${pruned === 1 ? 'is' : 'are'} pruned.`);
  return answers;
}

/// Classes of labelled images that the network found recognises less often than the float network, by more than chance
/// explains.
function classesThatSuffer({confusion}) {
  const of = network => confusion[network].classes;
  const losses = of('found').flatMap((c, i) => {
    const before = of('float')[i].accuracy,
      images = c[confusion.of];
    if (c.accuracy === null || before === null || !images) return [];
    const chance = Math.hypot(uncertainty(before, images), uncertainty(c.accuracy, images));
    return before - c.accuracy > chance ? [{name: c.name, now: c.accuracy, lost: before - c.accuracy}] : [];
  });
  losses.sort((a, b) => b.lost - a.lost);
  if (!losses.length) return ['No class loses more than chance explains.'];
  return [`${losses.slice(0, 3).map(({name, now, lost}) => `${name} loses ${points(lost)} (now ${percent(now)})`).join(', ')}.`];
}

/// By how much the validation metric was better in the last quarter of a phase's epochs than in the quarter before.
function lateGain(run, phase) {
  const values = run.metrics.filter(line => line.phase === phase && line.val_metric !== null).map(line => line.val_metric),
    quarter = Math.floor(values.length / 4);
  return quarter > 1 ? meanOf(values.slice(-quarter)) - meanOf(values.slice(-2 * quarter, -quarter)) : 0;
}

/// What the run's own data suggest to try.
function suggestions(run) {
  const {summary} = run,
    {repair, config = {}, cost, device_bytes: device} = summary,
    uniform = summary.cost_uniform8 ?? {},
    targets = Object.entries(summary.targets ?? {}),
    out = [];
  if (summary.interrupted) out.push('The run was stopped early: --resume continues it.');
  const gain = isShare(run) ? lateGain(run, 'finetune') : 0;
  if (gain > 0.01)
    out.push(`Validation ${scoreName(run)} was ${points(gain)} better in the last quarter of fine-tuning than in the quarter before: more --finetune-epochs may help.`);
  if (summary.kept_start) out.push('No epoch of fine-tuning was better than its start: try a smaller --search-lr.');
  for (const [name, {limit, found}] of targets.length === 1 ? targets : []) {
    const largest = repair?.costs?.find(c => c.name === name)?.largest;
    if (['size', 'flash'].includes(name) && found < 0.97 * Math.min(limit, largest ?? limit))
      out.push(`Only ${shareOf(found / limit)} of the target on ${name} is used: candidates between those of --weight-bits would fill it.`);
  }
  if (['fisher', 'dnas'].includes(summary.method) && repair?.start === 'the arg max' && repair.moved > 0.05 * repair.choices)
    out.push(`${repair.moved} of ${repair.choices} choices were made after the search, to meet the targets: try more --search-epochs.`);
  if (device && cost['packed-ram'] > 0.97 * uniform['packed-ram'] && String(config['act-bits']) === '8')
    out.push('Activations keep 8 bits, so RAM is that of the uniform network: --act-bits 2,4,8 with a target on packed-ram, and export --pack-activations, would lower it.');
  return out.length ? out : ['Nothing stands out.'];
}

function drawAnswers() {
  const {run} = state;
  const entry = ([question, answers]) => element('div', {}, element('dt', {}, question), element('dd', {}, ...answers.map(a => element('p', {}, a))));
  const entries = [
    ['What is it worth?', gains(run)],
    ['How sure is that?', certainty(run)],
    ['Where did the bits go?', whereBitsWent(run)],
    ...(run.confusion?.truth === 'labels' && run.confusion.of === 'images' ? [['Which classes suffer?', classesThatSuffer(run)]] : []),
    ['What to try next?', suggestions(run)],
  ];
  fill('answers-list', ...entries.map(entry));
}

view(['run'], drawAnswers);
