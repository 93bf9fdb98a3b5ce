package task

import "github.com/cespare/xxhash/v2"

// DefaultPartitions is how many partitions a cluster has unless it was created
// with another number.
const DefaultPartitions = 16

// PartitionOf returns the partition of an entity: xxHash64(key) modulo the
// number of partitions. The function is part of the stored format.
func PartitionOf(key string, partitions int) int {
	return int(xxhash.Sum64String(key) % uint64(partitions))
}

// Partition returns the task's partition: its key's, or for a task without a
// key its ID's, so that a repeated submit meets the first one.
func (t *Task) Partition(partitions int) int {
	if t.Key != "" {
		return PartitionOf(t.Key, partitions)
	}
	return int(xxhash.Sum64(t.ID[:]) % uint64(partitions))
}
