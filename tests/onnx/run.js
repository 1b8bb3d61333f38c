// SPDX-License-Identifier: Apache-2.0
// node run.js JOBS: runs float32 images in ONNX Runtime, its graph optimisations off. A line of JOBS is MODEL INPUT OUTPUT N C H W;
// a model that fails leaves no OUTPUT, and a line on standard error.
const fs = require('fs');
const ort = require('onnxruntime-node');

async function run([model, input, output, ...dims]) {
  const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: process.env.ORT_OPTIMIZE || 'disabled', intraOpNumThreads: 1});
  const bytes = fs.readFileSync(input);
  const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const [name] = session.inputNames;
  const result = await session.run({[name]: new ort.Tensor('float32', images, dims.map(Number))});
  const values = result[session.outputNames[0]].data;
  fs.writeFileSync(output, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  await session.release();
}

async function main(jobs) {
  for (const line of fs.readFileSync(jobs, 'utf8').split('\n')) {
    const words = line.split(' ');
    if (words.length > 1) await run(words).catch(error => console.error(`${words[0]}: ${error.message}`));
  }
}

main(process.argv[2]);
