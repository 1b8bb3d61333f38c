// SPDX-License-Identifier: Apache-2.0
// node run.js JOBS: runs int8 images in the TFLite interpreter (WebAssembly, with XNNPACK). A line of JOBS is MODEL INPUT OUTPUT;
// OUTPUT holds, image by image, the values of all outputs of the model. A model that fails leaves no OUTPUT, and a line on standard error.
const fs = require('fs');
const path = require('path');

const runtime = path.join(__dirname, 'node_modules/@tensorflow/tfjs-tflite/wasm/tflite_web_api_cc_simd');
const create = require(runtime + '.js');
const compiled = WebAssembly.compile(fs.readFileSync(runtime + '.wasm'));

/// An interpreter's memory of its own, so that a model that breaks it does not disturb others.
async function instance(said) {
  const code = await compiled;
  const instantiateWasm = (imports, done) => {
    WebAssembly.instantiate(code, imports).then(made => done(made, code));
    return {};
  };
  return create({instantiateWasm, print: line => said.push(line), printErr: line => said.push(line)});
}

const all = vector => Array.from({length: vector.size()}, (_, i) => vector.get(i));

async function run([model, input, output]) {
  const said = [];
  try {
    const module = await instance(said);
    const bytes = fs.readFileSync(model), images = fs.readFileSync(input);
    const start = module._malloc(bytes.length);
    module.HEAPU8.set(bytes, start);
    const options = {numThreads: 1, enableProfiling: false, maxProfilingBufferEntries: 0};
    const made = module.TFLiteWebModelRunner.CreateFromBufferAndOptions(start, bytes.length, options);
    if (!made.ok()) throw new Error(made.errorMessage());
    const runner = made.value(), x = runner.GetInputs().get(0), results = [];
    if (x.dataType !== 'int8') throw new Error(`its input is ${x.dataType}`);
    const size = x.data().length;
    for (let first = 0; first < images.length; first += size) {
      x.data().set(new Int8Array(images.buffer, images.byteOffset + first, size));
      if (!runner.Infer()) throw new Error('does not run');
      for (const y of all(runner.GetOutputs())) results.push(Buffer.from(y.data().slice().buffer));
    }
    fs.writeFileSync(output, Buffer.concat(results));
  } catch (error) {
    console.error(`${model}: ${error.message} ${said.filter(line => !line.startsWith('INFO') && line).join(' ')}`);
  }
}

async function main(jobs) {
  for (const line of fs.readFileSync(jobs, 'utf8').split('\n')) {
    const words = line.split(' ');
    if (words.length > 1) await run(words);
  }
}

main(process.argv[2]);
