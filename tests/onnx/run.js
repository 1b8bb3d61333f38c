// SPDX-License-Identifier: Apache-2.0
// node run.js MODEL INPUT OUTPUT N C H W: runs float32 images in ONNX Runtime, its graph optimisations off.
const fs = require('fs');
const ort = require('onnxruntime-node');

async function main([model, input, output, ...dims]) {
  const session = await ort.InferenceSession.create(model, {graphOptimizationLevel: process.env.ORT_OPTIMIZE || 'disabled', intraOpNumThreads: 1});
  const bytes = fs.readFileSync(input);
  const images = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const [name] = session.inputNames;
  const result = await session.run({[name]: new ort.Tensor('float32', images, dims.map(Number))});
  const values = result[session.outputNames[0]].data;
  fs.writeFileSync(output, Buffer.from(values.buffer, values.byteOffset, values.byteLength));
}

main(process.argv.slice(2)).catch(error => {
  console.error(error.message);
  process.exit(1);
});
