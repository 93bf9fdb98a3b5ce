package fenfa

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// Locks looks at locks, and ends them, from outside of their holders. To hold one
// use Client.Lock.
type Locks struct{ client *Client }

// Locks returns access to the locks of all holders.
func (c *Client) Locks() *Locks { return &Locks{client: c} }

// LockInfo is a lock that is held.
type LockInfo struct {
	Name      string
	Holder    string // for people: who holds it
	Token     uint64 // grows with every holder
	TTL       time.Duration
	ExpiresIn time.Duration // unless it is renewed
	Since     time.Time
	Waiters   int // how many stand in line
}

// Get returns a lock. It fails with CodeNotFound where nobody holds it.
func (l *Locks) Get(ctx context.Context, name string) (LockInfo, error) {
	resp, err := call(ctx, l.client, "get lock", l.client.locks.Get, &fenfav1.GetLockRequest{Name: name})
	if err != nil {
		return LockInfo{}, err
	}
	return lockInfoOf(resp.GetLock()), nil
}

// List lists the locks that are held and whose names begin with prefix, partition
// by partition, by name within each. An empty next says that there are no more.
func (l *Locks) List(ctx context.Context, prefix string, page Page) (locks []LockInfo, next string, err error) {
	resp, err := call(ctx, l.client, "list locks", l.client.locks.List, &fenfav1.ListLocksRequest{
		Prefix: prefix, PageSize: clampUint32(page.Size), PageToken: page.Token,
	})
	if err != nil {
		return nil, "", err
	}
	locks = make([]LockInfo, len(resp.GetLocks()))
	for i, w := range resp.GetLocks() {
		locks[i] = lockInfoOf(w)
	}
	return locks, resp.GetNextPageToken(), nil
}

// Release frees a lock whose token is the given one, or hands it to the first in
// line. It fails with CodeStale, and changes nothing, where the token has ended.
func (l *Locks) Release(ctx context.Context, name string, token uint64) error {
	_, err := call(ctx, l.client, "release lock", l.client.locks.Release, &fenfav1.ReleaseLockRequest{Name: name, Token: token})
	return err
}

// Steal takes a lock from whoever holds it, for the given TTL, 1 s to 24 h, and
// returns the new token. The old holder finds out at its next renewal. Those in line
// stay there: they get the lock when it is released, or not renewed.
func (l *Locks) Steal(ctx context.Context, name, holder string, ttl time.Duration) (token uint64, err error) {
	resp, err := call(ctx, l.client, "steal lock", l.client.locks.Steal, &fenfav1.StealLockRequest{
		Name: name, Holder: holder, Ttl: durationpb.New(ttl),
	})
	if err != nil {
		return 0, err
	}
	return resp.GetToken(), nil
}

func lockInfoOf(w *fenfav1.Lock) LockInfo {
	return LockInfo{
		Name:      w.GetName(),
		Holder:    w.GetHolder(),
		Token:     w.GetToken(),
		TTL:       w.GetTtl().AsDuration(),
		ExpiresIn: w.GetExpiresIn().AsDuration(),
		Since:     timeOf(w.GetSince()),
		Waiters:   int(w.GetWaiters()),
	}
}
