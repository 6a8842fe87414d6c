"""The typed client of Python: every verb on built-in kinds, patches of each type, pages, watches, errors.

Called with the namespace to work in.
"""

import sys

from kubernetes import client, config, watch

from checks import check, eventually, refused, run, same

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"


def config_map(name, data=None, **metadata):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, **metadata), data=data)


def deployment(name, replicas=0):
    labels = {"app": name}
    container = client.V1Container(name="web", image="web:1", env=[client.V1EnvVar(name="A", value="1")])
    return client.V1Deployment(
        metadata=client.V1ObjectMeta(name=name, labels=labels),
        spec=client.V1DeploymentSpec(
            replicas=replicas,
            selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
            ),
        ),
    )


def sending(api, content_type):
    """The API by a client that sends this content type, which it would otherwise guess from a patch's body."""
    sender = client.ApiClient()
    sender.set_default_header("Content-Type", content_type)
    return api(sender)


@check
def an_object_lives_from_create_to_delete(core, apps, namespace):
    made = core.create_namespaced_config_map(namespace, config_map("life", {"a": "1"}, labels={"tier": "front"}))
    same((made.metadata.namespace, made.data, bool(made.metadata.uid)), (namespace, {"a": "1"}, True))
    same(core.read_namespaced_config_map("life", namespace), made)
    made.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("life", namespace, made)
    same((replaced.data, replaced.metadata.uid), ({"a": "1", "b": "2"}, made.metadata.uid))
    assert int(replaced.metadata.resource_version) > int(made.metadata.resource_version)
    dry = core.create_namespaced_config_map(namespace, config_map("not-kept"), dry_run="All")
    same(dry.metadata.name, "not-kept")
    gone = core.delete_namespaced_config_map("life", namespace)
    same((gone.status, gone.details.name, gone.details.kind), ("Success", "life", "configmaps"))
    with refused(404, "NotFound", 'configmaps "life" not found'):
        core.read_namespaced_config_map("life", namespace)
    with refused(404, "NotFound", 'configmaps "not-kept" not found'):
        core.read_namespaced_config_map("not-kept", namespace)


@check
def each_type_of_patch_is_taken(core, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment("patched"))
    patch = lambda body, content_type: sending(client.AppsV1Api, content_type).patch_namespaced_deployment(
        "patched", namespace, body
    )
    containers = lambda *containers: {"spec": {"template": {"spec": {"containers": list(containers)}}}}
    strategic = patch(containers({"name": "side", "image": "side:1"}), STRATEGIC_PATCH)
    same([c.name for c in strategic.spec.template.spec.containers], ["side", "web"])
    merged = patch(containers({"name": "web", "image": "web:2"}), MERGE_PATCH)
    same([(c.name, c.image, c.env) for c in merged.spec.template.spec.containers], [("web", "web:2", None)])
    path = "/spec/template/spec/containers/0/image"
    tested = patch([{"op": "test", "path": path, "value": "web:2"}, {"op": "replace", "path": path, "value": "web:3"}], JSON_PATCH)
    same((tested.spec.template.spec.containers[0].image, tested.metadata.generation), ("web:3", 4))
    with refused(422, "Invalid"):
        patch([{"op": "test", "path": path, "value": "other"}], JSON_PATCH)


@check
def a_configuration_is_applied_by_its_manager(core, apps, namespace):
    configuration = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    apply = lambda data, manager, **options: sending(client.CoreV1Api, APPLY).patch_namespaced_config_map(
        "applied", namespace, {**configuration, "data": data}, field_manager=manager, **options
    )
    made = apply({"a": "1", "b": "1"}, "first")
    same([(f.manager, f.operation) for f in made.metadata.managed_fields], [("first", "Apply")])
    same(made.metadata.managed_fields[0].fields_v1, {"f:data": {"f:a": {}, "f:b": {}}})
    with refused(409, "Conflict", 'Apply failed with 1 conflict: conflict with "first": .data.a'):
        apply({"a": "2"}, "second")
    same(apply({"a": "2"}, "second", force=True).data, {"a": "2", "b": "1"})
    same(apply({}, "first").data, {"a": "2"})


@check
def lists_come_in_pages_of_one_state(core, apps, namespace):
    for number in range(7):
        core.create_namespaced_config_map(namespace, config_map(f"page-{number}", labels={"list": "pages"}))
    names, page, versions = [], None, set()
    while page is None or page.metadata._continue:
        token = page.metadata._continue if page else None
        page = core.list_namespaced_config_map(namespace, label_selector="list=pages", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        versions.add(page.metadata.resource_version)
        if token is None:
            core.create_namespaced_config_map(namespace, config_map("page-99", labels={"list": "pages"}))
    same((names, len(versions)), ([f"page-{number}" for number in range(7)], 1))
    one = core.list_namespaced_config_map(namespace, field_selector="metadata.name=page-3")
    same([item.metadata.name for item in one.items], ["page-3"])
    with refused(400, "BadRequest"):
        core.list_namespaced_config_map(namespace, limit=1, _continue="no-token")
    core.delete_collection_namespaced_config_map(namespace, label_selector="list in (pages)")
    same(core.list_namespaced_config_map(namespace, label_selector="list").items, [])


@check
def a_watch_goes_on_where_it_was_left(core, apps, namespace):
    start = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("watched", {"n": "0"}))
    for number in range(1, 4):
        core.patch_namespaced_config_map("watched", namespace, {"data": {"n": str(number)}})
    core.delete_namespaced_config_map("watched", namespace)
    selected = {"namespace": namespace, "field_selector": "metadata.name=watched"}
    seen = []
    first = watch.Watch()
    for event in first.stream(core.list_namespaced_config_map, resource_version=start, **selected):
        seen.append((event["type"], event["object"].data["n"]))
        if len(seen) == 2:
            first.stop()
    second = watch.Watch()
    left = first.resource_version
    for event in second.stream(core.list_namespaced_config_map, resource_version=left, **selected):
        seen.append((event["type"], event["object"].data["n"]))
        if event["type"] == "DELETED":
            second.stop()
    same(seen, [("ADDED", "0"), ("MODIFIED", "1"), ("MODIFIED", "2"), ("MODIFIED", "3"), ("DELETED", "3")])


@check
def a_watch_ends_with_its_time_and_shows_bookmarks(core, apps, namespace):
    core.create_namespaced_config_map(namespace, config_map("marked"))
    seen = []
    for event in watch.Watch().stream(
        core.list_namespaced_config_map,
        namespace,
        field_selector="metadata.name=marked",
        allow_watch_bookmarks=True,
        send_initial_events=True,
        resource_version_match="NotOlderThan",
        timeout_seconds=1,
    ):
        seen.append(event["type"])
    same(seen[:2], ["ADDED", "BOOKMARK"])


@check
def subresources_are_read_and_written(core, apps, namespace):
    made = apps.create_namespaced_deployment(namespace, deployment("parts", 3))
    scale = apps.read_namespaced_deployment_scale("parts", namespace)
    same((scale.kind, scale.spec.replicas, scale.status.selector), ("Scale", 3, "app=parts"))
    scale.spec.replicas = 2
    # The controller writes meanwhile: whatever the version is.
    scale.metadata.resource_version = None
    same(apps.replace_namespaced_deployment_scale("parts", namespace, scale).spec.replicas, 2)
    same(apps.patch_namespaced_deployment_scale("parts", namespace, {"spec": {"replicas": 1}}).spec.replicas, 1)
    condition = {"type": "Seen", "status": "True", "reason": "Told", "message": "by hand"}
    told = apps.patch_namespaced_deployment_status(
        "parts", namespace, {"status": {"conditions": [condition]}, "spec": {"replicas": 9}}
    )
    same((told.spec.replicas, "Seen" in [c.type for c in told.status.conditions]), (1, True))
    read = apps.read_namespaced_deployment_status("parts", namespace)
    same(read.metadata.uid, made.metadata.uid)
    pod = client.V1Pod(
        metadata=client.V1ObjectMeta(name="homeless"),
        spec=client.V1PodSpec(
            node_selector={"no": "such-node"}, containers=[client.V1Container(name="c", image="busybox:1.28")]
        ),
    )
    core.create_namespaced_pod(namespace, pod)
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="homeless"))
    same(core.create_namespaced_pod_eviction("homeless", namespace, eviction).kind, "Status")
    with refused(404, "NotFound", 'pods "homeless" not found'):
        core.read_namespaced_pod("homeless", namespace)
    token = client.AuthenticationV1TokenRequest(
        spec=client.V1TokenRequestSpec(audiences=["corten"], expiration_seconds=600)
    )
    made = core.create_namespaced_service_account_token("default", namespace, token)
    same((made.status.token.count("."), made.spec.audiences), (2, ["corten"]))


@check
def errors_are_read_as_what_they_are(core, apps, namespace):
    core.create_namespaced_config_map(namespace, config_map("once"))
    with refused(409, "AlreadyExists", 'configmaps "once" already exists'):
        core.create_namespaced_config_map(namespace, config_map("once"))
    stale = core.read_namespaced_config_map("once", namespace)
    core.patch_namespaced_config_map("once", namespace, {"data": {"a": "1"}})
    with refused(
        409,
        "Conflict",
        'Operation cannot be fulfilled on configmaps "once": the object has been modified; '
        "please apply your changes to the latest version and try again",
    ):
        core.replace_namespaced_config_map("once", namespace, stale)
    with refused(422, "Invalid"):
        core.create_namespaced_config_map(namespace, config_map("Not A Name"))
    with refused(404, "NotFound", 'namespaces "no-such-place" not found'):
        core.create_namespaced_config_map("no-such-place", config_map("a"))
    with refused(400, "BadRequest"):
        core.create_namespaced_config_map(
            namespace,
            {"metadata": {"name": "strict"}, "dataa": {}},
            field_validation="Strict",
        )
    service = client.V1Service(metadata=client.V1ObjectMeta(name="s"), spec=client.V1ServiceSpec(ports=[{"port": 0, "targetPort": 80}]))
    with refused(
        422, "Invalid", 'Service "s" is invalid: spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'
    ):
        core.create_namespaced_service(namespace, service)


@check
def every_group_of_the_client_is_discovered(core, apps, namespace):
    groups = {group.name for group in client.ApisApi().get_api_versions().groups}
    for group in ["apps", "batch", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"]:
        assert group in groups, groups
    same(client.CoreApi().get_api_versions().versions, ["v1"])
    same([client.VersionApi().get_code().major, client.VersionApi().get_code().minor], ["1", "35"])
    resources = client.AppsV1Api().get_api_resources().resources
    assert {"deployments", "deployments/scale", "deployments/status"} <= {r.name for r in resources}, resources


@check
def the_garbage_of_an_owner_goes_as_asked_for(core, apps, namespace):
    owner = core.create_namespaced_config_map(namespace, config_map("owner"))
    reference = client.V1OwnerReference(
        api_version="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid, block_owner_deletion=True
    )
    core.create_namespaced_config_map(namespace, config_map("owned", owner_references=[reference]))
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Foreground")
    names = lambda: {item.metadata.name for item in core.list_namespaced_config_map(namespace).items}
    eventually("both are gone", lambda: not names() & {"owner", "owned"})


config.load_kube_config()
run(client.CoreV1Api(), client.AppsV1Api(), sys.argv[1])
