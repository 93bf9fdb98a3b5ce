package embedded

import (
	"encoding/binary"
	"fmt"

	"github.com/fenfa/fenfa/internal/kv"
	"github.com/fenfa/fenfa/internal/store"
	"github.com/fenfa/fenfa/internal/store/codec"
)

// maxPartition is the greatest number that a partition's two bytes hold.
const maxPartition = 1<<16 - 1

// tablePrefix is how many bytes lead the key of a row: space, table, partition.
const tablePrefix = 1 + 1 + 2

func checkPartition(part int) error {
	if part < 0 || part > maxPartition {
		return fmt.Errorf("partition %d is out of range: want 0 to %d", part, maxPartition)
	}
	return nil
}

func appendFenceKey(b []byte, part int) []byte {
	return binary.BigEndian.AppendUint16(append(b, kv.SpaceStoreFence), uint16(part))
}

func appendTablePrefix(b []byte, part int, table store.Table) []byte {
	return binary.BigEndian.AppendUint16(append(b, kv.SpaceStoreTable, byte(table)), uint16(part))
}

func appendRowKey(b []byte, part int, r store.Row) ([]byte, error) {
	if r == nil {
		return b, fmt.Errorf("encode row: there is none")
	}
	return codec.AppendKey(appendTablePrefix(b, part, r.Table()), r)
}
