// SPDX-License-Identifier: Apache-2.0
// The memory that activations share on a device: what lies where while which node runs.

function aboutBlock({nodes}, block) {
  const while_ = block.first === block.last ? nodes[block.first] : `${nodes[block.first]} to ${nodes[block.last]}`;
  return `${block.scratch ? 'scratch memory' : 'output'} of ${nodes[block.node]}\n${bytes(block.bytes)} from byte ${whole(block.offset)}\nin use: ${while_}`;
}

function blockBox(memory, block) {
  const x = 100 / memory.nodes.length,
    y = 100 / memory.bytes;
  const place = `left: ${x * block.first}%; width: ${x * (block.last - block.first + 1)}%; bottom: ${y * block.offset}%; height: ${y * block.bytes}%`;
  return element(
    'div',
    {
      class: ['block', block.scratch && 'scratch', block.at_peak > 0 && 'peak'].filter(Boolean).join(' '),
      style: place,
      mousemove: event => showTip(event, aboutBlock(memory, block)),
      mouseleave: hideTip,
    },
    element('span', {}, block.scratch ? '' : memory.nodes[block.node]),
  );
}

function drawMemory() {
  const {memory} = state.run;
  byId('memory').hidden = !memory?.bytes;
  if (!memory?.bytes) return;
  const peak = memory.blocks.filter(block => block.at_peak > 0);
  const part = b => (b.scratch ? 'the scratch memory' : b.at_peak < b.bytes ? 'the head start of the output' : 'the output');
  fill('memory-map', ...memory.blocks.map(block => blockBox(memory, block)));
  byId('memory-top').textContent = bytes(memory.bytes);
  byId('memory-first').textContent = memory.nodes[0];
  byId('memory-last').textContent = memory.nodes.at(-1);
  byId('memory-note').textContent =
    `The peak of ${bytes(memory.bytes)} is due to ${peak
      .map(b => `${part(b)} of ${memory.nodes[b.node]} (${bytes(b.at_peak)})`)
      .join(', ')}. A code takes a byte. Input and outputs of the network belong to the caller; an output may overwrite an input that has been read.`;
}

view(['run'], drawMemory);
