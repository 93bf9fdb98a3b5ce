package embedded_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/embedded"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
)

const tailBytes = 32 << 10

// smallEngine is an engine whose memtables fill and flush within a test.
func smallEngine(disk *kvtest.Disk) kv.Config {
	return kv.Config{Dir: "data", FS: disk.FS(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
}

func openEngine(t *testing.T, cfg kv.Config) *kv.DB {
	t.Helper()
	db, err := kv.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func openBroker(t *testing.T, cfg embedded.Config) *embedded.Broker {
	t.Helper()
	if cfg.TailBytes == 0 {
		cfg.TailBytes = tailBytes
	}
	if cfg.RecentIDs == 0 {
		cfg.RecentIDs = 256
	}
	b, err := embedded.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// harness opens a broker, and how reopens it: cleanly, or as after a crash.
func harness(t *testing.T, cfg kv.Config) brokertest.Harness {
	t.Helper()
	db := openEngine(t, cfg)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	b := openBroker(t, embedded.Config{DB: db})
	return brokertest.Harness{
		Broker:    b,
		TailBytes: tailBytes,
		Reopen: func(t *testing.T) broker.Broker {
			t.Helper()
			if err := b.Close(t.Context()); err != nil {
				t.Errorf("close broker: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("close engine: %v", err)
			}
			db = openEngine(t, cfg)
			b = openBroker(t, embedded.Config{DB: db})
			return b
		},
	}
}

func TestConformanceInMemory(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	brokertest.Run(t, func(t *testing.T) brokertest.Harness {
		t.Helper()
		return harness(t, smallEngine(kvtest.NewDisk()))
	})
}

func TestConformanceOnDisk(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	brokertest.Run(t, func(t *testing.T) brokertest.Harness {
		t.Helper()
		return harness(t, kv.Config{Dir: t.TempDir(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
	})
}
