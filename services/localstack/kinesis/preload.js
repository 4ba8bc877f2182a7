// Loaded into kinesis-local before its own code (node --require). Made for the version in package.json.
'use strict';

const { spawnSync } = require('child_process');
const fs = require('fs');
const Module = require('module');
const net = require('net');

// LocalStack logs lines that begin so (compat.py), unless it was killed and reads no more.
const say = (message) => {
  try {
    fs.writeSync(2, `pinflow: ${message}\n`);
  } catch {}
};

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
  if (!disk.ending || opening || writing.size) return;
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
Module.prototype._compile = function (source, file, ...rest) {
  if (file !== fs.realpathSync(process.argv[1])) return compile.call(this, source, file, ...rest);
  for (const change of [remembersItsHash, makesTextsWhole, persistsWhatIsNew]) {
    const changed = change(source);
    if (changed === source) {
      say(`preload.js does not fit ${file}: ${change.name} finds nothing to change`);
      process.exit(1);
    }
    source = changed;
  }
  return compile.call(this, source, file, ...rest);
};

// After a kill of LocalStack the one before may still be writing its data: wait for it, ten seconds at most. Its number may
// be another process's by now, in a new container even this one's.
const data = `${process.env.PERSIST_PATH}/${process.env.PERSIST_FILE_NAME}`;
const isAlive = (pid) =>
  pid > 0 &&
  pid !== process.pid &&
  spawnSync('ps', ['-ww', '-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout?.includes(__filename);
const before = fs.existsSync(`${data}.pid`) ? Number(fs.readFileSync(`${data}.pid`, 'utf8')) : 0;
if (isAlive(before)) say(`waits until process ${before} has written ${data}`);
for (let waited = 0; isAlive(before) && waited < 10_000; waited += 50) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}
fs.writeFileSync(`${data}.pid`, String(process.pid));

// A data file that it cannot read ends it, and would at every start: put it aside. What it opens after that file, once it
// has understood it, is its certificate.
let isLoading = false;
process.on('exit', (status) => {
  if (status !== 1 || !isLoading) return;
  const aside = `${data}.unreadable-${new Date().toISOString().replaceAll(':', '')}`;
  fs.renameSync(data, aside);
  say(`cannot read ${data}: kept it as ${aside}; Kinesis starts without streams and records`);
});

// It writes its data in place: killed in the middle, it could not read them at the next start. So: a new file, put over the
// old one once it is whole and on disk, before it is closed (after SIGTERM it does not wait for the close).
const writing = new Map(); // file descriptor: the error of a write, if there was one
let opening = 0; // a write begins with this: told to end now, it would destroy the stream and fail at the first answer
const open = fs.open;
fs.open = function (path, flags, ...rest) {
  isLoading = path === data && (flags === 'r' || flags === fs.constants.O_RDONLY);
  if (path !== data || isLoading) return open.call(fs, path, flags, ...rest);
  const callback = rest.pop();
  opening += 1;
  return open.call(fs, `${data}.new`, flags, ...rest, (error, fd) => {
    opening -= 1;
    if (error) setImmediate(endUnlessWriting);
    else writing.set(fd, null);
    callback(error, fd);
  });
};
// An error of a write, such as a full disk, would end it with all that is not on disk: it hears that all is well, and tries
// again later.
for (const name of ['write', 'writev']) {
  const write = fs[name];
  fs[name] = function (fd, buffers, ...rest) {
    const callback = rest.pop();
    const size = [buffers].flat().reduce((sum, buffer) => sum + buffer.byteLength, 0);
    return write.call(fs, fd, buffers, ...rest, (error, ...result) => {
      if (!error || !writing.has(fd)) return callback(error, ...result);
      writing.set(fd, error);
      callback(null, size, buffers);
    });
  };
}
const replaceData = (fd) => {
  try {
    if (writing.get(fd)) throw writing.get(fd);
    fs.fsyncSync(fd);
    fs.renameSync(`${data}.new`, data);
    hasPersisted();
  } catch (error) {
    fs.rmSync(`${data}.new`, { force: true });
    disk.next = Date.now() + 15_000;
    say(`cannot write ${data}, what came since the last write is in memory only: ${error.message}`);
  }
};
const close = fs.close;
fs.close = function (fd, ...rest) {
  if (writing.has(fd)) {
    replaceData(fd);
    writing.delete(fd);
    setImmediate(endUnlessWriting);
  }
  return close.call(fs, fd, ...rest);
};

// Its parent holds the other end of stdin: when LocalStack ends, however it ends, this process writes its data
// (what SIGTERM makes it do) and ends too. The same on Linux and macOS.
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'));
process.stdin.resume();
