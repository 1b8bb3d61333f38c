// SPDX-License-Identifier: Apache-2.0
// read.js FOLDER: prints the events of every event file in the folder, as JSON. Checksums of records are checked.
'use strict';
const fs = require('fs'), path = require('path');
const protobuf = require('protobufjs');
const {RecordReader} = require('tfrecord/lib/record_reader');

// The part of TensorFlow's event.proto and summary.proto that is expected here; other fields are an error.
const {root} = protobuf.parse(`syntax = "proto2";
  message Event {
    optional double wall_time = 1; optional int64 step = 2; optional string file_version = 3; optional Summary summary = 5;
    optional SessionLog session_log = 7;
  }
  message SessionLog { enum Status { NONE = 0; START = 1; } optional Status status = 1; }
  message Summary { repeated Value value = 1; }
  message Value { optional string tag = 1; optional float simple_value = 2; optional Histogram histo = 5; }
  message Histogram {
    optional double min = 1; optional double max = 2; optional double num = 3; optional double sum = 4; optional double sum_squares = 5;
    repeated double bucket_limit = 6 [packed = true]; repeated double bucket = 7 [packed = true];
  }`);
const Event = root.lookupType('Event');

async function eventsOf(file) {
  const reader = await RecordReader.create(file), events = [];
  for (let record; (record = await reader.readRecord()) !== null;) {
    const event = Event.decode(record);
    // Encoded again, it is as long as before if no field was unknown.
    if (Event.encode(event).finish().length !== record.length) throw new Error(`${file}: an unknown field`);
    events.push(Event.toObject(event, {longs: Number, enums: String}));
  }
  return events;
}

(async () => {
  const folder = process.argv[2];
  const files = fs.readdirSync(folder).filter(name => name.includes('tfevents')).sort();
  const contents = await Promise.all(files.map(name => eventsOf(path.join(folder, name))));
  console.log(JSON.stringify(contents));
})().catch(error => {
  console.error(error.message);
  process.exit(1);
});
