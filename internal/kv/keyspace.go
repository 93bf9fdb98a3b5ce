package kv

// The key space is divided by the first byte of each key. The numbers are part
// of the stored format, which docs/formats/keys.md describes; a number that
// was ever used is never given to something else.
const (
	SpaceMeta        byte = 0x01 // this engine's own: format version
	SpaceBrokerQueue byte = 0x10 // declarations of queues
	SpaceBrokerLog   byte = 0x11 // messages by queue, partition and position
	SpaceBrokerIndex byte = 0x12 // where a task is, by its id
	SpaceBrokerState byte = 0x13 // cursors and counters by queue and partition
	SpaceIndexQueue  byte = 0x14 // queues of a broker that is not embedded
	SpaceIndexID     byte = 0x15 // what was published to such a broker, by id
	SpaceStoreFence  byte = 0x20 // heads of partitions
	SpaceStoreTable  byte = 0x21 // the ledger's tables
	SpaceStoreMeta   byte = 0x22 // small named values of the whole cluster
)

// FormatVersion is the version of the stored format as a whole. A directory of
// a newer one is refused with ErrNewerFormat.
const FormatVersion = 1

// PrefixEnd returns the first key behind all keys with the prefix, or nil when
// there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}
