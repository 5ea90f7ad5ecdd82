// A client of the metadata API as Go programs write one: net/http, and encoding/json into types.
//
//	metadata_client URL FROM read|names|poll|long-poll
//
// It waits until the server answers, then prints what it read as JSON: everything (where services
// have containers, or names alone), or the names of the containers at each change, one line each.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type world[C, S any] struct {
	Version       string       `json:"version"`
	Environment   environment  `json:"environment"`
	SelfHost      host         `json:"self_host"`
	SelfContainer container    `json:"self_container"`
	SelfService   service[C]   `json:"self_service"`
	ByName        service[C]   `json:"by_name"`
	SelfStack     stack[S]     `json:"self_stack"`
	Containers    []container  `json:"containers"`
	Services      []service[C] `json:"services"`
	Stacks        []stack[S]   `json:"stacks"`
	Hosts         []host       `json:"hosts"`
	Networks      []network    `json:"networks"`
}

// readWorld reads everything; byName is the service of its own stack that is asked for by name.
func readWorld[C, S any](c *client, byName bool) (world[C, S], error) {
	var all world[C, S]
	var err error
	take := func(next error) {
		if err == nil {
			err = next
		}
	}
	into(c, "/version", &all.Version, take)
	into(c, "", &all.Environment, take)
	into(c, "/self/host", &all.SelfHost, take)
	into(c, "/self/container", &all.SelfContainer, take)
	into(c, "/self/service", &all.SelfService, take)
	if byName {
		into(c, "/self/stack/services/"+all.SelfService.Name, &all.ByName, take)
	}
	into(c, "/self/stack", &all.SelfStack, take)
	into(c, "/containers", &all.Containers, take)
	into(c, "/services", &all.Services, take)
	into(c, "/stacks", &all.Stacks, take)
	into(c, "/hosts", &all.Hosts, take)
	into(c, "/networks", &all.Networks, take)
	return all, err
}

func into[T any](c *client, path string, target *T, take func(error)) {
	value, err := read[T](c, path)
	*target = value
	take(err)
}

func run(url, from, verb string) error {
	c := newClient(url, from)
	if err := c.wait(); err != nil {
		return err
	}
	output := json.NewEncoder(os.Stdout)
	containers := func() error {
		list, err := read[[]container](c, "/containers")
		if err != nil {
			return err
		}
		names := make([]string, len(list))
		for at, one := range list {
			names[at] = one.Name
		}
		return output.Encode(names)
	}
	switch verb {
	case "read":
		all, err := readWorld[container, service[container]](c, true)
		if err != nil {
			return err
		}
		return output.Encode(all)
	case "names":
		all, err := readWorld[string, string](c, false)
		if err != nil {
			return err
		}
		return output.Encode(all)
	case "poll":
		return c.poll(100*time.Millisecond, containers)
	case "long-poll":
		return c.longPoll(5, containers)
	}
	return fmt.Errorf("unknown verb %s", verb)
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: metadata_client URL FROM read|names|poll|long-poll")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
