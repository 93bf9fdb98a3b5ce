package storefake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// partition is what is kept of one partition.
type partition struct {
	head    store.Fence // includes what is not durable
	owned   bool        // was claimed since the last crash
	durable store.Fence
	tables  [store.TableTxn + 1][]entry // sorted by key; durable
}

// entry is a row in its stored form, so that nobody shares its memory.
type entry struct{ key, value string }

// change is a batch in its stored form.
type change struct {
	part    int
	fence   store.Fence
	puts    []placed
	deletes []placed
}

type placed struct {
	table store.Table
	entry
}

func (s *Store) part(part int) *partition {
	p := s.parts[part]
	if p == nil {
		p = &partition{}
		s.parts[part] = p
	}
	return p
}

func (p *partition) admit(b *store.Batch) error {
	if !p.owned {
		return fmt.Errorf("%w: partition %d must be claimed first", store.ErrFenced, b.Part)
	}
	return p.head.Admit(b)
}

func encode(b *store.Batch) (change, error) {
	c := change{part: b.Part, fence: b.Next}
	for _, r := range b.Puts {
		key, err := codec.AppendKey(nil, r)
		if err != nil {
			return c, err
		}
		value, err := codec.AppendValue(nil, r)
		if err != nil {
			return c, err
		}
		c.puts = append(c.puts, placed{r.Table(), entry{string(key), string(value)}})
	}
	for _, r := range b.Deletes {
		key, err := codec.AppendKey(nil, r)
		if err != nil {
			return c, err
		}
		c.deletes = append(c.deletes, placed{r.Table(), entry{key: string(key)}})
	}
	return c, nil
}

// apply makes the change durable.
func (p *partition) apply(c *change) {
	for _, put := range c.puts {
		rows := &p.tables[put.table]
		if i, found := find(*rows, put.key); found {
			(*rows)[i] = put.entry
		} else {
			*rows = slices.Insert(*rows, i, put.entry)
		}
	}
	for _, del := range c.deletes {
		rows := &p.tables[del.table]
		if i, found := find(*rows, del.key); found {
			*rows = slices.Delete(*rows, i, i+1)
		}
	}
	p.durable = c.fence
}

func find(rows []entry, key string) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
}

func (e entry) decode(table store.Table) (store.Row, error) {
	return codec.Decode(table, []byte(e.key), []byte(e.value))
}
