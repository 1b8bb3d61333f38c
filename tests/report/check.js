// SPDX-License-Identifier: Apache-2.0
// node check.js BROWSER REPORT.html [PICTURES]: opens a report from disk in a headless browser, at desktop and phone
// sizes, light and dark, and exercises it; axe checks that it is accessible. Prints one line per problem and exits with
// 1 if there are any. PICTURES: a folder for screenshots.
const path = require('path');
const axe = require.resolve('axe-core/axe.min.js');
const puppeteer = require('puppeteer-core');

const sizes = [
  {width: 1280, height: 800},
  {width: 400, height: 800},
];
const complaints = [];

/// Blank canvases: all pixels are the same.
const blankCanvases = () =>
  [...document.querySelectorAll('canvas')]
    .filter(canvas => canvas.offsetParent)
    .filter(canvas => {
      const copy = Object.assign(document.createElement('canvas'), {width: canvas.width, height: canvas.height}).getContext('2d', {
        willReadFrequently: true,
      });
      copy.drawImage(canvas, 0, 0);
      const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
      return pixels.every(pixel => pixel === pixels[0]);
    })
    .map(canvas => canvas.id || canvas.parentElement.textContent);

/// Scrolls to a chart and returns the position of something in it that the pointer can hover over.
const target = id => {
  const canvas = document.getElementById(id),
    shown = Chart.getChart(canvas);
  if (!shown) return null;
  canvas.scrollIntoView({block: 'center'});
  const {left, top, width} = canvas.getBoundingClientRect(),
    {data} = shown;
  for (const [d, set] of data.datasets.entries()) {
    for (const [i, element] of shown.getDatasetMeta(d).data.entries()) {
      const value = set.data[i]?.y ?? set.data[i];
      if (!value || (element.x ?? NaN) > width || set.label === 'Pareto front') continue;
      const {x, y} = element.getCenterPoint();
      return {x: left + x, y: top + y};
    }
  }
  return null;
};

/// Charts over a single epoch that do not print one of their values.
const untold = () =>
  [...document.querySelectorAll('#search canvas[id], #training canvas[id]')]
    .filter(canvas => canvas.offsetParent)
    .map(canvas => Chart.getChart(canvas))
    .filter(({data, loneValues}) => {
      const lone = data.datasets.filter(set => !set.unnamed && set.data.filter(v => v !== null && v !== undefined).length === 1);
      return lone.length > (loneValues ?? []).length;
    })
    .map(chart => chart.canvas.id);

/// The cost that the page shows first, and the one that the run minimized or the first of the front.
const costsShown = () => {
  if (data.kind === 'front') return [document.getElementById('cost').value, data.costs[0].name];
  const {targets, regularizer, cost} = state.run.summary,
    wanted = [...Object.keys(targets ?? {}), regularizer].find(name => name in cost);
  return [document.getElementById('cost').value, wanted];
};

const pictureOf = selector =>
  [...document.querySelectorAll(selector)]
    .filter(c => c.offsetParent)
    .map(canvas => canvas.toDataURL())
    .join();

async function checkTooltips(page, say) {
  for (const id of await page.$$eval('main canvas[id]', all => all.filter(c => c.offsetParent).map(c => c.id))) {
    const at = await page.evaluate(target, id);
    if (!at) {
      say(`${id} has nothing to hover over`);
      continue;
    }
    await page.mouse.move(1, 1);
    await page.mouse.move(at.x, at.y);
    const shown = () => page.evaluate(name => Chart.getChart(name).tooltip.opacity > 0, id);
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))));
    if (!(await shown())) say(`${id} has no tooltip`);
  }
  const strip = await page.$('.strip canvas');
  if (!strip) return; // the page of a front
  await strip.hover();
  if (!(await page.$eval('#tip', tip => !tip.hidden && tip.textContent.includes('channel')))) say('a strip has no tooltip');
  await page.mouse.move(1, 1);
  const cell = await page.$('#confusion:not([hidden]) td');
  if (!cell) return;
  await cell.hover();
  if (!(await page.$eval('#tip', tip => !tip.hidden && tip.textContent.includes('network')))) say('the matrix has no tooltip');
  await page.mouse.move(1, 1);
}

async function checkSlider(page, say) {
  if (await page.$eval('#replay', replay => replay.hidden)) return say('there is no slider');
  const before = await page.evaluate(pictureOf, '.strip canvas');
  await page.focus('#epoch');
  await page.keyboard.press('Home');
  if ((await page.$eval('#epoch', slider => slider.value)) !== '0') say('the slider does not move');
  if (before === (await page.evaluate(pictureOf, '.strip canvas'))) say('the slider does not change the strips');
  const first = await page.evaluate(pictureOf, '#theta-chart');
  await page.keyboard.press('ArrowRight');
  if (first === (await page.evaluate(pictureOf, '#theta-chart'))) say('the slider does not move across θ');
  const next = await page.$eval('#epoch', slider => (slider.max === '1' ? 'network found' : 'epoch 2'));
  if (!(await page.$eval('#replay output', output => output.textContent)).startsWith(next)) say('the slider does not show its epoch');
}

/// Each block of the memory map lies within it, and tells what it is; at the peak, one reaches the top.
async function checkMemory(page, say) {
  const inside = await page.$$eval('.map .block', all =>
    all.map(block => {
      const {left, right, top, bottom} = block.getBoundingClientRect(),
        map = block.parentElement.getBoundingClientRect();
      return {within: left > map.left - 1 && right < map.right + 1 && top > map.top - 1 && bottom < map.bottom + 1, reaches: Math.abs(top - map.top) < 1};
    }),
  );
  if (inside.length !== (await page.evaluate(() => state.run.memory.blocks.length))) say('the memory map lacks blocks');
  if (!inside.every(block => block.within)) say('a block lies outside the memory map');
  if (!inside.some(block => block.reaches)) say('no block reaches the top of the memory map');
  await page.hover('.map .block.peak');
  if (!(await page.$eval('#tip', tip => !tip.hidden && tip.textContent.includes('in use')))) say('a block of the memory map has no tooltip');
  await page.mouse.move(1, 1);
}

/// Every question is answered in sentences.
async function checkAnswers(page, say) {
  const answers = await page.$$eval('#answers-list div', all => all.map(entry => [...entry.querySelectorAll('p')].map(p => p.textContent)));
  if (answers.length !== 5) say(`there are ${answers.length} answers, not 5`);
  for (const texts of answers) {
    if (!texts.length) say('a question has no answer');
    for (const text of texts) if (!text.endsWith('.') || /undefined|NaN|null|Infinity/.test(text)) say(`not an answer: ${text}`);
  }
}

/// Uses every control once and checks its effect.
async function checkControls(page, say) {
  const layers = await page.$$eval('#layer option', all => all.map(option => option.value));
  const before = await page.evaluate(pictureOf, '#weights-chart');
  await page.select('#layer', layers[0]);
  if (before === (await page.evaluate(pictureOf, '#weights-chart'))) say('another layer has the same histogram');
  const costs = await page.$$eval('#cost option', all => all.map(option => option.value)),
    shown = await page.$eval('#cost', select => select.value),
    cost = await page.evaluate(pictureOf, '#tradeoff-chart');
  await page.select('#cost', costs.find(name => name !== shown));
  if (cost === (await page.evaluate(pictureOf, '#tradeoff-chart'))) say('another cost has the same picture');
  const bars = await page.evaluate(pictureOf, '#layers-chart');
  await page.click('#layers-measure button:nth-child(2)');
  if (bars === (await page.evaluate(pictureOf, '#layers-chart'))) say('another measure has the same bars');
  const last = await page.$eval('#layers-measure button:last-child', button => (button.click(), button.textContent));
  if (!last.startsWith('mpic-latency')) say(`expected the time of each layer last, found ${last}`);
  if (await page.$('#confusion:not([hidden])')) {
    const rows = await page.$eval('#confusion-box', box => box.textContent);
    await page.click('#confusion-network button:nth-child(2)');
    if (rows === (await page.$eval('#confusion-box', box => box.textContent))) say('the float network has the same matrix');
  }
  await checkMemory(page, say);
  if (await page.$('#points:not([hidden])')) {
    const about = await page.$eval('#subtitle', p => p.textContent);
    await page.click('#points-table tbody tr:not(.chosen)');
    if (about === (await page.$eval('#subtitle', p => p.textContent))) say('another point shows the same run');
  }
}

/// Whether the tip says what a cell of the picture of bits stands for.
const tellsOf = (row, column) => {
  const point = data.points[column],
    tip = document.getElementById('tip');
  return !tip.hidden && [data.layers[row], `${point.cost} ≤ `, `${digits(point.bits[row])} bits`].every(part => tip.textContent.includes(part));
};

/// The picture of bits: a cell per layer and point of the first cost, told of by pointer and keyboard.
async function checkBits(page, say) {
  const expected = await page.evaluate(() => data.layers.length * data.points.filter(p => p.cost === data.costs[0].name).length);
  const cells = await page.$$('#bits-grid td');
  if (cells.length !== expected) say(`there are ${cells.length} cells of bits, not ${expected}`);
  const tones = new Set(await page.$$eval('#bits-grid td', all => all.map(cell => getComputedStyle(cell).backgroundColor)));
  if (tones.size < 3) say('different bits have the same colour');
  if ((await page.$$('#bits-legend .swatch')).length < 9) say('the colours of bits have no legend');
  await cells[0].hover();
  if (!(await page.evaluate(tellsOf, 0, 0))) say('a cell of bits has no tooltip');
  await page.mouse.move(1, 1);
  if (!(await page.$eval('#tip', tip => tip.hidden))) say('the tooltip of a cell stays');
  await page.focus('#bits-grid td[tabindex="0"]');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowRight');
  if (!(await page.evaluate(tellsOf, 1, 1))) say('the arrow keys do not reach another cell of bits');
  await page.keyboard.press('Home');
  if (!(await page.evaluate(tellsOf, 1, 0))) say('the key Home does not reach the first cell of bits');
  if ((await page.$$('#bits-grid td[tabindex="0"]')).length !== 1) say('the grid of bits is not one stop of the tab key');
  await page.keyboard.press('Escape');
  if (!(await page.$eval('#tip', tip => tip.hidden))) say('the key Escape does not hide the tooltip');
}

/// Uses every control of a front's page once and checks its effect.
async function checkFront(page, say) {
  await checkBits(page, say);
  const chosen = [
    ['#cost', 'another cost', 1],
    ['#budgets', 'budgets on one cost', 2],
  ];
  for (const [select, what, option] of chosen) {
    const before = await page.evaluate(pictureOf, '#tradeoff-chart');
    await page.select(select, await page.$eval(`${select} option:nth-child(${option + 1})`, o => o.value));
    if (before === (await page.evaluate(pictureOf, '#tradeoff-chart'))) say(`${what}: the same picture`);
  }
  if (!(await page.$eval('#bits-title', title => title.textContent.includes(data.costs[1].name)))) say('the bits are not those of the other budgets');
  const rows = await page.$$eval('#points-table tbody tr', all => all.map(row => row.textContent)),
    all = await page.evaluate(() => data.points.length + data.beside.length);
  if (rows.length !== all) say(`the table has ${rows.length} rows, not ${all}`);
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  if ((await page.evaluate(() => color('page'))) !== '#f5f6f8') say('is printed in dark colours');
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
}

/// What axe says against the page as it is.
async function checkAccess(page, say) {
  await page.addScriptTag({path: axe});
  const {violations} = await page.evaluate(() => axe.run({resultTypes: ['violations']}));
  for (const {id, help, nodes} of violations) say(`${id}: ${help}: ${nodes.map(node => node.target.join(' ')).join(', ')}`);
}

async function check(browser, file, size, scheme, pictures) {
  const say = what => complaints.push(`${path.basename(file)}, ${size.width} wide, ${scheme}: ${what}`);
  const page = await browser.newPage();
  page.on('console', message => ['error', 'warn'].includes(message.type()) && say(`console: ${message.text()}`));
  page.on('pageerror', error => say(`error: ${error.message}`));
  page.on('request', request => /^(file|data):/.test(request.url()) || say(`requests ${request.url()}`));
  page.on('dialog', async dialog => {
    say('runs a script from its data');
    await dialog.dismiss();
  });
  await page.setViewport(size);
  await page.emulateMediaFeatures([{name: 'prefers-color-scheme', value: scheme}]);
  await page.goto('file://' + path.resolve(file), {waitUntil: 'load'});
  if (pictures)
    await page.screenshot({path: path.join(pictures, `${path.basename(file, '.html')}-${size.width}-${scheme}.png`), fullPage: true});
  for (const name of await page.evaluate(blankCanvases)) say(`nothing is drawn for ${name}`);
  for (const name of await page.evaluate(untold)) say(`${name} does not print the value of a single point`);
  const kind = await page.evaluate(() => data.kind);
  const [shown, wanted] = kind === 'running' ? [] : await page.evaluate(costsShown);
  if (shown !== wanted) say(`shows ${shown} first, but the cost was ${wanted}`);
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if ((await overflow()) > 0) say(`is ${await overflow()} pixels too wide`);
  await checkTooltips(page, say);
  if (kind === 'front') {
    await checkFront(page, say);
  } else if (kind === 'running') {
    if (!(await page.$eval('#subtitle', p => p.textContent.includes('fine-tuning, epoch 3')))) say('does not show how far the run is');
  } else {
    await checkAnswers(page, say);
    await checkSlider(page, say);
    await checkControls(page, say);
  }
  await checkAccess(page, say);
  for (const name of await page.evaluate(blankCanvases)) say(`after use, nothing is drawn for ${name}`);
  if ((await overflow()) > 0) say(`after use, is ${await overflow()} pixels too wide`);
  await page.close();
}

async function main([executablePath, file, pictures]) {
  const browser = await puppeteer.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--allow-file-access-from-files']});
  try {
    for (const size of sizes) for (const scheme of ['light', 'dark']) await check(browser, file, size, scheme, pictures);
  } finally {
    await browser.close();
  }
  for (const complaint of complaints) console.error(complaint);
  process.exit(complaints.length ? 1 : 0);
}

main(process.argv.slice(2)).catch(error => {
  console.error(error.message);
  process.exit(1);
});
