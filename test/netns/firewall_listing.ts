/** A state of the firewall, and what people see of it. */
import type { FirewallState } from "../../src/firewall/state.ts"
import { Tunnels } from "../../src/firewall/tunnels.ts"

const MANAGED = ["10.42.0.0/16", "fd00:42::/48"]
const ROUTED = ["10.43.0.0/16", "fd00:43::/48"]

/** A network in VXLAN, one that is routed, one in ESP. */
function tunnelsOf(): Tunnels {
  const tunnels = new Tunnels()
  tunnels.bridges(["docker0"])
  tunnels.encapsulate("vxlan", { subnets: MANAGED, vxlan: { port: 4789, vni: 1042 } })
  tunnels.own("vxlan", ["10.42.1.0/24", "fd00:42:0:1::/64"])
  const hosts = ["192.0.2.2", "2001:db8::2"]
  const blocks = ["10.42.2.0/24", "fd00:42:0:2::/64"]
  const sources = hosts.flatMap((outer) => blocks.map((prefix) => ({ outer, prefix })))
  tunnels.peer("vxlan", "b", { hosts, sources })
  tunnels.encapsulate("routed", { subnets: ROUTED, plain: true })
  const behind = ["10.43.2.0/24", "fd00:43:0:2::/64"].map((prefix) => ({ link: "eth0", prefix }))
  tunnels.peer("routed", "c", { hosts: ["192.0.2.3"], sources: behind })
  for (const network of ["vxlan", "routed"]) tunnels.complete(network)
  tunnels.encapsulate("esp", {
    subnets: ["10.44.0.0/16"],
    authenticatedPorts: [4500],
    authenticatedProtocols: [50],
  })
  tunnels.settle()
  return tunnels
}

export const STATE: FirewallState = {
  hostNat: [
    { subnet: "10.42.0.0/16", bridge: "docker0" },
    { subnet: "fd00:42::/64", bridge: "docker0" },
  ],
  overlay: ["10.42.0.0/16", "10.99.0.0/16", "fd00:42::/64"],
  masquerade: ["10.43.0.2/16", "fd00:43::2/64"],
  clamp: ["10.42.0.0/16", "lariat0"],
  tunnels: tunnelsOf(),
  limits: {
    services: [
      { protocol: "tcp", address: "169.254.169.250", port: 80 },
      { protocol: "udp", address: "::", port: 53 },
    ],
    values: {
      connections: 256,
      connectionsInAll: 4096,
      connectionsPerSecond: 1000,
      bytesPerSecond: 500_000,
      queriesPerSecond: 50,
    },
  },
}

/** What people see of {@link STATE}. */
export const LISTING = `table inet lariat {
	comment "Lariat: made by its agent, which mends it; do not edit"
	set open4 {
		type ipv4_addr
		size 65535
		flags dynamic
	}

	set open6 {
		type ipv6_addr
		size 65535
		flags dynamic
	}

	set together4 {
		type ipv4_addr
		size 65535
		flags dynamic
	}

	set together6 {
		type ipv6_addr
		size 65535
		flags dynamic
	}

	set opening4 {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set opening6 {
		type ipv6_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set sending4 {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set sending6 {
		type ipv6_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set asking4 {
		type ipv4_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set asking6 {
		type ipv6_addr
		size 65535
		flags dynamic,timeout
		timeout 1m
	}

	set bridges {
		type ifname
		comment "bridges of containers"
		elements = { "docker0" }
	}

	set tunnelports {
		type inet_service
		comment "UDP ports of tunnels that take what comes"
		elements = { 4789 }
	}

	set authenticatedports {
		type inet_service
		comment "UDP ports of tunnels that check a key"
		elements = { 4500 }
	}

	set authenticatedprotocols {
		type inet_proto
		comment "protocols of tunnels that check a key"
		elements = { esp }
	}

	set vnis {
		typeof udp dport . @th,96,24
		comment "VXLAN of known peers alone: UDP port, VNI"
		elements = { 4789 . 0x412 }
	}

	set hosts4 {
		type ipv4_addr
		comment "addresses of other hosts"
		elements = { 192.0.2.2, 192.0.2.3 }
	}

	set guarded4 {
		type ipv4_addr
		flags interval
		comment "networks of which this host's own blocks are known"
		elements = { 10.42.0.0/16 }
	}

	set own4 {
		type ipv4_addr
		flags interval
		comment "this host's blocks"
		elements = { 10.42.1.0/24 }
	}

	set plain4 {
		type ipv4_addr
		flags interval
		comment "networks that are routed between hosts without a tunnel"
		elements = { 10.43.0.0/16 }
	}

	set routed4 {
		type ifname . ipv4_addr
		flags interval
		comment "links, and the blocks of the peers behind them"
		elements = { "eth0" . 10.43.2.0/24 }
	}

	set hosts6 {
		type ipv6_addr
		comment "addresses of other hosts"
		elements = { 2001:db8::2 }
	}

	set guarded6 {
		type ipv6_addr
		flags interval
		comment "networks of which this host's own blocks are known"
		elements = { fd00:42::/48 }
	}

	set own6 {
		type ipv6_addr
		flags interval
		comment "this host's blocks"
		elements = { fd00:42:0:1::/64 }
	}

	set plain6 {
		type ipv6_addr
		flags interval
		comment "networks that are routed between hosts without a tunnel"
		elements = { fd00:43::/48 }
	}

	set routed6 {
		type ifname . ipv6_addr
		flags interval
		comment "links, and the blocks of the peers behind them"
		elements = { "eth0" . fd00:43:0:2::/64 }
	}

	set peers44 {
		typeof ip saddr . @th,336,32
		flags interval
		comment "addresses of VXLAN peers, and their blocks"
		elements = { 192.0.2.2 . 0xa2a0200-0xa2a02ff }
	}

	set peers46 {
		typeof ip saddr . @th,304,128
		flags interval
		comment "addresses of VXLAN peers, and their blocks"
		elements = { 192.0.2.2 . 0xfd000042000000020000000000000000-0xfd00004200000002ffffffffffffffff }
	}

	set peers64 {
		typeof ip6 saddr . @th,336,32
		flags interval
		comment "addresses of VXLAN peers, and their blocks"
		elements = { 2001:db8::2 . 0xa2a0200-0xa2a02ff }
	}

	set peers66 {
		typeof ip6 saddr . @th,304,128
		flags interval
		comment "addresses of VXLAN peers, and their blocks"
		elements = { 2001:db8::2 . 0xfd000042000000020000000000000000-0xfd00004200000002ffffffffffffffff }
	}

	set never4 {
		type ipv4_addr
		flags interval
		comment "destinations that always see the container's own address"
		elements = { 10.42.0.0/16, 10.99.0.0/16,
			     169.254.169.250, 224.0.0.0/4,
			     255.255.255.255 }
	}

	set home4 {
		type ipv4_addr . ifname
		flags interval
		comment "subnets and their own bridge, where they keep their source"
		elements = { 10.42.0.0/16 . "docker0" }
	}

	set hostnat4 {
		type ipv4_addr
		flags interval
		comment "subnets that leave this host under its address (hostNat)"
		elements = { 10.42.0.0/16 }
	}

	set inside4 {
		type ipv4_addr . ipv4_addr
		flags interval
		comment "source and destination in one subnet (for ipMasq)"
		elements = { 10.43.0.0/16 . 10.43.0.0/16 }
	}

	set masquerade4 {
		type ipv4_addr
		comment "containers that leave their subnet under the host's address (ipMasq)"
		elements = { 10.43.0.2 }
	}

	set clamp4 {
		type ipv4_addr
		flags interval
		comment "subnets whose TCP connections heed the MTU of their path"
		elements = { 10.42.0.0/16 }
	}

	set never6 {
		type ipv6_addr
		flags interval
		comment "destinations that always see the container's own address"
		elements = { fd00:42::/64,
			     fe80::/10,
			     ff00::/8 }
	}

	set home6 {
		type ipv6_addr . ifname
		flags interval
		comment "subnets and their own bridge, where they keep their source"
		elements = { fd00:42::/64 . "docker0" }
	}

	set hostnat6 {
		type ipv6_addr
		flags interval
		comment "subnets that leave this host under its address (hostNat)"
		elements = { fd00:42::/64 }
	}

	set inside6 {
		type ipv6_addr . ipv6_addr
		flags interval
		comment "source and destination in one subnet (for ipMasq)"
		elements = { fd00:43::/64 . fd00:43::/64 }
	}

	set masquerade6 {
		type ipv6_addr
		comment "containers that leave their subnet under the host's address (ipMasq)"
		elements = { fd00:43::2 }
	}

	set clamp6 {
		type ipv6_addr
		flags interval
		comment "subnets whose TCP connections heed the MTU of their path"
	}

	set clamplinks {
		type ifname
		comment "devices whose TCP connections heed the MTU of their path"
		elements = { "lariat0" }
	}

	chain connections {
		comment "TCP to this host's services"
		update @sending4 { ip saddr limit rate over 500000 bytes/second burst 500000 bytes } counter drop comment "bytesPerSecond"
		update @sending6 { ip6 saddr limit rate over 500000 bytes/second burst 500000 bytes } counter drop comment "bytesPerSecond"
		tcp flags != syn / syn,ack return comment "of a connection that there is"
		update @opening4 { ip saddr limit rate over 1000/second burst 1000 packets } counter drop comment "connectionsPerSecond"
		update @opening6 { ip6 saddr limit rate over 1000/second burst 1000 packets } counter drop comment "connectionsPerSecond"
		add @open4 { ip saddr ct count over 256 } counter drop comment "connections"
		add @open6 { ip6 saddr ct count over 256 } counter drop comment "connections"
		add @together4 { ip saddr & 0.0.0.15 ct count over 256 } counter drop comment "connectionsInAll"
		add @together6 { ip6 saddr & ::f ct count over 256 } counter drop comment "connectionsInAll"
	}

	chain queries {
		comment "datagrams to this host's services"
		update @asking4 { ip saddr limit rate over 50/second burst 50 packets } counter drop comment "queriesPerSecond"
		update @asking6 { ip6 saddr limit rate over 50/second burst 50 packets } counter drop comment "queriesPerSecond"
	}

	chain input {
		type filter hook input priority filter - 1; policy accept;
		iifname "lo" return comment "from this host itself"
		ip daddr 169.254.169.250 tcp dport 80 jump connections
		udp dport 53 jump queries
	}

	chain unwrap {
		comment "VXLAN to this host: each peer speaks for its own blocks"
		@th,224,16 0x800 ip saddr . @th,336,32 @peers44 return
		@th,224,16 0x86dd ip saddr . @th,304,128 @peers46 return
		@th,224,16 0x800 ip6 saddr . @th,336,32 @peers64 return
		@th,224,16 0x86dd ip6 saddr . @th,304,128 @peers66 return
		counter drop comment "foreignTunnels"
	}

	chain inward {
		comment "what containers send to this host"
		udp dport @tunnelports counter drop comment "tunnelsOfContainers"
		udp dport @authenticatedports counter drop comment "tunnelsOfContainers"
		meta l4proto @authenticatedprotocols counter drop comment "tunnelsOfContainers"
	}

	chain outward {
		comment "what containers send through this host"
		oifname @bridges return
		udp dport @tunnelports counter drop comment "tunnelsOfContainers"
		ip daddr @hosts4 udp dport @authenticatedports counter drop comment "tunnelsOfContainers"
		ip daddr @hosts4 meta l4proto @authenticatedprotocols counter drop comment "tunnelsOfContainers"
		ip daddr @guarded4 ip saddr != @own4 counter drop comment "foreignSources"
		ip6 daddr @hosts6 udp dport @authenticatedports counter drop comment "tunnelsOfContainers"
		ip6 daddr @hosts6 meta l4proto @authenticatedprotocols counter drop comment "tunnelsOfContainers"
		ip6 daddr @guarded6 ip6 saddr != @own6 counter drop comment "foreignSources"
	}

	chain arrivals {
		type filter hook input priority filter - 2; policy accept;
		iifname "lo" return comment "from this host itself"
		iifgroup 1819410433 counter drop comment "pastTheBridge"
		iifname @bridges jump inward
		ip saddr @plain4 iifname != @bridges iifname . ip saddr != @routed4 counter drop comment "foreignSources"
		ip6 saddr @plain6 iifname != @bridges iifname . ip6 saddr != @routed6 counter drop comment "foreignSources"
		udp dport . @th,96,24 @vnis jump unwrap
	}

	chain translate {
		comment "the host's address becomes the source"
		meta l4proto tcp masquerade to :1024-65535 fully-random
		meta l4proto udp masquerade to :1024-65535 fully-random
		masquerade fully-random
	}

	chain postrouting {
		type nat hook postrouting priority srcnat - 1; policy accept;
		oifname "lo" return comment "to this host itself"
		ip daddr @never4 return
		ip saddr . oifname @home4 return
		ip6 daddr @never6 return
		ip6 saddr . oifname @home6 return
		ip saddr @hostnat4 counter goto translate comment "hostNat"
		ip saddr @masquerade4 ip saddr . ip daddr != @inside4 counter goto translate comment "ipMasq"
		ip6 saddr @hostnat6 counter goto translate comment "hostNat"
		ip6 saddr @masquerade6 ip6 saddr . ip6 daddr != @inside6 counter goto translate comment "ipMasq"
	}

	chain shorten {
		comment "TCP offers no larger segments than the path carries"
		tcp option maxseg size set rt mtu
	}

	chain clamp {
		comment "connections whose path may be narrower than their ends know"
		ip saddr @clamp4 goto shorten
		ip daddr @clamp4 goto shorten
		ip6 saddr @clamp6 goto shorten
		ip6 daddr @clamp6 goto shorten
		iifname @clamplinks goto shorten
		oifname @clamplinks goto shorten
	}

	chain forward {
		type filter hook forward priority mangle; policy accept;
		iifname @bridges jump outward
		ip saddr @plain4 iifname != @bridges iifname . ip saddr != @routed4 counter drop comment "foreignSources"
		ip6 saddr @plain6 iifname != @bridges iifname . ip6 saddr != @routed6 counter drop comment "foreignSources"
		tcp flags syn jump clamp
	}
}
`
