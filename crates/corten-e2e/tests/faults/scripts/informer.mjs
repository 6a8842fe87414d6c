// An informer of the JavaScript client over restarts of the server.
//
// Called with the namespace to work in. Says `listening`, waits for a line while the server is restarted and what the informer
// knows becomes too old, and goes on then.

import assert from 'node:assert/strict';
import { once } from 'node:events';

import { CoreV1Api, KubeConfig, makeInformer } from '@kubernetes/client-node';

import { eventually, run } from './checks.mjs';

async function an_informer_lists_again_when_it_is_too_old({ config, core, namespace }) {
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'kept=here' });
    const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list, 'kept=here');
    const seen = [];
    for (const verb of ['add', 'update', 'delete']) {
        informer.on(verb, (object) => seen.push(`${verb} ${object.metadata.name}`));
    }
    const failed = new Promise((resolve) => informer.on('error', resolve));
    await informer.start();
    assert.deepEqual(informer.list(namespace).map((object) => object.metadata.name).sort(), ['gone', 'kept']);
    console.log('listening');
    await once(process.stdin, 'data');
    // What the client's documentation has a program do: to start it again.
    await failed;
    await informer.start();
    const names = () => informer.list(namespace).map((object) => object.metadata.name).sort().join();
    await eventually('it has listed again', async () => names() === 'kept,made', 30);
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'later', labels: { kept: 'here' } } } });
    await eventually('and watches', async () => names() === 'kept,later,made', 30);
    await informer.stop();
    for (const event of ['add made', 'delete gone', 'add later']) {
        assert.equal(seen.filter((one) => one === event).length, 1, `${event}: ${seen}`);
    }
}

const config = new KubeConfig();
config.loadFromDefault();
await run([an_informer_lists_again_when_it_is_too_old], {
    config,
    namespace: process.argv[2],
    core: config.makeApiClient(CoreV1Api),
});
