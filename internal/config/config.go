package config

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Config is everything that can be set about a node. The key tag is the name in
// the file, below that of the struct around it; doc is what the sample says.
type Config struct {
	Node       string   `key:"node" doc:"Name of this node in logs, histories and the op log. Empty: the name of the host."`
	DataDir    string   `key:"data_dir" doc:"Directory of everything that the node keeps. Made if it does not exist; one node uses it at a time."`
	GRPC       GRPC     `key:"grpc"`
	HTTP       HTTP     `key:"http"`
	Auth       Auth     `key:"auth"`
	Activity   Activity `key:"activity"`
	Insecure   bool     `key:"insecure" doc:"Allow addresses other than loopback without auth.required, or without a certificate: whoever reaches them may do anything, or read along."`
	Partitions int      `key:"partitions" doc:"Number of partitions, 1 to 4096. Fixed when the data directory is made."`
	Memory     Memory   `key:"memory"`
	Storage    Storage  `key:"storage"`
	Broker     Broker   `key:"broker"`
	Store      Store    `key:"store"`
	Limits     Limits   `key:"limits"`
	Workers    Workers  `key:"workers"`
	Webhook    Webhook  `key:"webhook"`
	Log        Log      `key:"log"`
	Shutdown   Shutdown `key:"shutdown"`
}

// GRPC is the port of clients and workers.
type GRPC struct {
	Listen string      `key:"listen" doc:"Address of the gRPC API, for clients and workers. Port 0 takes a free one."`
	TLS    ListenerTLS `key:"tls"`
}

// HTTP is the port of everything else.
type HTTP struct {
	Listen string      `key:"listen" doc:"Address of the JSON API, /metrics, /healthz and /readyz. Port 0 takes a free one."`
	TLS    ListenerTLS `key:"tls"`
}

// ListenerTLS says how callers of a port and this node know each other.
type ListenerTLS struct {
	Cert       string `key:"cert" doc:"PEM file of the certificate that is shown to callers, followed by those between it and its authority. Read again when it changes, as are the others. Empty: connections are not encrypted."`
	Key        string `key:"key" doc:"PEM file of the key of that certificate."`
	ClientCA   string `key:"client_ca" doc:"PEM file of the authorities that must vouch for callers. Empty: callers need no certificate."`
	MinVersion string `key:"min_version" doc:"Least version of TLS: 1.3, or 1.2 for callers that are old."`
}

// Auth says who may do what.
type Auth struct {
	Required      bool   `key:"required" doc:"Whoever calls must show a token, and may do what its scopes allow. Tokens are made with: fenfa token create."`
	RootTokenFile string `key:"root_token_file" doc:"File with a token that may do everything, to make the first tokens with: fenfa token generate writes one. It is read again when it changes. Empty: there is no such token."`
}

// Activity says how long it is known who has changed what.
type Activity struct {
	Retention time.Duration `key:"retention" doc:"How long entries of activity are kept, which say who has changed what: 24h to 87840h."`
}

// Memory bounds the process.
type Memory struct {
	Limit     Size `key:"limit" doc:"Memory that the process should stay within. 0: GOMEMLIMIT where it is set, else 90% of what the container or the machine has."`
	GCPercent int  `key:"gc_percent" doc:"How much the heap may grow between garbage collections, in percent, as long as it is within the limit. 0: GOGC where it is set, else 200."`
}

// Storage tunes the embedded engine.
type Storage struct {
	Cache    Size `key:"cache" doc:"Memory for blocks of tables."`
	MemTable Size `key:"memtable" doc:"Writes kept in memory until they are flushed into a table."`
	MinFree  Size `key:"min_free" doc:"Free room on the disk below which the node refuses new tasks and goes on finishing old ones."`
}

// Broker says where queued tasks wait.
type Broker struct {
	URL      URL           `key:"url" doc:"Address of the servers that hold queued tasks: amqp://user:password@host:5672/vhost for RabbitMQ, amqps:// with TLS; several hosts of one cluster are separated by commas. Empty: the embedded broker, in data_dir. Whoever may list processes sees a flag, so give it in the file or in the environment."`
	Prefix   string        `key:"prefix" doc:"Begins the name of everything that is made on the servers: nodes with another prefix share nothing. Fixed while there are tasks."`
	Replicas int           `key:"replicas" doc:"Servers that hold a copy of each new queue, an odd number up to 9. 0: what the servers do by themselves, which is 3 where there are as many."`
	Timeout  time.Duration `key:"timeout" doc:"How long a submit, and other calls, wait for servers that do not answer, at least 3s. The start waits as long for the first connection."`
	TLS      BrokerTLS     `key:"tls"`
}

// BrokerTLS says how the servers of the broker and this node know each other.
type BrokerTLS struct {
	CA   string `key:"ca" doc:"PEM file of the authorities that may vouch for the servers. Empty: those that the machine trusts."`
	Cert string `key:"cert" doc:"PEM file of this node's own certificate, where the servers ask for one."`
	Key  string `key:"key" doc:"PEM file of the key of broker.tls.cert."`
}

// Store says where state lies.
type Store struct {
	URL         URL           `key:"url" doc:"Addresses of the databases that hold state, one for each shard, separated by commas: mysql://user:password@host:3306/database for MariaDB, MySQL or TiDB, mysqls:// with TLS. Several hosts of one shard, of which one takes changes, are separated by commas too. The order of shards never changes; new ones come at the end. Empty: the embedded store, in data_dir. Whoever may list processes sees a flag, so give it in the file or in the environment."`
	Timeout     time.Duration `key:"timeout" doc:"How long a commit, and other calls, wait for a database that is away, at least 1s. The start waits as long for the first connection."`
	Connections int           `key:"connections" doc:"Most connections to one shard, 4 to 1000."`
	Lifetime    time.Duration `key:"lifetime" doc:"How long one connection is used at most, so that connections spread again after a failover, at least 1s."`
	TLS         StoreTLS      `key:"tls"`
}

// StoreTLS says how the databases and this node know each other.
type StoreTLS struct {
	CA   string `key:"ca" doc:"PEM file of the authorities that may vouch for the databases. Empty: those that the machine trusts."`
	Cert string `key:"cert" doc:"PEM file of this node's own certificate, where the databases ask for one."`
	Key  string `key:"key" doc:"PEM file of the key of store.tls.cert."`
}

// Limits bounds requests and connections.
type Limits struct {
	Connections int  `key:"connections" doc:"Most open connections of each port; those beyond are closed at once. 1 to 1000000."`
	Streams     int  `key:"streams" doc:"Most calls and streams that go on at once over one gRPC connection, 1 to 100000; those beyond wait in the client."`
	Request     Size `key:"request" doc:"Largest gRPC message and largest HTTP body, 4 MiB to 1 GiB."`
}

// Workers says how tasks are spread over workers.
type Workers struct {
	SlowStart time.Duration `key:"slow_start" doc:"How long the weight of a worker that connects takes to rise from a tenth to all of it, at most 1h. 0: no time."`
	Eject     bool          `key:"eject" doc:"Keep workers for a while from a queue where clearly more of their attempts fail than those of others, and workers whose connections break again and again from all; never more than half of a queue's workers."`
}

// Webhook bounds what webhooks may reach.
type Webhook struct {
	Allow string `key:"allow" doc:"Addresses that are not public and that webhooks may reach all the same, like 127.0.0.1 or 10.1.0.0/16, separated by commas. Empty: none."`
}

// Prefixes are the allowed addresses.
func (w Webhook) Prefixes() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for text := range strings.SplitSeq(w.Allow, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			all = append(all, netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no address and no range of addresses: want 127.0.0.1 or 10.1.0.0/16", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Log says what is logged and how.
type Log struct {
	Level  string `key:"level" doc:"Least level of what is logged: debug, info, warn or error."`
	Format string `key:"format" doc:"text, json, or auto: text on a terminal, else json."`
}

// Shutdown has the two deadlines of the end of a node.
type Shutdown struct {
	Drain time.Duration `key:"drain" doc:"How long workers may finish what they have when the node is told to stop."`
	Stop  time.Duration `key:"stop" doc:"How long the node may take to close everything after that."`
}

// Default returns the configuration that nobody changed.
func Default() Config {
	return Config{
		DataDir:    "fenfa-data",
		GRPC:       GRPC{Listen: "127.0.0.1:7400", TLS: ListenerTLS{MinVersion: "1.3"}},
		HTTP:       HTTP{Listen: "127.0.0.1:7480", TLS: ListenerTLS{MinVersion: "1.3"}},
		Activity:   Activity{Retention: 90 * 24 * time.Hour},
		Partitions: 16,
		Storage:    Storage{Cache: 128 << 20, MemTable: 64 << 20, MinFree: 256 << 20},
		Broker:     Broker{Prefix: "fenfa", Timeout: 5 * time.Second},
		Store:      Store{Timeout: 15 * time.Second, Connections: 16, Lifetime: 30 * time.Minute},
		Limits:     Limits{Connections: 10_000, Streams: 1000, Request: 16 << 20},
		Workers:    Workers{SlowStart: 10 * time.Second, Eject: true},
		Log:        Log{Level: "info", Format: "auto"},
		Shutdown:   Shutdown{Drain: 25 * time.Second, Stop: 10 * time.Second},
	}
}
