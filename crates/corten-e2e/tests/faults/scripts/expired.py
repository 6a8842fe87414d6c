"""The Python client and history that the server has forgotten: pages of a list, and watches.

The server forgets every second. Called with the namespace to work in.
"""

import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from checks import check, eventually, run, same

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing "
    "with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the "
    "time the first chunk was returned and now may show up in the list."
)


def make(core, namespace, name):
    return core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"list": "pages"})))


@check
def a_list_whose_state_is_forgotten_goes_on_in_the_newest_one(core, namespace):
    for number in range(7):
        make(core, namespace, f"page-{number}")
    page = lambda token=None: core.list_namespaced_config_map(namespace, label_selector="list=pages", limit=3, _continue=token)
    first = page()
    same([item.metadata.name for item in first.items], ["page-0", "page-1", "page-2"])
    make(core, namespace, "page-3b")
    core.delete_namespaced_config_map("page-4", namespace)

    def expired():
        try:
            page(first.metadata._continue)
        except ApiException as error:
            return error
        return None

    error = eventually("the first page's state is forgotten", expired)
    status = json.loads(error.body)
    same((error.status, status["code"], status["reason"], status["message"]), (410, 410, "Expired", TOO_OLD))
    rest = page(status["metadata"]["continue"])
    same([item.metadata.name for item in rest.items], ["page-3", "page-3b", "page-5"])
    assert int(rest.metadata.resource_version or 0) != int(first.metadata.resource_version), rest.metadata
    last = page(rest.metadata._continue)
    same(([item.metadata.name for item in last.items], last.metadata._continue), (["page-6"], None))


@check
def a_watch_from_before_the_servers_start_is_too_old(core, namespace):
    stream = watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=20)
    try:
        event = next(stream)
    except ApiException as error:
        same(error.status, 410)
        assert error.reason.startswith("Expired: too old resource version: 1 ("), error.reason
    else:
        raise AssertionError(f"no error but {event}")


@check
def a_watch_that_may_begin_again_does(core, namespace):
    listed = core.list_namespaced_config_map(namespace)
    stream = watch.Watch().stream(core.list_namespaced_config_map, namespace, resource_version=listed.metadata.resource_version, timeout_seconds=20)
    make(core, namespace, "watched")
    same(next(stream)["object"].metadata.name, "watched")


config.load_kube_config()
run(client.CoreV1Api(), sys.argv[1])
