package partition

import (
	"time"

	"github.com/fenfa/fenfa/internal/ledger"
	"github.com/fenfa/fenfa/internal/store"
)

// load asks for records that are not in memory and calls then when they are.
func (c *core) load(k ledger.RecordKey, then func()) {
	waiting, under := c.loading[k]
	c.loading[k] = append(waiting, then)
	if !under {
		c.led.Expect(k.Key)
		c.env.LoadRecords(k.Key, k.Name)
	}
}

// loadAll loads several records and calls then once.
func (c *core) loadAll(keys []ledger.RecordKey, then func()) {
	left := len(keys)
	for _, k := range keys {
		c.load(k, func() {
			if left--; left == 0 {
				then()
			}
		})
	}
}

// recordsLoaded takes what the store holds of one record, or of all of a key;
// complete says that there are no others.
func (c *core) recordsLoaded(now time.Time, key, name string, rows []*store.Record, complete bool) {
	switch {
	case name == "":
		c.led.Fill(key, rows, complete)
	case len(rows) == 0:
		c.led.FillOne(key, name, nil)
	default:
		c.led.FillOne(key, name, rows[0])
	}
	k := ledger.RecordKey{Key: key, Name: name}
	waiting := c.loading[k]
	delete(c.loading, k)
	c.loadedAt = now
	for _, then := range waiting {
		then()
	}
}
