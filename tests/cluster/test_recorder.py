"""Events that repeat are counted."""

from __future__ import annotations

from emulator.cluster import Api, EventRecorder


def test_the_same_event_is_counted_and_another_is_not(api: Api, make_pod):
    pod = api.create("pods", make_pod())
    recorder = EventRecorder(api, "kubelet", "node")
    for _ in range(3):
        recorder.record(pod, "Normal", "Pulling", 'Pulling image "x"')
    recorder.record(pod, "Normal", "Pulling", 'Pulling image "x"', "spec.containers{probe}")
    recorder.record(pod, "Warning", "Pulling", 'Pulling image "x"')
    events = api.list("events").items
    assert sorted(event["count"] for event in events) == [1, 1, 3]
    counted = next(event for event in events if event["count"] == 3)
    assert counted["involvedObject"] == {
        "kind": "Pod",
        "namespace": "default",
        "name": "p",
        "uid": pod["metadata"]["uid"],
        "apiVersion": "v1",
        "resourceVersion": pod["metadata"]["resourceVersion"],
    }
    assert counted["source"] == {"component": "kubelet", "host": "node"}
    assert counted["metadata"]["name"].startswith("p.")
    assert (counted["type"], counted["reason"], counted["message"]) == ("Normal", "Pulling", 'Pulling image "x"')


def test_an_event_that_was_deleted_is_written_anew(api: Api, make_pod):
    pod = api.create("pods", make_pod())
    recorder = EventRecorder(api, "kubelet")
    recorder.record(pod, "Normal", "A", "b")
    api.delete("events", api.list("events").items[0]["metadata"]["name"])
    recorder.record(pod, "Normal", "A", "b")
    assert [event["count"] for event in api.list("events").items] == [1]


def test_events_about_a_node_are_in_the_default_namespace(api: Api):
    node = api.create("nodes", {"metadata": {"name": "n"}})
    EventRecorder(api, "kubelet").record(node, "Normal", "Starting", "Starting kubelet.")
    assert api.list("events", "default").items[0]["involvedObject"]["kind"] == "Node"


def test_an_event_in_a_namespace_that_goes_is_dropped(api: Api, make_pod):
    api.create("namespaces", {"metadata": {"name": "going"}})
    pod = api.create("pods", make_pod(), "going")
    api.delete("namespaces", "going")
    EventRecorder(api, "kubelet").record(pod, "Normal", "A", "b")
    assert api.list("events").items == []


def test_the_tenth_message_of_a_reason_and_what_follows_are_one_event(api: Api, make_pod):
    """As recorded: nine events `Failed` that each name another container, then one that is combined from the rest."""
    pod = api.create("pods", make_pod())
    recorder = EventRecorder(api, "kubelet", "node")
    for number in range(13):
        recorder.record(pod, "Warning", "Failed", f"Error: container {number}", "spec.containers{probe}")
    recorder.record(pod, "Warning", "Failed", "Error: of the pod")
    recorder.record(pod, "Warning", "BackOff", "another reason")
    told = {event["message"]: event["count"] for event in api.list("events").items}
    assert told == {
        **{f"Error: container {number}": 1 for number in range(9)},
        "(combined from similar events): Error: of the pod": 5,
        "another reason": 1,
    }
