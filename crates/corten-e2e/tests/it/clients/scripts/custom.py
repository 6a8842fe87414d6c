"""The dynamic client of Python: custom resources from their definition to their end, watches, 410, errors.

Called with the namespace to work in; the definition's group begins with it.
"""

import os
import sys
import tempfile

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ConflictError, NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

from checks import check, eventually, run, same

VERSION = {
    "name": "v1",
    "served": True,
    "storage": True,
    "subresources": {
        "status": {},
        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
    },
    "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    "schema": {
        "openAPIV3Schema": {
            "type": "object",
            "required": ["spec"],
            "properties": {
                "spec": {
                    "type": "object",
                    "properties": {
                        "size": {"type": "integer", "maximum": 100, "default": 1},
                        "color": {"type": "string", "enum": ["red", "blue"]},
                        "ports": {
                            "type": "array",
                            "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["name"],
                            "items": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
                            },
                        },
                    },
                },
                "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
            },
        }
    },
}


class World:
    """The client, and where to work."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.group = f"{namespace}.clients.example.com"
        # What the client has discovered it keeps in a file, by default one for all clusters at the same address.
        cache = os.path.join(tempfile.mkdtemp(), "discovered.json")
        self.client = dynamic.DynamicClient(client.ApiClient(), cache_file=cache)
        self.definitions = self.client.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")

    @property
    def balls(self):
        return self.client.resources.get(api_version=f"{self.group}/v1", kind="Ball")

    def ball(self, name, **spec):
        return {"apiVersion": f"{self.group}/v1", "kind": "Ball", "metadata": {"name": name}, "spec": spec}

    def define(self):
        made = self.definitions.create(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": f"balls.{self.group}"},
                "spec": {
                    "group": self.group,
                    "scope": "Namespaced",
                    "names": {"plural": "balls", "singular": "ball", "kind": "Ball", "listKind": "BallList"},
                    "versions": [VERSION],
                },
            }
        )
        for event in self.definitions.watch(name=made.metadata.name, timeout=60):
            conditions = event["object"].status.conditions or []
            if any(c.type == "Established" and c.status == "True" for c in conditions):
                break

        # Established is said a moment before the resource is served.
        def served():
            self.client.resources.invalidate_cache()
            try:
                return self.balls.get(namespace=self.namespace)
            except (NotFoundError, ResourceNotFoundError):
                return None

        eventually("the resource is served", served)


@check
def a_definition_becomes_a_resource(world):
    try:
        world.balls
    except ResourceNotFoundError:
        pass
    else:
        raise AssertionError("known before it was defined")
    world.define()
    same((world.balls.namespaced, world.balls.kind, world.balls.name), (True, "Ball", "balls"))
    same(sorted(world.balls.subresources), ["scale", "status"])


@check
def a_custom_object_lives_from_create_to_delete(world):
    made = world.balls.create(world.ball("life", color="red", unknown="pruned"), namespace=world.namespace)
    same(made.spec.to_dict(), {"size": 1, "color": "red"})
    same(world.balls.get(name="life", namespace=world.namespace).to_dict(), made.to_dict())
    body = made.to_dict()
    body["spec"]["size"] = 2
    replaced = world.balls.replace(body, namespace=world.namespace)
    same((replaced.spec.size, replaced.metadata.generation), (2, 2))
    try:
        world.balls.replace({**body, "spec": {"size": 3}}, namespace=world.namespace)
    except ConflictError as error:
        assert b"the object has been modified; please apply your changes to the latest version" in error.body, error.body
    else:
        raise AssertionError("a stale version was replaced")
    gone = world.balls.delete(name="life", namespace=world.namespace)
    same((gone.status, gone.details.name), ("Success", "life"))
    try:
        world.balls.get(name="life", namespace=world.namespace)
    except NotFoundError as error:
        same(error.status, 404)
    else:
        raise AssertionError("it is still there")


@check
def custom_objects_are_patched_and_applied(world):
    place = {"name": "patched", "namespace": world.namespace}
    ports = lambda *pairs: [{"name": name, "port": port} for name, port in pairs]
    world.balls.create(world.ball("patched", size=1, ports=ports(("a", 1))), namespace=world.namespace)
    merged = world.balls.patch({"spec": {"ports": ports(("b", 2))}}, content_type="application/merge-patch+json", **place)
    same(merged.spec.to_dict(), {"size": 1, "ports": ports(("b", 2))})
    operations = [{"op": "add", "path": "/spec/ports/-", "value": {"name": "c", "port": 3}}]
    added = world.balls.patch(operations, content_type="application/json-patch+json", **place)
    same(added.spec.to_dict()["ports"], ports(("b", 2), ("c", 3)))
    try:
        world.balls.patch({"spec": {"size": 4}}, **place)
    except ApiException as error:
        same(error.status, 415)
    else:
        raise AssertionError("a strategic merge patch was taken")
    applied = lambda ball, **options: world.balls.server_side_apply(ball, namespace=world.namespace, **options)
    first = applied(world.ball("applied", size=1, ports=ports(("a", 1))), field_manager="first")
    same([(f.manager, f.operation) for f in first.metadata.managedFields], [("first", "Apply")])
    second = applied(world.ball("applied", ports=ports(("b", 2))), field_manager="second")
    same(second.spec.to_dict()["ports"], ports(("a", 1), ("b", 2)))
    try:
        applied(world.ball("applied", size=5), field_manager="second")
    except ConflictError as error:
        assert b'conflict with \\"first\\": .spec.size' in error.body, error.body
    else:
        raise AssertionError("no conflict")
    forced = applied(world.ball("applied", size=5), field_manager="second", force_conflicts=True)
    same(forced.spec.to_dict(), {"size": 5, "ports": ports(("a", 1))})


@check
def what_a_schema_forbids_is_refused(world):
    try:
        world.balls.create(world.ball("wrong", size=101, color="green"), namespace=world.namespace)
    except UnprocessibleEntityError as error:
        body = error.body.decode()
        for cause in ["spec.size", "should be less than or equal to 100", "spec.color", 'supported values: \\"red\\", \\"blue\\"']:
            assert cause in body, (cause, body)
    else:
        raise AssertionError("it was taken")


@check
def status_and_scale_are_parts_of_their_own(world):
    place = {"name": "parts", "namespace": world.namespace}
    world.balls.create({**world.ball("parts", size=2), "status": {"size": 9}}, namespace=world.namespace)
    merge = {"content_type": "application/merge-patch+json"}
    told = world.balls.status.patch({"spec": {"size": 7}, "status": {"size": 2}}, **place, **merge)
    same((told.spec.size, told.status.size), (2, 2))
    scale = world.balls.scale.get(**place)
    same((scale.kind, scale.apiVersion, scale.spec.replicas, scale.status.replicas), ("Scale", "autoscaling/v1", 2, 2))
    scaled = world.balls.scale.patch({"spec": {"replicas": 3}}, **place, **merge)
    same((scaled.spec.replicas, world.balls.get(**place).spec.size), (3, 3))


@check
def custom_lists_come_in_pages(world):
    everything = world.balls.get(namespace=world.namespace)
    names, token = [], None
    while True:
        page = world.balls.get(namespace=world.namespace, limit=1, **({"_continue": token} if token else {}))
        names += [item.metadata.name for item in page.items]
        token = page.metadata["continue"]
        if not token:
            break
    same(names, [item.metadata.name for item in everything.items])
    assert len(names) > 1, names
    same(everything.kind, "BallList")


@check
def a_custom_watch_goes_on_where_it_was_left(world):
    start = world.balls.get(namespace=world.namespace).metadata.resourceVersion
    world.balls.create(world.ball("watched", size=1), namespace=world.namespace)
    merge = {"content_type": "application/merge-patch+json", "name": "watched", "namespace": world.namespace}
    for size in [2, 3]:
        world.balls.patch({"spec": {"size": size}}, **merge)
    world.balls.delete(name="watched", namespace=world.namespace)
    seen, version = [], start
    for wanted in [2, 4]:
        for event in world.balls.watch(namespace=world.namespace, resource_version=version, timeout=30):
            seen.append((event["type"], event["object"].spec.size))
            version = event["object"].metadata.resourceVersion
            if len(seen) == wanted:
                break
    same(seen, [("ADDED", 1), ("MODIFIED", 2), ("MODIFIED", 3), ("DELETED", 3)])


@check
def a_watch_from_before_the_definition_is_expired(world):
    old = world.balls.get(namespace=world.namespace).metadata.resourceVersion
    name = f"balls.{world.group}"
    world.definitions.delete(name=name)

    def gone():
        try:
            world.definitions.get(name=name)
        except NotFoundError:
            return True
        return False

    eventually("the definition is gone", gone)
    world.define()
    same(world.balls.get(namespace=world.namespace).items, [])
    api = client.CustomObjectsApi()
    stream = watch.Watch().stream(
        api.list_namespaced_custom_object, world.group, "v1", world.namespace, "balls", resource_version=old, timeout_seconds=5
    )
    try:
        events = [event["type"] for event in stream]
    except ApiException as error:
        same(error.status, 410)
        assert "too old resource version" in error.reason, error.reason
    else:
        raise AssertionError(f"the watch went on with {events}")


config.load_kube_config()
run(World(sys.argv[1]))
