// The typed client of JavaScript: every verb on built-in kinds, patches of each type, pages, watches, errors.
//
// Called with the namespace to work in.

import assert from 'node:assert/strict';

import {
    ApisApi,
    AppsV1Api,
    CoreV1Api,
    KubeConfig,
    makeInformer,
    PatchStrategy,
    setHeaderOptions,
    VersionApi,
    Watch,
} from '@kubernetes/client-node';

import { eventually, refused, run, watched } from './checks.mjs';

const configMap = (name, data, metadata) => ({ metadata: { name, ...metadata }, data });

const sending = (strategy) => setHeaderOptions('Content-Type', strategy);

function deployment(name, replicas) {
    const labels = { app: name };
    const containers = [{ name: 'web', image: 'web:1', env: [{ name: 'A', value: '1' }] }];
    const template = { metadata: { labels }, spec: { containers } };
    return { metadata: { name, labels }, spec: { replicas, selector: { matchLabels: labels }, template } };
}

async function an_object_lives_from_create_to_delete({ core, namespace }) {
    const made = await core.createNamespacedConfigMap({ namespace, body: configMap('life', { a: '1' }) });
    assert.deepEqual([made.metadata.namespace, made.data], [namespace, { a: '1' }]);
    assert(made.metadata.creationTimestamp instanceof Date);
    const at = { name: 'life', namespace };
    assert.deepEqual(await core.readNamespacedConfigMap(at), made);
    made.data.b = '2';
    const replaced = await core.replaceNamespacedConfigMap({ ...at, body: made });
    assert.deepEqual([replaced.data, replaced.metadata.uid], [{ a: '1', b: '2' }, made.metadata.uid]);
    const dry = await core.createNamespacedConfigMap({ namespace, body: configMap('not-kept'), dryRun: 'All' });
    assert.equal(dry.metadata.name, 'not-kept');
    const gone = await core.deleteNamespacedConfigMap(at);
    assert.deepEqual([gone.status, gone.details.name], ['Success', 'life']);
    for (const name of ['life', 'not-kept']) {
        const read = () => core.readNamespacedConfigMap({ name, namespace });
        await refused(404, 'NotFound', `configmaps "${name}" not found`, read);
    }
}

async function each_type_of_patch_is_taken({ apps, namespace }) {
    await apps.createNamespacedDeployment({ namespace, body: deployment('patched', 0) });
    const patch = async (body, strategy) => {
        const request = { name: 'patched', namespace, body };
        const answer = await apps.patchNamespacedDeployment(request, sending(strategy));
        return answer.spec.template.spec.containers.map((container) => [container.name, container.image]);
    };
    const containers = (...all) => ({ spec: { template: { spec: { containers: all } } } });
    const side = { name: 'side', image: 'side:1' };
    const both = await patch(containers(side), PatchStrategy.StrategicMergePatch);
    assert.deepEqual(both, [['side', 'side:1'], ['web', 'web:1']]);
    assert.deepEqual(await patch(containers(side), PatchStrategy.MergePatch), [['side', 'side:1']]);
    const path = '/spec/template/spec/containers/0/image';
    const operations = (tested) => [
        { op: 'test', path, value: tested },
        { op: 'replace', path, value: 'side:2' },
    ];
    assert.deepEqual(await patch(operations('side:1'), PatchStrategy.JsonPatch), [['side', 'side:2']]);
    await refused(422, 'Invalid', undefined, () => patch(operations('other'), PatchStrategy.JsonPatch));
}

async function a_configuration_is_applied_by_its_manager({ core, namespace }) {
    const apply = (data, fieldManager, force) => {
        const body = { apiVersion: 'v1', kind: 'ConfigMap', ...configMap('applied', data) };
        const request = { name: 'applied', namespace, body, fieldManager, force };
        return core.patchNamespacedConfigMap(request, sending(PatchStrategy.ServerSideApply));
    };
    const made = await apply({ a: '1', b: '1' }, 'first');
    const [entry] = made.metadata.managedFields;
    assert.deepEqual([entry.manager, entry.operation], ['first', 'Apply']);
    assert.deepEqual(entry.fieldsV1, { 'f:data': { 'f:a': {}, 'f:b': {} } });
    const conflict = 'Apply failed with 1 conflict: conflict with "first": .data.a';
    await refused(409, 'Conflict', conflict, () => apply({ a: '2' }, 'second'));
    assert.deepEqual((await apply({ a: '2' }, 'second', true)).data, { a: '2', b: '1' });
    assert.deepEqual((await apply({}, 'first')).data, { a: '2' });
}

async function lists_come_in_pages_of_one_state({ core, namespace }) {
    const make = (name) => core.createNamespacedConfigMap({ namespace, body: configMap(name, {}, { labels: { list: 'pages' } }) });
    const wanted = [0, 1, 2, 3, 4, 5, 6].map((number) => `page-${number}`);
    await Promise.all(wanted.map(make));
    const names = [];
    const versions = new Set();
    let _continue;
    do {
        const page = await core.listNamespacedConfigMap({ namespace, labelSelector: 'list=pages', limit: 3, _continue });
        if (_continue === undefined) {
            await make('page-99');
        }
        names.push(...page.items.map((item) => item.metadata.name));
        versions.add(page.metadata.resourceVersion);
        _continue = page.metadata._continue;
    } while (_continue);
    assert.deepEqual([names, versions.size], [wanted, 1]);
    const broken = () => core.listNamespacedConfigMap({ namespace, limit: 1, _continue: 'no-token' });
    await refused(400, 'BadRequest', undefined, broken);
    await core.deleteCollectionNamespacedConfigMap({ namespace, labelSelector: 'list in (pages)' });
    assert.deepEqual((await core.listNamespacedConfigMap({ namespace, labelSelector: 'list' })).items, []);
}

async function a_watch_goes_on_where_it_was_left({ core, namespace, watch }) {
    const start = (await core.listNamespacedConfigMap({ namespace })).metadata.resourceVersion;
    const at = { name: 'watched', namespace };
    await core.createNamespacedConfigMap({ namespace, body: configMap('watched', { n: '0' }) });
    for (const n of ['1', '2', '3']) {
        await core.patchNamespacedConfigMap({ ...at, body: { data: { n } } }, sending(PatchStrategy.MergePatch));
    }
    await core.deleteNamespacedConfigMap(at);
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const from = (resourceVersion) => ({ resourceVersion, fieldSelector: 'metadata.name=watched' });
    const first = await watched(watch, path, from(start), (events) => events.length === 2);
    const left = first.events[1][1].metadata.resourceVersion;
    const second = await watched(watch, path, from(left), (events) => events.at(-1)[0] === 'DELETED');
    const seen = [...first.events, ...second.events].map(([type, object]) => [type, object.data.n]);
    assert.deepEqual(seen, [['ADDED', '0'], ['MODIFIED', '1'], ['MODIFIED', '2'], ['MODIFIED', '3'], ['DELETED', '3']]);
}

async function an_informer_follows_what_happens({ config, core, namespace }) {
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'kept=here' });
    const informer = makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, list, 'kept=here');
    const seen = [];
    for (const verb of ['add', 'update', 'delete']) {
        informer.on(verb, (object) => seen.push(`${verb} ${object.metadata.name} ${object.data.n}`));
    }
    informer.on('error', (error) => seen.push(`error ${error}`));
    const make = (name) => core.createNamespacedConfigMap({ namespace, body: configMap(name, { n: '0' }, { labels: { kept: 'here' } }) });
    await make('before');
    await informer.start();
    await make('after');
    await core.patchNamespacedConfigMap(
        { name: 'before', namespace, body: { data: { n: '1' } } },
        sending(PatchStrategy.StrategicMergePatch),
    );
    await core.deleteNamespacedConfigMap({ name: 'before', namespace });
    await eventually('the informer has seen it all', async () => seen.length >= 4, 20);
    await informer.stop();
    assert.deepEqual(seen, ['add before 0', 'add after 0', 'update before 1', 'delete before 1']);
    assert.deepEqual(informer.list(namespace).map((object) => object.metadata.name), ['after']);
}

async function subresources_are_read_and_written({ core, apps, namespace }) {
    await apps.createNamespacedDeployment({ namespace, body: deployment('parts', 3) });
    const at = { name: 'parts', namespace };
    const scale = await apps.readNamespacedDeploymentScale(at);
    assert.deepEqual([scale.kind, scale.spec.replicas, scale.status.selector], ['Scale', 3, 'app=parts']);
    // The controller writes meanwhile: whatever the version is.
    delete scale.metadata.resourceVersion;
    scale.spec.replicas = 2;
    assert.equal((await apps.replaceNamespacedDeploymentScale({ ...at, body: scale })).spec.replicas, 2);
    const condition = { type: 'Seen', status: 'True', reason: 'Told', message: 'by hand' };
    const told = await apps.patchNamespacedDeploymentStatus(
        { ...at, body: { spec: { replicas: 9 }, status: { conditions: [condition] } } },
        sending(PatchStrategy.StrategicMergePatch),
    );
    assert.equal(told.spec.replicas, 2);
    assert(told.status.conditions.some(({ type }) => type === 'Seen'));
    const pod = { metadata: { name: 'homeless' }, spec: { nodeSelector: { no: 'such-node' }, containers: [{ name: 'c', image: 'c:1' }] } };
    await core.createNamespacedPod({ namespace, body: pod });
    await core.createNamespacedPodEviction({ name: 'homeless', namespace, body: { metadata: { name: 'homeless' } } });
    await refused(404, 'NotFound', 'pods "homeless" not found', () => core.readNamespacedPod({ name: 'homeless', namespace }));
    const token = await core.createNamespacedServiceAccountToken({
        name: 'default',
        namespace,
        body: { spec: { audiences: ['corten'], expirationSeconds: 600 } },
    });
    assert.equal(token.status.token.split('.').length, 3);
}

async function errors_are_read_as_what_they_are({ core, namespace }) {
    const make = (body, place = namespace) => () => core.createNamespacedConfigMap({ namespace: place, body });
    const stale = await make(configMap('once'))();
    await refused(409, 'AlreadyExists', 'configmaps "once" already exists', make(configMap('once')));
    const at = { name: 'once', namespace };
    await core.patchNamespacedConfigMap({ ...at, body: { data: { a: '1' } } }, sending(PatchStrategy.MergePatch));
    const modified =
        'Operation cannot be fulfilled on configmaps "once": the object has been modified; ' +
        'please apply your changes to the latest version and try again';
    await refused(409, 'Conflict', modified, () => core.replaceNamespacedConfigMap({ ...at, body: stale }));
    await refused(422, 'Invalid', undefined, make(configMap('Not A Name')));
    await refused(404, 'NotFound', 'namespaces "no-such-place" not found', make(configMap('a'), 'no-such-place'));
}

async function the_server_is_discovered({ config }) {
    const groups = (await config.makeApiClient(ApisApi).getAPIVersions()).groups.map((group) => group.name);
    for (const group of ['apps', 'batch', 'networking.k8s.io', 'rbac.authorization.k8s.io']) {
        assert(groups.includes(group), groups.join(' '));
    }
    const version = await config.makeApiClient(VersionApi).getCode();
    assert.deepEqual([version.major, version.minor], ['1', '35']);
}

const config = new KubeConfig();
config.loadFromDefault();
await run(
    [
        an_object_lives_from_create_to_delete,
        each_type_of_patch_is_taken,
        a_configuration_is_applied_by_its_manager,
        lists_come_in_pages_of_one_state,
        a_watch_goes_on_where_it_was_left,
        an_informer_follows_what_happens,
        subresources_are_read_and_written,
        errors_are_read_as_what_they_are,
        the_server_is_discovered,
    ],
    {
        config,
        namespace: process.argv[2],
        core: config.makeApiClient(CoreV1Api),
        apps: config.makeApiClient(AppsV1Api),
        watch: new Watch(config),
    },
);
