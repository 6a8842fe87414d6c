// Pods by the JavaScript client: logs, commands over a WebSocket, forwarded ports, eviction.
//
// Called with the namespace to work in, on a cluster with a node.

import assert from 'node:assert/strict';
import { PassThrough, Readable, Writable } from 'node:stream';

import { CoreV1Api, Exec, KubeConfig, Log, PortForward, Watch } from '@kubernetes/client-node';

import { eventually, refused, run, watched } from './checks.mjs';

const SCRIPT = 'echo first; echo second; mkdir /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www';

/// A stream that keeps what it is given, and tells when `enough` accepts it.
function collector(enough = () => false) {
    const kept = { text: '' };
    kept.complete = new Promise((resolve) => {
        kept.stream = new Writable({
            write(chunk, _encoding, done) {
                kept.text += chunk;
                done();
                if (enough(kept.text)) {
                    resolve();
                }
            },
            final(done) {
                done();
                resolve();
            },
        });
    });
    return kept;
}

async function a_pod_comes_up_under_a_watch({ core, namespace, watch }) {
    const containers = [{ name: 'c', image: 'busybox:1.28', command: ['sh', '-c', SCRIPT] }];
    const body = { metadata: { name: 'talker' }, spec: { containers, terminationGracePeriodSeconds: 1 } };
    await core.createNamespacedPod({ namespace, body });
    const ready = (pod) => (pod.status.conditions ?? []).some(({ type, status }) => type === 'Ready' && status === 'True');
    const query = { timeoutSeconds: 60, fieldSelector: 'metadata.name=talker' };
    const { events } = await watched(watch, `/api/v1/namespaces/${namespace}/pods`, query, (seen) => ready(seen.at(-1)[1]));
    assert.equal(events.at(-1)[1].status.phase, 'Running');
}

async function logs_are_read_and_followed({ config, core, namespace }) {
    const at = { name: 'talker', namespace };
    assert.equal(await core.readNamespacedPodLog(at), 'first\nsecond\n');
    assert.equal(await core.readNamespacedPodLog({ ...at, tailLines: 1 }), 'second\n');
    const lines = collector((text) => text === 'first\nsecond\n');
    // It is followed until this process ends: to abort a log is an error that the client hands to nobody.
    await new Log(config).log(namespace, 'talker', 'c', lines.stream, { follow: true });
    await lines.complete;
    assert.equal(lines.text, 'first\nsecond\n');
    const nobody = () => core.readNamespacedPodLog({ ...at, container: 'nobody' });
    await refused(400, 'BadRequest', 'container nobody is not valid for pod talker', nobody);
}

async function commands_run_over_a_web_socket({ config, namespace }) {
    const [out, err] = [collector(), collector()];
    const input = Readable.from(['this\n']);
    const command = ['sh', '-c', 'read line; echo got $line; echo wrong >&2; exit 7'];
    const status = await new Promise((resolve, reject) => {
        const session = new Exec(config).exec(namespace, 'talker', 'c', command, out.stream, err.stream, input, false, resolve);
        session.catch(reject);
    });
    assert.deepEqual([out.text, err.text], ['got this\n', 'wrong\n']);
    assert.deepEqual([status.status, status.reason], ['Failure', 'NonZeroExitCode']);
    assert.deepEqual(status.details.causes, [{ reason: 'ExitCode', message: '7' }]);
}

async function ports_are_forwarded({ config, namespace }) {
    const answer = collector((text) => text.endsWith('page\n'));
    const errors = collector();
    const input = new PassThrough();
    const socket = await new PortForward(config).portForward(namespace, 'talker', [8080], answer.stream, errors.stream, input);
    input.write('GET / HTTP/1.0\r\n\r\n');
    await answer.complete;
    socket.close();
    assert(answer.text.startsWith('HTTP/1.1 200 OK'), answer.text);
    assert.equal(errors.text, '');
}

async function a_pod_is_evicted({ core, namespace }) {
    const evict = () => core.createNamespacedPodEviction({ name: 'talker', namespace, body: { metadata: { name: 'talker' } } });
    await evict();
    await eventually('the pod is gone', async () => (await core.listNamespacedPod({ namespace })).items.length === 0);
    await refused(404, 'NotFound', 'pods "talker" not found', evict);
}

const config = new KubeConfig();
config.loadFromDefault();
await run(
    [
        a_pod_comes_up_under_a_watch,
        logs_are_read_and_followed,
        commands_run_over_a_web_socket,
        ports_are_forwarded,
        a_pod_is_evicted,
    ],
    { config, core: config.makeApiClient(CoreV1Api), watch: new Watch(config), namespace: process.argv[2] },
);
