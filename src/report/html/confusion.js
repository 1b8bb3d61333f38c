// SPDX-License-Identifier: Apache-2.0
// Which classes are taken for which: by the network found, or by the float network.

const mostClasses = 40; // of a matrix; with more, the most frequent confusions are listed

/// What a cell stands for, for its tooltip.
function aboutCell(confusion, shown, truth, chosen) {
  const {classes, confusion: rows} = confusion[shown],
    count = rows[truth][chosen],
    all = classes[truth][confusion.of],
    other = confusion[shown === 'found' ? 'float' : 'found'].confusion[truth][chosen];
  const said = truth === chosen ? 'are recognised' : `are taken for ${classes[chosen].name}`;
  return [
    `${whole(count)} of ${plural(all, confusion.of.slice(0, -1))} of ${classes[truth].name} ${said}${all ? ` (${percent(count / all)})` : ''}`,
    `${shown === 'found' ? 'float network' : 'network found'}: ${whole(other)}`,
  ].join('\n');
}

/// Right choices in one colour, wrong ones in another, darker where they are a larger share of their class.
function cellStyle(count, all, right) {
  if (!count) return null;
  const share = Math.sqrt(count / all);
  return `background: ${faded(color(right ? 'good' : 'bad'), 0.12 + 0.6 * share)}`;
}

function matrixRow(confusion, shown, truth) {
  const {classes, confusion: rows} = confusion[shown],
    all = classes[truth][confusion.of];
  const cells = rows[truth].map((count, chosen) =>
    element(
      'td',
      {
        style: cellStyle(count, all, truth === chosen),
        mousemove: event => showTip(event, aboutCell(confusion, shown, truth, chosen)),
        mouseleave: hideTip,
      },
      count ? whole(count) : '',
    ),
  );
  const share = network => {
    const {accuracy} = confusion[network].classes[truth];
    return element('td', {class: 'share'}, accuracy === null ? '' : percent(accuracy));
  };
  return element('tr', {}, element('th', {}, classes[truth].name), ...cells, share('found'), share('float'));
}

function matrix(confusion, shown) {
  const {classes} = confusion[shown],
    heads = [confusion.truth === 'labels' ? 'true \\ chosen' : 'float \\ chosen', ...classes.map(c => c.name), 'found', 'float'];
  return element(
    'table',
    {class: 'matrix'},
    element('thead', {}, element('tr', {}, ...heads.map(name => element('th', {title: name}, name)))),
    element('tbody', {}, ...classes.map((_, truth) => matrixRow(confusion, shown, truth))),
  );
}

/// The most frequent confusions, for many classes.
function frequent(confusion, shown) {
  const {classes, confusion: rows} = confusion[shown],
    pairs = rows.flatMap((row, truth) => row.flatMap((count, chosen) => (count && truth !== chosen ? [{truth, chosen, count}] : [])));
  pairs.sort((a, b) => b.count - a.count);
  const line = ({truth, chosen, count}) =>
    element(
      'tr',
      {mousemove: event => showTip(event, aboutCell(confusion, shown, truth, chosen)), mouseleave: hideTip},
      ...[classes[truth].name, classes[chosen].name, whole(count), percent(count / classes[truth][confusion.of])].map(text => element('td', {}, text)),
    );
  const heads = ['class', 'taken for', confusion.of, 'of the class'];
  return element(
    'table',
    {},
    element('thead', {}, element('tr', {}, ...heads.map(name => element('th', {}, name)))),
    element('tbody', {}, ...pairs.slice(0, 100).map(line)),
  );
}

function drawConfusion() {
  const {confusion} = state.run;
  byId('confusion').hidden = !confusion;
  if (!confusion) return;
  const shown = state.network,
    few = confusion[shown].classes.length <= mostClasses;
  choose(
    'confusion-network',
    [
      ['found', 'network found'],
      ['float', 'float network'],
    ],
    shown,
    network => change({network}),
  );
  fill('confusion-box', few ? matrix(confusion, shown) : frequent(confusion, shown));
  byId('confusion-note').textContent =
    (few
      ? 'A row is a true class, a column the class chosen; at the end of a row, the share of the class that is right.'
      : `The most frequent confusions among ${whole(confusion[shown].classes.length)} classes.`) +
    (confusion.truth === 'labels' ? '' : ' What the float network chooses counts as true.') +
    (confusion.of === 'pixels' ? ' Counted in pixels of the test images.' : ' Counted in test images.');
}

view(['run', 'network'], drawConfusion);
