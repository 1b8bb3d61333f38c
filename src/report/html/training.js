// SPDX-License-Identifier: Apache-2.0
// The epochs of all phases: the loss, split into task and cost; the metric; the cost of the network.

const phaseNames = {warmup: 'warm-up', finetune: 'fine-tuning'};
const phaseName = phase => phaseNames[phase] ?? phase;

/// Tints and names the phases in the background of a chart over all epochs.
const phases = {
  id: 'phases',
  beforeDatasetsDraw({ctx, chartArea: area, scales}) {
    const lines = state.run.metrics,
      edge = e =>
        e <= 0 ? area.left : e >= lines.length ? area.right : (scales.x.getPixelForValue(e - 1) + scales.x.getPixelForValue(e)) / 2;
    ctx.save();
    ctx.font = `11px ${Chart.defaults.font.family}`;
    ctx.textAlign = 'center';
    for (let begin = 0, end; begin < lines.length; begin = end) {
      for (end = begin; end < lines.length && lines[end].phase === lines[begin].phase;) ++end;
      const left = edge(begin),
        right = edge(end),
        name = phaseName(lines[begin].phase);
      if (lines[begin].phase.startsWith('search')) {
        ctx.fillStyle = faded(color('accent'), 0.08);
        ctx.fillRect(left, area.top, right - left, area.bottom - area.top);
      }
      ctx.fillStyle = color('muted');
      if (ctx.measureText(name).width < right - left) ctx.fillText(name, (left + right) / 2, area.top - 6);
    }
    ctx.restore();
  },
};

function overPhases(id, datasets, y, shown) {
  const lines = state.run.metrics;
  chart(id, {
    type: 'line',
    plugins: [phases, lonePoints(shown)],
    data: {
      labels: lines.map((_, e) => e + 1),
      datasets: datasets.map(set => ({pointRadius: lines.length > 30 ? 0 : 2, borderWidth: 2, backgroundColor: set.borderColor, ...set})),
    },
    options: {
      interaction: {mode: 'index', intersect: false},
      layout: {padding: {top: 18}},
      scales: {
        x: {
          offset: lines.length === 1,
          grid: {display: false},
          title: {display: true, text: 'epoch'},
          ticks: {maxRotation: 0, autoSkipPadding: 12},
        },
        y,
      },
      plugins: {
        legend: {position: 'bottom'},
        tooltip: {
          filter: item => item.raw !== null,
          callbacks: {
            title: ([item]) => (item ? `${phaseName(lines[item.dataIndex].phase)} ${lines[item.dataIndex].epoch + 1}` : ''),
            label: item => `${item.dataset.label}: ${shown(item.raw)}`,
          },
        },
      },
    },
  });
}

function drawTraining() {
  const {run} = state,
    lines = run.metrics,
    [first, second] = [color('accent'), color('second')],
    asPercent = isShare(run);
  byId('training').hidden = lines.length === 0;
  if (!lines.length) return;
  const loss = [
    {label: 'task', data: lines.map(line => line.task_loss), borderColor: first, backgroundColor: faded(first, 0.22), fill: 'origin'},
  ];
  if (lines.some(line => line.reg_loss !== null)) {
    loss.push({
      label: 'cost',
      data: lines.map(line => line.reg_loss),
      borderColor: second,
      backgroundColor: faded(second, 0.3),
      fill: '-1',
    });
  }
  overPhases('loss-chart', loss, axis('', {stacked: true, min: 0}), value => digits(value, 4));

  // lines of older runs have no metric
  const validation = line => line.val_metric ?? (asPercent ? line.val_accuracy : line.val_loss),
    training = line => line.train_metric ?? (asPercent ? line.train_accuracy : line.task_loss),
    network = 'at the arg max', // of a front's segment, its smaller end
    sets = [{label: `validation, ${network}`, data: lines.map(validation), borderColor: first}];
  sets.push({
    label: 'training',
    data: lines.map(training),
    borderColor: color('third'),
    borderDash: [4, 3],
    pointRadius: 0,
  });
  byId('score-caption').textContent = scoreName(run);
  overPhases('score-chart', sets, axis('', {ticks: {callback: value => (asPercent ? percent(value, 0) : short(value))}}), value =>
    shownScore(run, value),
  );

  const watched = Object.keys(run.summary.targets ?? {})[0] ?? run.summary.regularizer,
    figure = byId('cost-chart').closest('figure');
  figure.hidden = lines.every(line => line.cost_discrete === null);
  byId('cost-caption').textContent = costLabel(run, watched);
  if (!figure.hidden) {
    overPhases(
      'cost-chart',
      [
        {label: network, data: lines.map(line => line.cost_discrete), borderColor: second},
        {
          label: 'soft',
          data: lines.map(line => (line.phase === 'search' ? line.cost_soft : null)),
          borderColor: color('third'),
          borderDash: [4, 3],
          pointRadius: 0,
        },
      ].filter(set => set.data.some(value => value !== null)),
      axis('', {min: 0}),
      short,
    );
  }
}

view(['run'], drawTraining, ['run', 'sweep', 'front', 'running']);
