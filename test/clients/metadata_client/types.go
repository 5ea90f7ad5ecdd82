package main

// What the API's objects are to a Go program: a value of another type is an error of encoding/json,
// null and a missing field leave the zero value. The fields are those of the API's documentation.

type environment struct {
	Name       string `json:"name"`
	UUID       string `json:"uuid"`
	RegionName string `json:"region_name"`
}

type healthCheck struct {
	HealthyThreshold   int    `json:"healthy_threshold"`
	Interval           int    `json:"interval"`
	Port               int    `json:"port"`
	RequestLine        string `json:"request_line"`
	ResponseTimeout    int    `json:"response_timeout"`
	UnhealthyThreshold int    `json:"unhealthy_threshold"`
}

type portRule struct {
	SourcePort  int    `json:"source_port"`
	Protocol    string `json:"protocol"`
	Path        string `json:"path"`
	Hostname    string `json:"hostname"`
	Service     string `json:"service"`
	TargetPort  int    `json:"target_port"`
	Priority    int    `json:"priority"`
	BackendName string `json:"backend_name"`
	Selector    string `json:"selector"`
	Container   string `json:"container"`
}

type lbConfig struct {
	Certs       []string   `json:"certs"`
	DefaultCert string     `json:"default_cert"`
	PortRules   []portRule `json:"port_rules"`
	Config      string     `json:"config"`
}

type container struct {
	CreateIndex              int               `json:"create_index"`
	DNS                      []string          `json:"dns"`
	DNSSearch                []string          `json:"dns_search"`
	EnvironmentUUID          string            `json:"environment_uuid"`
	ExternalID               string            `json:"external_id"`
	HealthCheck              healthCheck       `json:"health_check"`
	HealthCheckHosts         []string          `json:"health_check_hosts"`
	HealthState              string            `json:"health_state"`
	HostUUID                 string            `json:"host_uuid"`
	Hostname                 string            `json:"hostname"`
	IPs                      []string          `json:"ips"`
	Labels                   map[string]string `json:"labels"`
	Links                    map[string]string `json:"links"`
	MemoryReservation        int64             `json:"memory_reservation"`
	MilliCPUReservation      int64             `json:"milli_cpu_reservation"`
	Name                     string            `json:"name"`
	NetworkFromContainerUUID string            `json:"network_from_container_uuid"`
	NetworkUUID              string            `json:"network_uuid"`
	Ports                    []string          `json:"ports"`
	PrimaryIP                string            `json:"primary_ip"`
	PrimaryMacAddress        string            `json:"primary_mac_address"`
	ServiceIndex             string            `json:"service_index"`
	ServiceName              string            `json:"service_name"`
	ServiceUUID              string            `json:"service_uuid"`
	StackName                string            `json:"stack_name"`
	StackUUID                string            `json:"stack_uuid"`
	StartCount               int               `json:"start_count"`
	State                    string            `json:"state"`
	System                   bool              `json:"system"`
	UUID                     string            `json:"uuid"`
}

// C is container, or string in the version that has names alone.
type service[C any] struct {
	Containers         []C                    `json:"containers"`
	CreateIndex        int                    `json:"create_index"`
	EnvironmentUUID    string                 `json:"environment_uuid"`
	Expose             []string               `json:"expose"`
	ExternalIPs        []string               `json:"external_ips"`
	Fqdn               string                 `json:"fqdn"`
	HealthCheck        healthCheck            `json:"health_check"`
	Hostname           string                 `json:"hostname"`
	Kind               string                 `json:"kind"`
	Labels             map[string]string      `json:"labels"`
	LBConfig           lbConfig               `json:"lb_config"`
	Links              map[string]string      `json:"links"`
	Metadata           map[string]interface{} `json:"metadata"`
	Name               string                 `json:"name"`
	Ports              []string               `json:"ports"`
	PrimaryServiceName string                 `json:"primary_service_name"`
	Scale              int                    `json:"scale"`
	Sidekicks          []string               `json:"sidekicks"`
	StackName          string                 `json:"stack_name"`
	StackUUID          string                 `json:"stack_uuid"`
	State              string                 `json:"state"`
	System             bool                   `json:"system"`
	Token              string                 `json:"token"`
	UUID               string                 `json:"uuid"`
	Vip                string                 `json:"vip"`
}

// S is service, or string in the version that has names alone.
type stack[S any] struct {
	EnvironmentName string `json:"environment_name"`
	EnvironmentUUID string `json:"environment_uuid"`
	Name            string `json:"name"`
	Services        []S    `json:"services"`
	System          bool   `json:"system"`
	UUID            string `json:"uuid"`
}

type host struct {
	AgentIP         string            `json:"agent_ip"`
	AgentState      string            `json:"agent_state"`
	EnvironmentUUID string            `json:"environment_uuid"`
	HostID          int               `json:"hostId"`
	Hostname        string            `json:"hostname"`
	Labels          map[string]string `json:"labels"`
	LocalStorageMb  int64             `json:"local_storage_mb"`
	Memory          int64             `json:"memory"`
	MilliCPU        int64             `json:"milli_cpu"`
	Name            string            `json:"name"`
	State           string            `json:"state"`
	UUID            string            `json:"uuid"`
}

type network struct {
	DefaultPolicyAction string                 `json:"default_policy_action"`
	EnvironmentUUID     string                 `json:"environment_uuid"`
	HostPorts           bool                   `json:"host_ports"`
	IsDefault           bool                   `json:"is_default"`
	Metadata            map[string]interface{} `json:"metadata"`
	Name                string                 `json:"name"`
	UUID                string                 `json:"uuid"`
}
