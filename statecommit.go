package fenfa

import (
	"context"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Commit is a change of records of any keys that happens wholly or not at all, and
// only if every record that it names is at the version that was read. Make one with
// State.NewCommit; it may be used by one goroutine at a time.
type Commit struct {
	state *State
	id    ID
	wire  fenfav1.CommitRecordsRequest
	err   error // the first thing that cannot be in it
}

// Committed says how a Commit took effect.
type Committed struct {
	Transaction ID   // as the op log names it; zero: one partition has all the records
	Duplicate   bool // an earlier commit with this ID took effect; this one did nothing
}

// NewCommit begins a commit. It gets an ID of its own, so that Do may be called again
// when its answer was lost; WithID gives another. After Fenced, Do fails with CodeStale
// where the token is not the current one of its lock, whatever partition that is of.
func (s *State) NewCommit() *Commit {
	c := &Commit{state: s, id: NewID()}
	if s.fence != nil {
		c.wire.Fences = []*fenfav1.Fence{s.fence}
	}
	return c
}

// WithID sets the ID: for 24 hours a commit with the ID of one that took effect does
// nothing, and is answered as that one. That holds for commits of the same keys: where
// the first key that is written differs, an ID may take effect twice. It returns the
// receiver.
func (c *Commit) WithID(id ID) *Commit {
	c.id = id
	return c
}

// Read names a record that must be at this version when the commit takes effect; 0: it
// must not exist. What the commit writes need not be named here too. It returns the
// receiver.
func (c *Commit) Read(key, name string, version uint64) *Commit {
	c.wire.Reads = append(c.wire.Reads, &fenfav1.RecordRead{Key: key, Name: name, Version: version})
	return c
}

// Fence makes the commit depend on the token of a lock, as State.Fenced does; each call
// adds one. It returns the receiver.
func (c *Commit) Fence(lock string, token uint64) *Commit {
	c.wire.Fences = append(c.wire.Fences, &fenfav1.Fence{Lock: lock, Token: token})
	return c
}

// Put writes a record that has the expected version, 0 meaning that it must not exist.
// The value is encoded by the rule of NewTask; at most 256 KiB. It returns the
// receiver.
func (c *Commit) Put(key, name string, value any, expected uint64) *Commit {
	b, err := encode(value)
	if err != nil && c.err == nil {
		c.err = err
	}
	c.wire.Writes = append(c.wire.Writes, &fenfav1.RecordWrite{Key: key, Name: name, Value: b, ExpectedVersion: expected})
	return c
}

// Delete deletes a record that has the expected version. It returns the receiver.
func (c *Commit) Delete(key, name string, expected uint64) *Commit {
	c.wire.Writes = append(c.wire.Writes, &fenfav1.RecordWrite{Key: key, Name: name, ExpectedVersion: expected, Delete: true})
	return c
}

// Do commits. At most 256 records, and 3 MiB of values. After CodeConflict nothing
// was changed, and the error names the record and its version: read again and decide
// anew. After CodeUnavailable the commit may have happened: call Do again to know.
func (c *Commit) Do(ctx context.Context) (Committed, error) {
	if c.err != nil {
		return Committed{}, c.err
	}
	c.wire.Id = c.id.String()
	resp, err := call(ctx, c.state.client, "commit records", c.state.client.records.Commit, &c.wire)
	if err != nil {
		return Committed{}, err
	}
	tx, _ := parseID(resp.GetTransactionId())
	return Committed{Transaction: tx, Duplicate: resp.GetDuplicate()}, nil
}
