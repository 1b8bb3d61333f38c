// SPDX-License-Identifier: Apache-2.0
// node run.js JOBS: runs float32 images in ONNX Runtime, its graph optimisations off. A line of JOBS is MODEL INPUT OUTPUT N C H W;
// a model that fails leaves no OUTPUT, and a line on standard error.
const fs = require('fs');
const ort = require('onnxruntime-node');

// The outputs of every image, one after the other.
function rows(outputs, images) {
  const parts = [];
  for (let n = 0; n < images; ++n) {
    for (const values of outputs) {
      const size = values.length / images;
      parts.push(Buffer.from(values.buffer, values.byteOffset + 4 * n * size, 4 * size));
    }
  }
  return Buffer.concat(parts);
}

async function run([model, input, output, ...dims]) {
  const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: process.env.ORT_OPTIMIZE || 'disabled', intraOpNumThreads: 1});
  const bytes = fs.readFileSync(input);
  const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const [name] = session.inputNames;
  const result = await session.run({[name]: new ort.Tensor('float32', images, dims.map(Number))});
  fs.writeFileSync(output, rows(session.outputNames.map(o => result[o].data), Number(dims[0])));
  await session.release();
}

async function main(jobs) {
  for (const line of fs.readFileSync(jobs, 'utf8').split('\n')) {
    const words = line.split(' ');
    if (words.length > 1) await run(words).catch(error => console.error(`${words[0]}: ${error.message}`));
  }
}

main(process.argv[2]);
