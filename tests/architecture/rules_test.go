package architecture

// layers lists every package of the tree, lowest layer first. A package imports
// packages of lower layers only; packages of one layer do not know each other.
// A package that is not listed fails the test: give it its place here.
var layers = [][]string{
	{"internal/clock", "internal/lifecycle", "internal/spell", "internal/loopback", "internal/debian", "internal/chart", "internal/top", "internal/readable", "internal/openapi", "api"},
	{"internal/child", "internal/openapi/compile"},
	{"internal/rabbitmqserver", "internal/mariadbserver", "internal/task", "internal/openapi/protoc-gen-openapi", "api/fenfa/v1"},
	{"", "internal/broker", "internal/store", "internal/balance", "internal/certs", "internal/fault", "internal/history", "internal/config", "internal/taskfile", "internal/saga", "internal/cron"},
	{"internal/broker/faulty", "internal/broker/recent", "internal/store/faulty", "internal/store/codec", "internal/store/gate", "internal/mariadbserver/mariadbtest", "internal/certs/certstest", "internal/orders", "internal/balance/simulate", "internal/sagafile", "internal/txn"},
	{"internal/kv", "internal/access", "internal/activity", "internal/ledger", "internal/limit", "internal/lock", "internal/watch", "internal/store/storefake", "internal/broker/brokertest", "internal/store/storetest", "internal/broker/rabbitmq/rabbitmqtest"},
	{"internal/broker/idspace", "internal/audit"},
	{"internal/broker/embedded", "internal/broker/rabbitmq", "internal/broker/indexed", "internal/store/embedded", "internal/store/mysql", "internal/kv/kvtest", "internal/partition"},
	{"internal/broker/all", "internal/store/all", "internal/dispatch", "internal/telemetry"},
	{"internal/pull", "internal/webhook"},
	{"internal/server"},
	{"internal/node"},
	{"fenfatest", "fenfaotel", "internal/bench", "internal/demo"},
	{"examples/inventory", "examples/order", "examples/wallet", "internal/bridge/rabbitmq"},
	{"cmd/fenfa"},
	{"tests/architecture", "tests/engine", "tests/harness"},
	{"tests/languages", "tests/locks", "tests/shards", "tests/transactions", "tests/robustness", "tests/sagas", "tests/workers"},
}

// ban keeps an import, with all below it, to the packages that are there for it.
type ban struct {
	imported string   // import path of a library, or place in the tree
	only     []string // places in the tree that may import it
	tests    bool     // the ban holds for test files too
	why      string
}

var bans = []ban{
	{
		imported: "github.com/cockroachdb/pebble/v2", only: []string{"internal/kv"}, tests: true,
		why: "one package knows Pebble and its traps; everything else speaks of key spaces",
	},
	{
		imported: "github.com/gdamore/tcell/v3", only: []string{"internal/top"}, tests: true,
		why: "one package owns the terminal",
	},
	{
		imported: "github.com/spf13/cobra", only: []string{"cmd/fenfa"}, tests: true,
		why: "a flag is a matter of the command, a setting one of internal/config",
	},
	{
		imported: "go.opentelemetry.io/otel", only: []string{"fenfaotel"}, tests: true,
		why: "whoever does not trace does not build it",
	},
	{
		imported: "internal/broker/all", only: []string{"internal/node"}, tests: true,
		why: "drivers are chosen in one place",
	},
	{
		imported: "internal/store/all", only: []string{"internal/node"}, tests: true,
		why: "drivers are chosen in one place",
	},
	{
		imported: "internal/kv", only: []string{"internal/broker/embedded", "internal/broker/idspace", "internal/broker/indexed", "internal/store/embedded", "internal/node", "internal/bench"},
		why: "the embedded engine is one choice among several; only its drivers, the index that a node keeps of another broker, and the node that opens it know it",
	},
	{
		imported: "internal/broker/embedded", only: []string{"internal/broker/all", "internal/node"},
		why: "the port is enough for everyone else",
	},
	{
		imported: "internal/broker/rabbitmq", only: []string{"internal/broker/all", "internal/node", "internal/bridge/rabbitmq", "cmd/fenfa"},
		why: "the port is enough for everyone else, but for the bridge and its command, which reach a server in the same way",
	},
	{
		imported: "github.com/rabbitmq/amqp091-go", only: []string{"internal/broker/rabbitmq", "internal/rabbitmqserver", "internal/bench", "internal/bridge/rabbitmq"},
		why: "no type of a vendor crosses a port; beside the driver and the bridge, only what cleans up after a demo and the baseline of a benchmark speak to the server",
	},
	{
		imported: "internal/store/embedded", only: []string{"internal/store/all", "internal/node"},
		why: "the port is enough for everyone else",
	},
	{
		imported: "internal/store/mysql", only: []string{"internal/store/all", "internal/node"},
		why: "the port is enough for everyone else",
	},
	{
		imported: "github.com/go-sql-driver/mysql", only: []string{"internal/store/mysql", "internal/mariadbserver", "internal/bench"}, tests: true,
		why: "no type of a vendor crosses a port; beside the driver, only what starts private servers and the baseline of a benchmark speak to a database",
	},
	{
		imported: "google.golang.org/grpc", only: []string{"", "api", "api/fenfa/v1", "internal/dispatch", "internal/server", "internal/node", "internal/bench", "internal/demo", "cmd/fenfa", "fenfatest"},
		why: "transport ends at the server and at the SDK",
	},
	{
		imported: "api/fenfa/v1", only: []string{"", "internal/dispatch", "internal/server", "internal/node", "internal/bench", "internal/demo", "cmd/fenfa", "fenfatest"},
		why: "wire types end at the server and at the SDK",
	},
}

// allowance closes a package: it imports the standard library and what is listed,
// with all below that, and nothing else.
type allowance struct {
	importer string
	may      []string
	why      string
}

var allowances = []allowance{
	{"internal/clock", nil, "a leaf stands on the standard library alone"},
	{"internal/lifecycle", nil, "a leaf stands on the standard library alone"},
	{"internal/top", []string{"github.com/clipperhouse/displaywidth", "github.com/gdamore/tcell/v3"}, "the view is a model and a terminal; what it shows is handed in"},
	{"internal/chart", nil, "a leaf stands on the standard library alone"},
	{"internal/readable", []string{"google.golang.org/protobuf"}, "a form of JSON knows descriptors and no message"},
	{"internal/openapi", nil, "the document is carried, not made, by the node"},
	{"internal/openapi/compile", []string{"internal/readable", "google.golang.org/protobuf", "go.yaml.in/yaml/v3"}, "a compiler is pure"},
	{"internal/task", []string{"github.com/cespare/xxhash/v2"}, "the vocabulary depends on nothing of ours"},
	{"internal/balance", []string{"internal/task", "github.com/cespare/xxhash/v2"}, "a picker is pure"},
	{"internal/saga", []string{"internal/task"}, "a state machine is pure"},
	{"internal/cron", []string{"internal/task"}, "a state machine is pure"},
	{"internal/sagafile", []string{"internal/saga", "internal/spell", "go.yaml.in/yaml/v3"}, "a reader of files does nothing else"},
	{"internal/balance/simulate", []string{"internal/balance", "internal/chart", "internal/task"}, "a simulation has no clock and no I/O"},
	{"internal/broker", []string{"internal/task"}, "a port names no driver and no vendor"},
	{"internal/store", []string{"internal/task"}, "a port names no driver and no vendor"},
	{"internal/broker/recent", []string{"internal/task", "github.com/cespare/xxhash/v2"}, "a filter of ids is pure"},
	{
		"internal/broker/idspace",
		[]string{"internal/kv", "internal/task", "internal/clock"},
		"rows under ids are kept for any broker, and know none",
	},
	{
		"internal/broker/indexed",
		[]string{"internal/broker", "internal/broker/idspace", "internal/broker/recent", "internal/kv", "internal/task", "internal/clock", "github.com/prometheus/client_golang"},
		"a decorator knows the port and no driver",
	},
	{
		"internal/access",
		[]string{"internal/clock", "internal/spell", "internal/store", "internal/task", "github.com/prometheus/client_golang"},
		"who may do what is decided without a transport",
	},
	{"internal/certs", []string{"internal/clock", "github.com/prometheus/client_golang"}, "a keeper of files knows nothing of what is served with them"},
	{"fenfaotel", []string{"", "go.opentelemetry.io/otel"}, "tracing is a layer on the SDK, for those who want it"},
	{"internal/activity", []string{"internal/clock", "internal/task", "github.com/prometheus/client_golang"}, "a list of what was done knows neither engine nor transport"},
	{"internal/lock", []string{"internal/task"}, "who holds a lock is decided without I/O and without a clock"},
	{"internal/txn", []string{"internal/task", "internal/store"}, "the rules of a transaction are apart from all I/O"},
	{"internal/ledger", []string{"internal/task", "internal/store", "internal/txn", "internal/clock", "github.com/cespare/xxhash/v2"}, "the ledger builds rows and knows no driver"},
	{
		"internal/broker/embedded",
		[]string{"internal/broker", "internal/broker/idspace", "internal/broker/recent", "internal/kv", "internal/task", "internal/clock", "internal/lifecycle", "github.com/prometheus/client_golang"},
		"a driver knows its port and leaves, so that adding one cannot touch what may happen to a task",
	},
	{
		"internal/broker/rabbitmq",
		[]string{
			"internal/broker", "internal/task", "golang.org/x/sync", "github.com/cespare/xxhash/v2",
			"github.com/prometheus/client_golang", "github.com/rabbitmq/amqp091-go",
		},
		"a driver knows its port and leaves, so that adding one cannot touch what may happen to a task",
	},
	{
		"internal/bridge/rabbitmq",
		[]string{"", "internal/broker/rabbitmq", "github.com/rabbitmq/amqp091-go"},
		"a bridge is a client of both sides and knows nothing of a node",
	},
	{
		"internal/store/embedded",
		[]string{"internal/store", "internal/store/codec", "internal/store/gate", "internal/kv", "internal/task", "internal/clock", "internal/lifecycle", "github.com/prometheus/client_golang"},
		"a driver knows its port and leaves, so that adding one cannot touch what may happen to a task",
	},
	{
		"internal/store/mysql",
		[]string{
			"internal/store", "internal/store/codec", "internal/store/gate", "internal/task", "internal/clock", "golang.org/x/sync",
			"github.com/prometheus/client_golang", "github.com/go-sql-driver/mysql",
		},
		"a driver knows its port and leaves, so that adding one cannot touch what may happen to a task",
	},
	{
		"",
		[]string{"api", "google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto/googleapis/rpc"},
		"users of the SDK get gRPC and the wire types, and no part of the server",
	},
}

// Limits of length, in lines. Generated files have none. A test may be longer
// than other functions, because the table of its cases is data.
const (
	maxFileLines     = 600
	maxFunctionLines = 80
	maxTestLines     = 160
)

// long lists what may be longer, and why. The key is a file, or a file and a
// function like "internal/x/y.go:Name".
var long = map[string]string{}
