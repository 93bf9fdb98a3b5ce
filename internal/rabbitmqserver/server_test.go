package rabbitmqserver

import (
	"os"
	"strings"
	"testing"
)

// cluster prepares one without starting anything.
func cluster(t *testing.T, cfg Config) *Cluster {
	t.Helper()
	cfg.Dir = t.TempDir()
	c := &Cluster{cfg: cfg}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServersHaveTheirOwnPortsNamesAndDirectories(t *testing.T) {
	c := cluster(t, Config{Nodes: 3})
	seen := map[string]bool{}
	for _, n := range c.Nodes {
		for _, own := range []string{n.Name(), n.Addr(), n.TLSAddr(), n.dir} {
			if seen[own] {
				t.Errorf("%s is used twice", own)
			}
			seen[own] = true
		}
		for _, want := range []string{"RABBITMQ_NODENAME=" + n.Name(), "HOME=" + c.cfg.Dir} {
			if !strings.Contains(strings.Join(n.environment(), "\n"), want) {
				t.Errorf("%s is not in the environment", want)
			}
		}
	}
	if got := c.Address(); !strings.HasPrefix(got, "amqp://"+User+":") || strings.Count(got, ",") != 2 || !strings.HasSuffix(got, c.Nodes[2].Addr()+"/") {
		t.Errorf("the address is %s", got)
	}
}

func TestServersListenOnLoopbackWithTheSettingsGiven(t *testing.T) {
	c := cluster(t, Config{Nodes: 1, Settings: []string{"vm_memory_high_watermark.absolute = 1GB"}, Cert: "/c", Key: "/k", CA: "/ca"})
	text, err := os.ReadFile(c.Nodes[0].dir + "/rabbitmq.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"listeners.tcp.1 = 127.0.0.1:", "listeners.ssl.1 = 127.0.0.1:", "ssl_options.keyfile = /k", "vm_memory_high_watermark.absolute = 1GB",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestStoppingWhatNeverStartedIsFine(t *testing.T) {
	c := cluster(t, Config{Nodes: 2})
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := c.Nodes[0].Kill(); err != nil {
		t.Error(err)
	}
}

// The start itself is tested by the driver's tests, which need a server.
func TestAServerIsFoundOrNot(t *testing.T) {
	dir, ok := Find()
	if ok != (dir != "") {
		t.Errorf("found %q: %v", dir, ok)
	}
}
