package config

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// load writes the file if there is any text, and parses arguments like --x=y.
func load(t *testing.T, file string, environ []string, args ...string) (*Loaded, error) {
	t.Helper()
	path := ""
	if file != "" {
		path = filepath.Join(t.TempDir(), "fenfa.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLoader()
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range l.Flags() {
		set.Var(f, f.Name, f.Usage)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return l.Load(path, environ)
}

func TestNothingGivenIsTheDefault(t *testing.T) {
	got, err := load(t, "", nil)
	if err != nil || got.Config != Default() {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, s := range got.Settings {
		if s.Source != "default" || s.Doc == "" || strings.HasPrefix(s.Key, ".") || strings.HasSuffix(s.Key, ".") {
			t.Errorf("%+v", s)
		}
	}
}

func TestTheLastOneThatSpeaksWins(t *testing.T) {
	file := "partitions: 4\nlog:\n  level: warn\n  format: text\nshutdown: {drain: 1m}\nstorage:\n"
	got, err := load(t, file, []string{"FENFA_LOG_LEVEL=error", "FENFA_LOG_FORMAT=json", "FENFA_STORAGE_CACHE=1GiB", "PATH=/bin"}, "--log-level=debug", "--insecure=true")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Partitions, want.Log, want.Shutdown.Drain = 4, Log{Level: "debug", Format: "json"}, time.Minute
	want.Storage.Cache, want.Insecure = 1<<30, true
	if got.Config != want {
		t.Errorf("got %+v\nwant %+v", got.Config, want)
	}
	for key, source := range map[string]string{
		"partitions": "fenfa.yaml:1", "log.level": "flag --log-level", "log.format": "environment FENFA_LOG_FORMAT",
		"shutdown.drain": "fenfa.yaml:5", "node": "default",
	} {
		if s := got.source(key); !strings.HasSuffix(s, source) {
			t.Errorf("%s comes from %q, want %q", key, s, source)
		}
	}
}

func TestTheEnvironmentMayNameTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte("node: from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := NewLoader().Load("", []string{"FENFA_CONFIG=" + path})
	if err != nil || got.Config.Node != "from-file" || len(got.Warnings) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadInputIsAnErrorThatNamesThePlace(t *testing.T) {
	for _, c := range []struct {
		name, file, env string
		args            []string
		want            []string
	}{
		{name: "unknown key", file: "node: a\ngrpc:\n  lisen: x\n", want: []string{"fenfa.yaml:3", `"grpc.lisen"`, `did you mean "grpc.listen"?`}},
		{name: "unknown key without a near one", file: "raft: true\n", want: []string{"fenfa.yaml:1", `there is no setting "raft"`}},
		{name: "set twice", file: "node: a\nnode: b\n", want: []string{"fenfa.yaml:2", `"node" is set twice`}},
		{name: "a section twice", file: "log: {level: info}\nlog: {format: text}\n", want: []string{"fenfa.yaml:2", `"log" is set twice`}},
		{name: "a list", file: "node: [a]\n", want: []string{"fenfa.yaml:1", `"node" wants one value`}},
		{name: "a value for a section", file: "grpc: 7400\n", want: []string{"fenfa.yaml:1", "want settings"}},
		{name: "no mapping", file: "hello\n", want: []string{"fenfa.yaml:1", "want settings"}},
		{name: "no YAML", file: "a: b: c\n", want: []string{"fenfa.yaml", "mapping values are not allowed"}},
		{name: "two documents", file: "node: a\n---\nnode: b\n", want: []string{"second document"}},
		{name: "a key that is a mapping", file: "? {a: b}\n: c\n", want: []string{"a key must be a word"}},
		{name: "a number", file: "partitions: many\n", want: []string{"fenfa.yaml:1", "partitions", `"many" is not a whole number`}},
		{name: "a duration", file: "shutdown: {drain: 5}\n", want: []string{"shutdown.drain", "not a duration", "30s"}},
		{name: "a size", env: "FENFA_STORAGE_CACHE=lots", want: []string{"environment FENFA_STORAGE_CACHE", "not a size", "64MiB"}},
		{name: "a flag's range", args: []string{"--partitions=5000"}, want: []string{"partitions (flag --partitions)", "1 to 4096"}},
		{name: "the environment's range", env: "FENFA_LOG_LEVEL=infoo", want: []string{"log.level (environment FENFA_LOG_LEVEL)", `did you mean "info"?`}},
		{name: "the file's range", file: "\nlimits: {request: 3MiB}\n", want: []string{"limits.request (file ", "fenfa.yaml:2)", "4MiB to 1GiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.file, []string{c.env}, c.args...)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func TestAFileThatIsNotThereIsAnError(t *testing.T) {
	if _, err := NewLoader().Load(filepath.Join(t.TempDir(), "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestAnEmptyFileChangesNothing(t *testing.T) {
	for _, file := range []string{"\n", "# nothing\n", "log:\n", "{}\n"} {
		if got, err := load(t, file, nil); err != nil || got.Config != Default() {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestAFlagRefusesAValueAtOnce(t *testing.T) {
	for _, f := range NewLoader().Flags() {
		if f.Name == "partitions" {
			if err := f.Set("x"); err == nil || f.String() != "16" || f.Type() != "string" {
				t.Errorf("%v, %s", err, f)
			}
			if err := f.Set("8"); err != nil || f.String() != "8" {
				t.Errorf("%v, %s", err, f)
			}
		}
		isSwitch := f.Name == "auth-required" || f.Name == "insecure" || f.Name == "workers-eject"
		if f.IsBool != isSwitch || f.IsBool != (f.Type() == "bool") {
			t.Errorf("%s is a switch: %v", f.Name, f.IsBool)
		}
	}
	if (&Flag{}).String() != "" {
		t.Error("the zero flag has a value")
	}
}

func TestSlipsInTheEnvironmentAreMentioned(t *testing.T) {
	got, err := load(t, "", []string{"FENFA_GRPC_LISTN=x", "FENFA_ADDR=y", "FENFA_TOKEN=z"})
	if err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "FENFA_GRPC_LISTEN") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAddressesBeyondLoopbackNeedInsecure(t *testing.T) {
	for address, refused := range map[string]bool{
		"127.0.0.1:7400": false, "127.9.9.9:1": false, "[::1]:7400": false, "localhost:0": false,
		"0.0.0.0:7400": true, ":7400": true, "[::]:7400": true, "10.0.0.1:7400": true, "example.org:7400": true, "localhost.evil:7400": true,
	} {
		c := Default()
		c.GRPC.Listen = address
		err := c.Validate()
		if (err != nil) != refused {
			t.Errorf("%s: %v", address, err)
		}
		if refused && !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s: the message does not say what to do: %v", address, err)
		}
		c.Insecure = true
		if err := c.Validate(); err != nil {
			t.Errorf("%s with insecure: %v", address, err)
		}
	}
}

// TestAddressesBeyondLoopbackNeedTokensAndTLS opens each port with some of what it
// needs.
func TestAddressesBeyondLoopbackNeedTokensAndTLS(t *testing.T) {
	tls := ListenerTLS{Cert: "c", Key: "k", MinVersion: "1.3"}
	for name, c := range map[string]struct {
		change func(*Config)
		lacks  []string
	}{
		"grpc, nothing":    {func(c *Config) { c.GRPC.Listen = ":7400" }, []string{"grpc.listen", "auth.required", "grpc.tls.cert", "--insecure"}},
		"grpc, no token":   {func(c *Config) { c.GRPC = GRPC{":7400", tls} }, []string{"grpc.listen", "auth.required"}},
		"grpc, no TLS":     {func(c *Config) { c.GRPC.Listen, c.Auth.Required = ":7400", true }, []string{"grpc.listen", "grpc.tls.cert"}},
		"http, other TLS":  {func(c *Config) { c.GRPC.TLS, c.HTTP.Listen, c.Auth.Required = tls, ":7480", true }, []string{"http.listen", "http.tls.cert"}},
		"http, no token":   {func(c *Config) { c.HTTP = HTTP{":7480", tls} }, []string{"http.listen", "auth.required"}},
		"both, everything": {func(c *Config) { c.GRPC, c.HTTP, c.Auth.Required = GRPC{":7400", tls}, HTTP{":7480", tls}, true }, nil},
		"key alone":        {func(c *Config) { c.GRPC.TLS.Key = "k" }, []string{"grpc.tls.cert"}},
		"authority alone":  {func(c *Config) { c.HTTP.TLS.ClientCA = "a" }, []string{"http.tls.cert"}},
		"old":              {func(c *Config) { c.HTTP.TLS.MinVersion = "1.1" }, []string{"http.tls.min_version"}},
		"root alone":       {func(c *Config) { c.Auth.RootTokenFile = "f" }, []string{"auth.root_token_file", "auth.required"}},
		"no connections":   {func(c *Config) { c.Limits.Connections = 0 }, []string{"limits.connections"}},
		"no streams":       {func(c *Config) { c.Limits.Streams = 0 }, []string{"limits.streams"}},
	} {
		config := Default()
		c.change(&config)
		err := config.Validate()
		if (err != nil) != (c.lacks != nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, lack := range c.lacks {
			if !strings.Contains(err.Error(), lack) {
				t.Errorf("%s: %q does not name %s", name, err, lack)
			}
		}
	}
}

func TestValuesOutOfRangeAreRefused(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"node":              func(c *Config) { c.Node = "two words" },
		"data_dir":          func(c *Config) { c.DataDir = "" },
		"grpc.listen":       func(c *Config) { c.GRPC.Listen = "7400" },
		"http.listen":       func(c *Config) { c.HTTP.Listen = "127.0.0.1:http" },
		"partitions":        func(c *Config) { c.Partitions = 0 },
		"memory.limit":      func(c *Config) { c.Memory.Limit = 1 << 20 },
		"memory.gc_percent": func(c *Config) { c.Memory.GCPercent = -1 },
		"storage.cache":     func(c *Config) { c.Storage.Cache = 0 },
		"storage.memtable":  func(c *Config) { c.Storage.MemTable = 8 << 30 },
		"storage.min_free":  func(c *Config) { c.Storage.MinFree = 0 },
		"broker.url":        func(c *Config) { c.Broker.URL = "amqq://h" },
		"broker.prefix":     func(c *Config) { c.Broker.Prefix = "a.b" },
		"broker.replicas":   func(c *Config) { c.Broker.Replicas = 2 },
		"broker.timeout":    func(c *Config) { c.Broker.Timeout = 0 },
		"broker.tls.ca":     func(c *Config) { c.Broker.URL, c.Broker.TLS.CA = "amqp://h", "/ca" },
		"broker.tls.cert":   func(c *Config) { c.Broker.URL, c.Broker.TLS.Cert = "amqps://h", "/cert" },
		"store.url":         func(c *Config) { c.Store.URL = "mysql://h/db,mysql://i" },
		"store.timeout":     func(c *Config) { c.Store.Timeout = 0 },
		"store.connections": func(c *Config) { c.Store.Connections = 1 },
		"store.lifetime":    func(c *Config) { c.Store.Lifetime = 0 },
		"store.tls.ca":      func(c *Config) { c.Store.URL, c.Store.TLS.CA = "mysql://h/db", "/ca" },
		"store.tls.cert":    func(c *Config) { c.Store.URL, c.Store.TLS.Cert = "mysqls://h/db", "/cert" },
		"limits.request":    func(c *Config) { c.Limits.Request = 2 << 30 },
		"log.level":         func(c *Config) { c.Log.Level = "" },
		"log.format":        func(c *Config) { c.Log.Format = "xml" },
		"shutdown.drain":    func(c *Config) { c.Shutdown.Drain = -1 },
		"shutdown.stop":     func(c *Config) { c.Shutdown.Stop = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%s: got %v", key, err)
		}
	}
	c := Default()
	c.HTTP.Listen = c.GRPC.Listen
	if err := c.Validate(); err == nil {
		t.Error("one port for both was accepted")
	}
	c.Node = strings.Repeat("n", maxNode+1)
	if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), "node: ") {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsPrintedLoadsAgain(t *testing.T) {
	first, err := load(t, "node: \"yes\"\nmemory: {limit: 1.5GiB}\n", nil, "--data-dir=/a b/'c'")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := first.Print(&b); err != nil {
		t.Fatal(err)
	}
	second, err := load(t, b.String(), nil)
	if err != nil || second.Config != first.Config {
		t.Errorf("%v\n%s", err, b.String())
	}
	for _, want := range []string{"# flag --data-dir\n", "# default\n", "limit: 1536MiB", "# file "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// sampleFile is written anew by running this test with -update.
const sampleFile = "../../docs/fenfa.sample.yaml"

var update = flag.Bool("update", false, "write generated files anew")

func TestTheSampleIsUpToDateAndIsTheDefault(t *testing.T) {
	if *update {
		if err := os.WriteFile(sampleFile, Sample(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, Sample()) {
		t.Errorf("%s is stale: run go test ./internal/config -update", sampleFile)
	}
	if got, err := load(t, string(b), nil); err != nil || got.Config != Default() {
		t.Errorf("the sample is not the default: %v", err)
	}
}

func TestSizesAreReadAndWritten(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "10B": 10, "64MiB": 64 << 20, "1.5 GiB": 3 << 29, "2KiB": 2048, "1kB": 1000, "3MB": 3e6, "1TiB": 1 << 40, "5GB": 5e9, "7TB": 7e12, " 1KB ": 1000,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q", text, got)
		}
	}
	for _, text := range []string{"", "MiB", "-1MiB", "1 mib", "1e30", "NaN", "Inf", "12x", "9223372036854775808"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q became %d", text, got)
		}
	}
}

func TestEveryFieldHasAKeyAndADoc(t *testing.T) {
	c := Default()
	seen := map[string]bool{}
	for _, f := range fields(&c) {
		if f.doc == "" || seen[f.flag()] || strings.ContainsAny(f.flag(), "._ ") || f.env() != strings.ToUpper(f.env()) {
			t.Errorf("%+v", f)
		}
		seen[f.flag()] = true
		if err := f.set(f.text()); err != nil {
			t.Errorf("%s: its own text cannot be read: %v", f.key, err)
		}
	}
	odd := field{value: reflect.ValueOf(&struct{ F []string }{}).Elem().Field(0)}
	if err := odd.set("x"); err == nil {
		t.Error("a field of an unknown type was set")
	}
}

func FuzzFile(f *testing.F) {
	f.Add(string(Sample()))
	f.Add("grpc:\n  listen: &a 1\nhttp: {listen: *a}\n")
	f.Add("? [a]\n: b\n")
	c := Default()
	var known []string
	for _, x := range fields(&c) {
		known = append(known, x.key)
	}
	f.Fuzz(func(t *testing.T, text string) {
		found, err := parseFile("f", []byte(text), known)
		if err != nil && found != nil {
			t.Error("an error came with settings")
		}
	})
}
