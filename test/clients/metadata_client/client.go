package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// The stock client's, whatever it asks the server to wait.
const timeout = 10 * time.Second

type client struct {
	url  string
	http *http.Client
}

// newClient asks from one address, as a container does: by it the server knows who asks.
func newClient(url, from string) *client {
	dialer := &net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return &client{url, &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{DialContext: dialer.DialContext},
	}}
}

func (c *client) send(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", c.url+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Add("Accept", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d accessing %s", response.StatusCode, path)
	}
	return io.ReadAll(response.Body)
}

func read[T any](c *client, path string) (T, error) {
	var value T
	body, err := c.send(path)
	if err == nil {
		err = json.Unmarshal(body, &value)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return value, err
}

// wait returns when the server answers; it asks after 1, 2, 4 and 8 seconds.
func (c *client) wait() error {
	var err error
	for pause := time.Second; pause < 20*time.Second; pause *= 2 {
		if _, err = c.send("/version"); err == nil {
			return nil
		}
		time.Sleep(pause)
	}
	return err
}

// poll asks for the version anew each time the interval is over.
func (c *client) poll(interval time.Duration, changed func() error) error {
	known := ""
	for ; ; time.Sleep(interval) {
		version, err := read[string](c, "/version")
		if err != nil {
			return err
		}
		if version == known {
			continue
		}
		known = version
		if err := changed(); err != nil {
			return err
		}
	}
}

// longPoll is told of each change by a request that is held until there is one.
func (c *client) longPoll(seconds int, changed func() error) error {
	known := "init"
	for {
		path := fmt.Sprintf("/version?wait=true&value=%s&maxWait=%d", known, seconds)
		version, err := read[string](c, path)
		if err != nil {
			return err
		}
		if version == known {
			continue
		}
		known = version
		if err := changed(); err != nil {
			return err
		}
	}
}
