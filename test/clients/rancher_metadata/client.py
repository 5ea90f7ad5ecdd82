"""Asks what the published module rancher_metadata can ask, and prints the answers as JSON.

    client.py MODULE_FOLDER STACK SERVICE CONTAINER HOST
"""

import collections
import collections.abc
import json
import sys

# The module was written for Python 2.7 and 3 before 3.10, where this name was elsewhere.
collections.Iterable = collections.abc.Iterable
folder, stack, service, container, host = sys.argv[1:]
sys.path.insert(0, folder)

from rancher_metadata import MetadataAPI  # noqa: E402

# Its default address: http://rancher-metadata/2015-12-19.
api = MetadataAPI()
named = {"stack_name": stack, "service_name": service}
print(
    json.dumps(
        {
            "containers": api.get_containers(),
            "container": api.get_container(),
            "container_by_name": api.get_container(container),
            "container_ip": api.get_container_ip(),
            "container_create_index": api.get_container_create_index(),
            "container_service_index": api.get_container_service_index(),
            "container_name": api.get_container_name(),
            "container_service_name": api.get_container_service_name(),
            "container_stack_name": api.get_container_stack_name(),
            "container_host_uuid": api.get_container_host_uuid(),
            "managed": api.is_network_managed(),
            "nobody": api.api_get("/containers/nobody"),
            "services": api.get_services(),
            "service": api.get_service(),
            "service_by_name": api.get_service(**named),
            "service_scale": api.get_service_scale_size(**named),
            "service_containers": api.get_service_containers(**named),
            "service_metadata": api.get_service_metadata(**named),
            "service_links": api.get_service_links(**named),
            "service_waited": sorted(name for name, _ in api.wait_service_containers(**named)),
            "stacks": api.get_stacks(),
            "stack": api.get_stack(),
            "stack_by_name": api.get_stack(stack),
            "stack_services": api.get_stack_services(stack),
            "hosts": api.get_hosts(),
            "host": api.get_host(None),
            "host_by_name": api.get_host(host),
            "host_ip": api.get_host_ip(),
            "host_uuid": api.get_host_uuid(),
            "host_name": api.get_host_name(),
        }
    )
)
