package indexed_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/fenfa/fenfa/internal/broker"
	"github.com/fenfa/fenfa/internal/broker/brokertest"
	"github.com/fenfa/fenfa/internal/broker/faulty"
	"github.com/fenfa/fenfa/internal/broker/indexed"
	"github.com/fenfa/fenfa/internal/fault"
	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/kv/kvtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func openIndexed(t *testing.T, cfg indexed.Config) *indexed.Broker {
	t.Helper()
	if cfg.RecentIDs == 0 {
		cfg.RecentIDs = 256
	}
	b, err := indexed.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// harness opens an index over a broker that knows no ids, and how reopens both.
func harness(t *testing.T) brokertest.Harness {
	t.Helper()
	cfg := smallEngine(kvtest.NewDisk())
	db := openEngine(t, cfg)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close engine: %v", err)
		}
	})
	inner := newForgetful()
	b := openIndexed(t, indexed.Config{Broker: inner, DB: db})
	return brokertest.Harness{
		Broker:   b,
		NoPlaces: true,
		Reopen: func(t *testing.T) broker.Broker {
			t.Helper()
			if err := b.Close(t.Context()); err != nil {
				t.Errorf("close broker: %v", err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("close engine: %v", err)
			}
			db = openEngine(t, cfg)
			inner = inner.reopened()
			b = openIndexed(t, indexed.Config{Broker: inner, DB: db})
			return b
		},
	}
}

func TestConformance(t *testing.T) { brokertest.Run(t, harness) }

// Faults of the broker below: a lost answer leaves it open whether the message is
// in the log, and its repeat may be there twice.
func TestConformanceOverAnUnreliableBroker(t *testing.T) {
	for seed := range uint64(5) {
		brokertest.RunUnreliable(t, func(t *testing.T) brokertest.Harness {
			t.Helper()
			db := openEngine(t, smallEngine(kvtest.NewDisk()))
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Errorf("close engine: %v", err)
				}
			})
			inner, err := faulty.New(faulty.Config{
				Broker: newForgetful(), Plan: fault.Seeded(seed, fault.Rates{Fail: 0.1, Unknown: 0.1, Repeat: 0.1, Delay: 0.05}),
			})
			if err != nil {
				t.Fatal(err)
			}
			return brokertest.Harness{Broker: openIndexed(t, indexed.Config{Broker: inner, DB: db}), NoPlaces: true}
		})
	}
}
