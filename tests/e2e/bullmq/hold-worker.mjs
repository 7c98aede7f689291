// An npm worker in a process of its own, to be killed: holds every job for a minute.
import { Worker } from 'bullmq';
import IORedis from 'ioredis';

const [path, name] = process.argv.slice(2);
const connection = new IORedis({ path, maxRetriesPerRequest: null });
const worker = new Worker(name, () => new Promise((done) => setTimeout(done, 60000)), {
  connection, lockDuration: 1000, stalledInterval: 500, maxStalledCount: 1,
});
await worker.waitUntilReady();
console.log('working');
