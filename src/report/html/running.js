// SPDX-License-Identifier: Apache-2.0
// The page of a run that has not ended: its epochs so far. It is written anew after every epoch, and loads itself again.

const secondsToReload = 20;

/// As much of a run as its log tells.
function runningAsRun() {
  const share = data.metrics.at(-1).train_accuracy !== null;
  const metric = {name: share ? 'accuracy' : 'metric', larger_is_better: true, is_share: share};
  return {name: data.name, summary: {metric, regularizer: 'cost'}, metrics: data.metrics, history: data.history};
}

function drawRunningHead() {
  const {phase, epoch} = state.run.metrics.at(-1);
  showTitles(
    `${data.name}, not finished`,
    `as of ${phaseName(phase)}, epoch ${epoch + 1}; searches and fronts renew this page after every epoch`,
  );
}

function showRunning() {
  const run = runningAsRun();
  change({run, epoch: epochsOf(run), alpha: choices(run)[0]?.name ?? null});
  setTimeout(() => location.reload(), 1000 * secondsToReload);
}

view(['run'], drawRunningHead, ['running']);
