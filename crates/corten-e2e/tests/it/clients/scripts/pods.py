"""Pods by the Python client: logs, commands over a WebSocket, forwarded ports, eviction.

Called with the namespace to work in, on a cluster with a node.
"""

import sys
import time

from kubernetes import client, config, watch
from kubernetes.stream import portforward, stream

from checks import check, eventually, refused, run, same

SCRIPT = "echo first; echo second; mkdir /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www"


@check
def a_pod_comes_up_under_a_watch(core, namespace):
    container = client.V1Container(name="c", image="busybox:1.28", command=["sh", "-c", SCRIPT])
    spec = client.V1PodSpec(containers=[container], termination_grace_period_seconds=1)
    core.create_namespaced_pod(namespace, client.V1Pod(metadata=client.V1ObjectMeta(name="talker"), spec=spec))
    phases = []
    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, namespace, timeout_seconds=60):
        status = event["object"].status
        if status.phase not in phases:
            phases.append(status.phase)
        if any(c.type == "Ready" and c.status == "True" for c in status.conditions or []):
            watcher.stop()
    same(phases[-1], "Running")


@check
def logs_are_read_and_followed(core, namespace):
    same(core.read_namespaced_pod_log("talker", namespace), "first\nsecond\n")
    same(core.read_namespaced_pod_log("talker", namespace, tail_lines=1), "second\n")
    lines = []
    watcher = watch.Watch()
    for line in watcher.stream(core.read_namespaced_pod_log, "talker", namespace, follow=True):
        lines.append(line)
        if len(lines) == 2:
            watcher.stop()
    same(lines, ["first", "second"])
    with refused(400, "BadRequest", "container nobody is not valid for pod talker"):
        core.read_namespaced_pod_log("talker", namespace, container="nobody")


@check
def commands_run_over_a_web_socket(core, namespace):
    execute = lambda *command, **options: stream(
        core.connect_get_namespaced_pod_exec, "talker", namespace, command=list(command), stdout=True, stderr=True, **options
    )
    # The client reads a frame each time that its socket becomes readable: what shares a TLS record with another is not seen.
    started = time.monotonic()
    same(execute("echo", "hello"), "hello\n")
    took = time.monotonic() - started
    assert took < 5, f"{took:.1f} s"
    session = execute("sh", "-c", "read line; echo got $line; echo wrong >&2; exit 7", stdin=True, _preload_content=False)
    session.write_stdin("this\n")
    session.run_forever(timeout=30)
    same((session.read_stdout(), session.read_stderr(), session.returncode), ("got this\n", "wrong\n", 7))


@check
def ports_are_forwarded(core, namespace):
    forward = portforward(core.connect_get_namespaced_pod_portforward, "talker", namespace, ports="8080")
    connection = forward.socket(8080)
    connection.setblocking(True)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := connection.recv(1024):
        answer += piece
    connection.close()
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"page\n"), answer
    same(forward.error(8080), None)


@check
def a_pod_is_evicted(core, namespace):
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name="talker"))
    same(core.create_namespaced_pod_eviction("talker", namespace, eviction).kind, "Status")
    eventually("the pod is gone", lambda: not core.list_namespaced_pod(namespace).items)
    with refused(404, "NotFound", 'pods "talker" not found'):
        core.create_namespaced_pod_eviction("talker", namespace, eviction)


config.load_kube_config()
run(client.CoreV1Api(), sys.argv[1])
