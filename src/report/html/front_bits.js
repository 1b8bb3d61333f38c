// SPDX-License-Identifier: Apache-2.0
// Where along a front the bits of each layer change: a row per layer, a column per budget, a colour per mean bit-width.

/// The budgets of the columns: those chosen for the chart, or those on its cost.
const budgetsDrawn = () => pointsOf(state.budgets === 'all' ? state.cost : state.budgets);

/// The colour of a mean bit-width, between those of the two nearest.
function meanBitsColor(bits) {
  if (bits > 8) return mixture([32], [1]);
  const lower = Math.floor(bits);
  return mixture([lower, Math.min(lower + 1, 8)], [1 - (bits - lower), bits - lower]);
}

/// Black or white: the one that is easier to read on `tone`, rgb(r g b).
function inkOn(tone) {
  const [r, g, b] = tone.match(/\d+/g).map(value => {
    const v = value / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}

function aboutMeanBits(layer, point, bits) {
  return [
    data.layers[layer],
    `budget ${budgetName(point)}, found ${costAndShare(point.cost, costOf(point, point.cost))}`,
    bits > 8 ? 'float' : `${digits(bits, 3)} bits on average${bits === 0 ? ': all channels removed' : ''}`,
  ].join('\n');
}

function bitsCell(layer, point) {
  const bits = point.bits[layer],
    tone = meanBitsColor(bits),
    about = aboutMeanBits(layer, point, bits);
  const cell = element(
    'td',
    {
      'tabindex': -1,
      'style': `background: ${tone}; color: ${inkOn(tone)}`,
      'mousemove': event => showTip(event, about),
      'mouseleave': hideTip,
      'blur': hideTip,
      'focus': () => {
        const {left, bottom} = cell.getBoundingClientRect();
        showTip({clientX: left, clientY: bottom - 12}, about);
      },
    },
    element('span', {}, bits > 8 ? 'float' : digits(bits, 2)),
  );
  return cell;
}

/// Moves the focus between cells: the grid is one stop of the tab key.
function moveInGrid(event) {
  const cell = event.target.closest('td'),
    row = cell?.parentElement,
    rows = [...(row?.parentElement.children ?? [])],
    [x, y] = [row ? [...row.children].indexOf(cell) : 0, rows.indexOf(row)];
  const steps = {
    ArrowLeft: [x - 1, y],
    ArrowRight: [x + 1, y],
    ArrowUp: [x, y - 1],
    ArrowDown: [x, y + 1],
    Home: [1, y],
    End: [row?.children.length - 1, y],
  };
  if (event.key === 'Escape') hideTip();
  if (!cell || !steps[event.key]) return;
  event.preventDefault();
  const [toX, toY] = steps[event.key],
    next = rows[toY]?.children[toX];
  if (next?.tagName !== 'TD') return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function drawBits() {
  const points = budgetsDrawn(),
    cost = points[0]?.cost ?? state.cost;
  const head = point => element('th', {scope: 'col'}, element('span', {}, shownCost(state.run, cost, point.limit)));
  const row = (name, layer) =>
    element('tr', {}, element('th', {scope: 'row', title: name}, element('bdi', {}, name)), ...points.map(point => bitsCell(layer, point)));
  byId('bits-title').textContent = `Bits of each layer along the budgets on ${cost}`;
  byId('bits-grid').setAttribute('aria-label', `mean bits of each layer by budget on ${cost}`);
  fill(
    'bits-grid',
    element('thead', {}, element('tr', {}, element('th', {scope: 'col'}, 'layer'), ...points.map(head))),
    element('tbody', {keydown: moveInGrid}, ...data.layers.map(row)),
  );
  const first = byId('bits-grid').querySelector('td');
  if (first) first.tabIndex = 0;
  const floats = points.some(point => point.bits.some(bits => bits > 8)) ? [32] : [];
  fill('bits-legend', ...[0, 1, 2, 3, 4, 5, 6, 7, 8, ...floats].map(bits => element('span', {}, swatch(bits), bitsName(bits))));
}

view(['run', 'cost', 'budgets'], drawBits, ['front']);
