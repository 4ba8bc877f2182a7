// Loaded into kinesis-local before its own code (node --require).
'use strict';

const fs = require('fs');
const Module = require('module');
const net = require('net');

// It listens on 0.0.0.0 and has no setting for that: on this machine nothing listens beyond loopback.
const connections = new Set();
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, host, ...rest) {
  this.on('connection', (connection) => {
    if (disk.ending) return connection.destroy();
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
  });
  return listen.call(this, port, '127.0.0.1', ...rest);
};

// For every record put it hashes all records of the shard, since shards are keys of a map: slower with every record that
// is stored. These values never change, so each remembers its hash.
const remembersItsHash = (source) => {
  const immutable = /\br\((\w+),"(?:kinesis\.mock\.models\.KinesisRecord|scala\.collection\.immutable\.Vector\d)",/g;
  const classes = [...source.matchAll(immutable)].map((match) => match[1]);
  const remember = (type) => {
    const [hashed, hash] = [Symbol('hash'), type.prototype.j]; // j is what the compiler made of hashCode
    type.prototype.j = function () {
      return (this[hashed] ??= hash.call(this));
    };
  };
  return classes.length ? `${source}\n[${classes}].forEach(${remember})` : source;
};

// At every interval it writes all that it holds, also when nothing is new: with 130,000 records 11 s of CPU of each 15.
// So: only what is not on disk yet, and, but for the end, in a tenth of the time at most. What it holds is an immutable
// value; the first match is where it is got, and the unit that is the answer where there is nothing to do.
const disk = { written: null, writing: null, began: 0, next: 0, ending: false };
globalThis.hasNoNeedToPersist = (held) => {
  const now = Date.now();
  if (held === disk.written || (now < disk.next && !disk.ending)) return true;
  Object.assign(disk, { writing: held, began: now });
  return false;
};
const hasPersisted = () => {
  const now = Date.now();
  Object.assign(disk, { written: disk.writing, next: now + 9 * (now - disk.began) });
};

// Told to end, it goes on answering for as long as anybody asks, half a minute at most, writes what it holds, and exits;
// in the middle of another write it fails instead. Whoever told it may have killed it by then. So: nobody is answered any
// more, and so is told that a record is taken that is not written; no timer of before begins a write; and it hears of the
// signal, once, when it does not write.
const listeners = [];
const onSignal = process.on;
process.on = function (name, listener) {
  if (name !== 'SIGTERM') return onSignal.call(this, name, listener);
  listeners.push(listener);
  return this;
};
const endUnlessWriting = () => {
  if (!disk.ending || writing.size) return;
  if (!listeners.length) process.exit(); // it is not there yet
  listeners.splice(0).forEach((listener) => listener('SIGTERM'));
};
onSignal.call(process, 'SIGTERM', () => {
  if (disk.ending) return;
  disk.ending = true;
  connections.forEach((connection) => connection.destroy());
  endUnlessWriting();
});
const setTimer = globalThis.setTimeout;
globalThis.setTimeout = (call, delay, ...rest) => {
  const late = disk.ending;
  return setTimer(() => (late || !disk.ending) && call(...rest), late ? Math.min(delay, 500) : delay);
};
const persistsWhatIsNew = (source) =>
  source.replace(
    /(\.i\(\),new \w+\((\w+)=>\{)((?:(?!=>\{).){0,400}?"fileName".{0,400}?new \w+\(\(\)=>(\w+\(\)\.\w+)\))/s,
    (_, get, held, rest, unit) => `${get}if(hasNoNeedToPersist(${held}))return ${unit};${rest}`,
  );

// It makes a text out of characters by adding one to the other, and V8 keeps such a text as a tree of its parts: 20 KB for
// a record of 650 bytes, until the heap is full. `.a` is an array of UTF-16 code units.
globalThis.textOf = (units, from, to) =>
  Buffer.from(units.buffer, units.byteOffset + 2 * from, 2 * (to - from)).toString('utf16le');
const makesTextsWhole = (source) =>
  source.replace(
    /for\((\w)="";(\w)!==(\w);\)\1\+=""\+\w+\((\w)\.a\[\2\]\),\2=1\+\2\|0;return \1\}/,
    (_, text, index, end, characters) => `return textOf(${characters}.a,${index},${end})}`,
  );

const compile = Module.prototype._compile;
Module.prototype._compile = function (source, ...rest) {
  return compile.call(this, persistsWhatIsNew(makesTextsWhole(remembersItsHash(source))), ...rest);
};

// After a kill of LocalStack the one before may still be writing its data: wait for it, ten seconds at most.
const data = `${process.env.PERSIST_PATH}/${process.env.PERSIST_FILE_NAME}`;
const isAlive = (pid) => {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
};
const before = fs.existsSync(`${data}.pid`) ? Number(fs.readFileSync(`${data}.pid`, 'utf8')) : 0;
for (let waited = 0; isAlive(before) && waited < 10_000; waited += 50) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}
fs.writeFileSync(`${data}.pid`, String(process.pid));

// It writes its data in place: killed in the middle, it could not read them at the next start. So: a new file,
// renamed over the old one before it is closed (after SIGTERM it does not wait for the close).
const writing = new Set();
const open = fs.open;
fs.open = function (path, flags, ...rest) {
  const replaces = path === data && flags !== 'r' && flags !== fs.constants.O_RDONLY;
  const callback = rest.pop();
  return open.call(fs, replaces ? `${data}.new` : path, flags, ...rest, (error, fd) => {
    if (replaces && !error) writing.add(fd);
    callback(error, fd);
  });
};
const close = fs.close;
fs.close = function (fd, ...rest) {
  if (writing.delete(fd)) {
    fs.renameSync(`${data}.new`, data);
    hasPersisted();
    setImmediate(endUnlessWriting);
  }
  return close.call(fs, fd, ...rest);
};

// Its parent holds the other end of stdin: when LocalStack ends, however it ends, this process writes its data
// (what SIGTERM makes it do) and ends too. The same on Linux and macOS.
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
