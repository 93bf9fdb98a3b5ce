package server

import (
	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
	"github.com/fenfa/fenfa/internal/partition"
)

func changeToWire(c *partition.Change) *fenfav1.Change {
	return &fenfav1.Change{
		Seq: c.Seq, At: timeToWire(c.At), Op: c.Op, Key: c.Key, Name: c.Name, VersionBefore: c.Before, VersionAfter: c.After,
		Value: c.Value, TaskId: idOrEmpty(c.TaskID), Attempt: uint32(c.Attempt), Node: c.Node, Worker: text(c.Worker), Hash: c.Hash[:], TransactionId: idOrEmpty(c.Tx),
	}
}
