package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// State reads and changes the records that tasks keep, from outside of a task. A
// handler uses Task.State instead, whose writes take effect with its outcome.
type State struct {
	client *Client
	fence  *fenfav1.Fence // of writes; nil: none
}

// State returns access to the records.
func (c *Client) State() *State { return &State{client: c} }

// Fenced returns access whose writes depend on the token of a lock: they fail with
// CodeStale where it is not the current one. That is checked where the lock is of the
// partition of the record's key, which it is for sure where the lock's name is the
// key. Elsewhere the key keeps the highest token that a fenced write has shown of
// this lock, and writes with a lower one fail. Writes without a token are not held
// up: every writer must show its own.
func (s *State) Fenced(lock string, token uint64) *State {
	return &State{client: s.client, fence: &fenfav1.Fence{Lock: lock, Token: token}}
}

// Record is a named value of an entity.
type Record struct {
	Key       string
	Name      string
	Version   uint64 // grows with every write, also across delete and re-create
	Value     []byte // at most 256 KiB
	UpdatedAt time.Time
	TaskID    ID // the task that wrote it; zero: a direct write
	// Escrow says that the value is that of an Escrow. ReservedLow and ReservedHigh are
	// what undecided transactions may take from it, at most 0, and add to it, at least 0;
	// only State.Get knows them.
	Escrow                    bool
	ReservedLow, ReservedHigh int64
}

// Decode reads the record's value into v, by the rule of Task.Decode.
func (r *Record) Decode(v any) error { return decode(r.Value, v) }

// Change is one row of the op log.
type Change struct {
	Seq           uint64
	At            time.Time
	Op            string // "put", "delete" or "escrow"
	Key           string
	Name          string
	VersionBefore uint64
	VersionAfter  uint64
	Value         []byte
	TaskID        ID // zero: a direct write
	Attempt       int
	Node          string
	Worker        string
	Hash          []byte // chained to the row before
	Transaction   ID     // across partitions, that made it; zero: none
}

// ScanOptions narrows a Scan and says which page is wanted.
type ScanOptions struct {
	Name string // only records of this name; empty: of every name
	Page
}

// Get reads one record. It fails with CodeNotFound where there is none.
func (s *State) Get(ctx context.Context, key, name string) (Record, error) {
	resp, err := call(ctx, s.client, "get record", s.client.records.Get, &fenfav1.GetRecordRequest{Key: key, Name: name})
	if err != nil {
		return Record{}, err
	}
	return recordOf(resp.GetRecord()), nil
}

// Put writes a record if its version is the expected one, 0 meaning that it must
// not exist, and returns its new version; else it fails with CodeConflict. The
// value is encoded by the rule of NewTask. After CodeUnavailable the write may
// have happened: read the record to know.
func (s *State) Put(ctx context.Context, key, name string, value any, expected uint64) (version uint64, err error) {
	b, err := encode(value)
	if err != nil {
		return 0, err
	}
	return s.write(ctx, &fenfav1.PutRecordRequest{Key: key, Name: name, Value: b, ExpectedVersion: expected})
}

// PutAny writes a record whatever its version is, and returns its new version.
func (s *State) PutAny(ctx context.Context, key, name string, value any) (version uint64, err error) {
	b, err := encode(value)
	if err != nil {
		return 0, err
	}
	return s.write(ctx, &fenfav1.PutRecordRequest{Key: key, Name: name, Value: b, AnyVersion: true})
}

// Delete deletes a record if its version is the expected one; else it fails with
// CodeConflict.
func (s *State) Delete(ctx context.Context, key, name string, expected uint64) error {
	_, err := s.write(ctx, &fenfav1.PutRecordRequest{Key: key, Name: name, ExpectedVersion: expected, Delete: true})
	return err
}

func (s *State) write(ctx context.Context, req *fenfav1.PutRecordRequest) (uint64, error) {
	req.Fence = s.fence
	resp, err := call(ctx, s.client, "put record", s.client.records.Put, req)
	if err != nil {
		return 0, err
	}
	return resp.GetVersion(), nil
}

// Scan lists records whose key begins with prefix, partition by partition, in
// the order of keys within each. An empty next says that there are no more.
func (s *State) Scan(ctx context.Context, prefix string, opts ScanOptions) (records []Record, next string, err error) {
	resp, err := call(ctx, s.client, "scan records", s.client.records.Scan, &fenfav1.ScanRecordsRequest{
		KeyPrefix: prefix, Name: opts.Name, PageSize: clampUint32(opts.Size), PageToken: opts.Token,
	})
	if err != nil {
		return nil, "", err
	}
	records = make([]Record, len(resp.GetRecords()))
	for i, r := range resp.GetRecords() {
		records[i] = recordOf(r)
	}
	return records, resp.GetNextPageToken(), nil
}

// History lists the changes of a record, or of all records of the key where name
// is empty, oldest first, with sequence numbers greater than after. At most limit
// are returned, 0 meaning 100, and never more than 1000. The next page begins
// after the sequence number next; 0 says that there are no more.
func (s *State) History(ctx context.Context, key, name string, after uint64, limit int) (changes []Change, next uint64, err error) {
	page, err := s.HistoryPage(ctx, key, name, HistoryOptions{After: after, Size: limit})
	return page.Changes, page.After, err
}

func recordOf(w *fenfav1.Record) Record {
	id, _ := parseID(w.GetTaskId())
	return Record{
		Key:       w.GetKey(),
		Name:      w.GetName(),
		Version:   w.GetVersion(),
		Value:     w.GetValue(),
		UpdatedAt: timeOf(w.GetUpdatedAt()),
		TaskID:    id,
		Escrow:    w.GetEscrow(), ReservedLow: w.GetReservedLow(), ReservedHigh: w.GetReservedHigh(),
	}
}

func changeOf(w *fenfav1.Change) Change {
	id, _ := parseID(w.GetTaskId())
	tx, _ := parseID(w.GetTransactionId())
	return Change{
		Seq:           w.GetSeq(),
		At:            timeOf(w.GetAt()),
		Op:            w.GetOp(),
		Key:           w.GetKey(),
		Name:          w.GetName(),
		VersionBefore: w.GetVersionBefore(),
		VersionAfter:  w.GetVersionAfter(),
		Value:         w.GetValue(),
		TaskID:        id,
		Attempt:       int(w.GetAttempt()),
		Node:          w.GetNode(),
		Worker:        w.GetWorker(),
		Hash:          w.GetHash(),
		Transaction:   tx,
	}
}
