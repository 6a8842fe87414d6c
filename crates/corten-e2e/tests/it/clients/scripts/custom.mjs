// The dynamic client of JavaScript: custom resources from their definition to their end, watches, 410, errors.
//
// Called with the namespace to work in; the definition's group begins with it.

import assert from 'node:assert/strict';

import {
    CustomObjectsApi,
    KubeConfig,
    KubernetesObjectApi,
    PatchStrategy,
    setHeaderOptions,
    Watch,
} from '@kubernetes/client-node';

import { eventually, refused, run, watched } from './checks.mjs';

const namespace = process.argv[2];
const group = `${namespace}.clients.example.com`;
const apiVersion = `${group}/v1`;
const plural = { group, version: 'v1', namespace, plural: 'balls' };
const path = `/apis/${group}/v1/namespaces/${namespace}/balls`;

// The client has names of its own for what JavaScript has no names for.
const schema = {
    type: 'object',
    required: ['spec'],
    properties: {
        spec: {
            type: 'object',
            properties: {
                size: { type: 'integer', maximum: 100, _default: 1 },
                color: { type: 'string', _enum: ['red', 'blue'] },
                ports: {
                    type: 'array',
                    x_kubernetes_list_type: 'map',
                    x_kubernetes_list_map_keys: ['name'],
                    items: {
                        type: 'object',
                        required: ['name'],
                        properties: { name: { type: 'string' }, port: { type: 'integer' } },
                    },
                },
            },
        },
        status: { type: 'object', properties: { size: { type: 'integer' } } },
    },
};

const definition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `balls.${group}` },
    spec: {
        group,
        scope: 'Namespaced',
        names: { plural: 'balls', singular: 'ball', kind: 'Ball', listKind: 'BallList' },
        versions: [
            {
                name: 'v1',
                served: true,
                storage: true,
                subresources: {
                    status: {},
                    scale: { specReplicasPath: '.spec.size', statusReplicasPath: '.status.size' },
                },
                schema: { openAPIV3Schema: schema },
            },
        ],
    },
};

const ball = (name, spec, more) => ({ apiVersion, kind: 'Ball', metadata: { name, namespace }, spec, ...more });

const sending = (strategy) => setHeaderOptions('Content-Type', strategy);

async function define({ config, custom, watch }) {
    await KubernetesObjectApi.makeApiClient(config).create(definition);
    const query = { fieldSelector: `metadata.name=balls.${group}` };
    const established = (object) =>
        (object.status?.conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True');
    await watched(watch, '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', query, (events) =>
        established(events.at(-1)[1]),
    );
    // Established is said a moment before the resource is served.
    await eventually('the resource is served', () => custom.listNamespacedCustomObject(plural).catch(() => null));
}

async function a_definition_becomes_a_resource(world) {
    await define(world);
    const { resources } = await world.custom.getAPIResources({ group, version: 'v1' });
    assert.deepEqual(resources.map((resource) => resource.name).sort(), ['balls', 'balls/scale', 'balls/status']);
    // The object client keeps what it has discovered: from here on it knows the kind.
    world.objects = KubernetesObjectApi.makeApiClient(world.config);
}

async function a_custom_object_lives_from_create_to_delete({ objects }) {
    const made = await objects.create(ball('life', { color: 'red', unknown: 'pruned' }));
    assert.deepEqual(made.spec, { color: 'red', size: 1 });
    assert.deepEqual(await objects.read(made), made);
    const replaced = await objects.replace({ ...made, spec: { ...made.spec, size: 2 } });
    assert.deepEqual([replaced.spec.size, replaced.metadata.generation], [2, 2]);
    await refused(409, 'Conflict', undefined, () => objects.replace({ ...made, spec: { size: 3 } }));
    assert.equal((await objects.delete(made)).status, 'Success');
    await refused(404, 'NotFound', `balls.${group} "life" not found`, () => objects.read(made));
}

async function custom_objects_are_patched_and_applied({ objects }) {
    const ports = (...pairs) => pairs.map(([name, port]) => ({ name, port }));
    await objects.create(ball('patched', { size: 1, ports: ports(['a', 1]) }));
    const patch = (spec, strategy) => objects.patch(ball('patched', spec), undefined, undefined, undefined, undefined, strategy);
    const merged = await patch({ ports: ports(['b', 2]) }, PatchStrategy.MergePatch);
    assert.deepEqual(merged.spec, { size: 1, ports: ports(['b', 2]) });
    await refused(415, 'UnsupportedMediaType', undefined, () => patch({ size: 4 }, PatchStrategy.StrategicMergePatch));
    const apply = (spec, manager, force) =>
        objects.patch(ball('applied', spec), undefined, undefined, manager, force, PatchStrategy.ServerSideApply);
    await apply({ size: 1, ports: ports(['a', 1]) }, 'first');
    const both = await apply({ ports: ports(['b', 2]) }, 'second');
    assert.deepEqual(both.spec.ports, ports(['a', 1], ['b', 2]));
    const conflict = 'Apply failed with 1 conflict: conflict with "first": .spec.size';
    await refused(409, 'Conflict', conflict, () => apply({ size: 5 }, 'second'));
    assert.deepEqual((await apply({ size: 5 }, 'second', true)).spec, { size: 5, ports: ports(['a', 1]) });
}

async function what_a_schema_forbids_is_refused({ objects }) {
    const wrong = (spec, cause) => {
        const message = `Ball.${group} "wrong" is invalid: ${cause}`;
        return refused(422, 'Invalid', message, () => objects.create(ball('wrong', spec)));
    };
    await wrong({ size: 101 }, 'spec.size: Invalid value: 101: spec.size in body should be less than or equal to 100');
    await wrong({ color: 'green' }, 'spec.color: Unsupported value: "green": supported values: "red", "blue"');
}

async function status_and_scale_are_parts_of_their_own({ objects, custom }) {
    await objects.create(ball('parts', { size: 2 }, { status: { size: 9 } }));
    const at = { ...plural, name: 'parts' };
    const merge = sending(PatchStrategy.MergePatch);
    const body = { spec: { size: 7 }, status: { size: 2 } };
    const told = await custom.patchNamespacedCustomObjectStatus({ ...at, body }, merge);
    assert.deepEqual([told.spec, told.status], [{ size: 2 }, { size: 2 }]);
    const scale = await custom.getNamespacedCustomObjectScale(at);
    assert.deepEqual([scale.kind, scale.spec, scale.status], ['Scale', { replicas: 2 }, { replicas: 2 }]);
    const scaled = await custom.patchNamespacedCustomObjectScale({ ...at, body: { spec: { replicas: 3 } } }, merge);
    assert.equal(scaled.spec.replicas, 3);
    assert.equal((await custom.getNamespacedCustomObject(at)).spec.size, 3);
}

async function custom_lists_come_in_pages({ custom }) {
    const all = await custom.listNamespacedCustomObject(plural);
    const names = [];
    let _continue;
    do {
        const page = await custom.listNamespacedCustomObject({ ...plural, limit: 1, _continue });
        names.push(...page.items.map((item) => item.metadata.name));
        _continue = page.metadata.continue;
    } while (_continue);
    assert(names.length > 1, names.join(' '));
    assert.deepEqual(names, all.items.map((item) => item.metadata.name));
}

async function a_custom_watch_goes_on_where_it_was_left({ objects, custom, watch }) {
    const start = (await custom.listNamespacedCustomObject(plural)).metadata.resourceVersion;
    const made = await objects.create(ball('watched', { size: 1 }));
    const merge = sending(PatchStrategy.MergePatch);
    await custom.patchNamespacedCustomObject({ ...plural, name: 'watched', body: { spec: { size: 2 } } }, merge);
    await objects.delete(made);
    const first = await watched(watch, path, { resourceVersion: start }, (events) => events.length === 1);
    const left = first.events[0][1].metadata.resourceVersion;
    const second = await watched(watch, path, { resourceVersion: left }, (events) => events.length === 2);
    const seen = [...first.events, ...second.events].map(([type, object]) => [type, object.spec.size]);
    assert.deepEqual(seen, [['ADDED', 1], ['MODIFIED', 2], ['DELETED', 2]]);
}

async function a_watch_from_before_the_definition_is_expired(world) {
    const { objects, custom, watch } = world;
    const old = (await custom.listNamespacedCustomObject(plural)).metadata.resourceVersion;
    await objects.delete(definition);
    const exists = () => objects.read(definition).then(() => true, () => false);
    await eventually('the definition is gone', async () => !(await exists()));
    await define(world);
    const { events, error } = await watched(watch, path, { resourceVersion: old, timeoutSeconds: 5 }, () => false);
    const told = events.map(([type, object]) => [type, object.code, object.reason]);
    // A server may refuse the watch or end it with an error: both say the same.
    if (told.length === 0) {
        assert.equal(error?.statusCode, 410, error?.stack);
    } else {
        assert.deepEqual(told, [['ERROR', 410, 'Expired']]);
    }
}

const config = new KubeConfig();
config.loadFromDefault();
await run(
    [
        a_definition_becomes_a_resource,
        a_custom_object_lives_from_create_to_delete,
        custom_objects_are_patched_and_applied,
        what_a_schema_forbids_is_refused,
        status_and_scale_are_parts_of_their_own,
        custom_lists_come_in_pages,
        a_custom_watch_goes_on_where_it_was_left,
        a_watch_from_before_the_definition_is_expired,
    ],
    { config, custom: config.makeApiClient(CustomObjectsApi), watch: new Watch(config) },
);
