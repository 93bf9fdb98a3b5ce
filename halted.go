package fenfa

import (
	"context"
	"time"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// HaltedKey is a key that waits for a decision about a dead letter, in a queue with
// OnDeadHalt: requeue it, delete it, or let the key go on without it.
type HaltedKey struct {
	Queue   string
	Key     string
	Dead    ID // the task of the dead letter
	Since   time.Time
	Waiting int  // tasks behind it that the node has read, at most 100
	More    bool // there are more
}

// HaltedKeys lists the keys of a queue that wait for a decision, or only the given
// one unless that is empty. A page may be short, or empty, and not be the last: an
// empty next says that there are no more.
func (c *Client) HaltedKeys(ctx context.Context, queue, key string, page Page) (keys []HaltedKey, next string, err error) {
	resp, err := call(ctx, c, "list halted keys", c.letters.ListHalted, &fenfav1.ListHaltedRequest{
		Queue: queue, Key: key, PageSize: clampUint32(page.Size), PageToken: page.Token,
	})
	if err != nil {
		return nil, "", err
	}
	keys = make([]HaltedKey, len(resp.GetKeys()))
	for i, k := range resp.GetKeys() {
		id, _ := parseID(k.GetDeadId())
		keys[i] = HaltedKey{
			Queue: k.GetQueue(), Key: k.GetKey(), Dead: id, Since: timeOf(k.GetSince()), Waiting: int(k.GetWaiting()), More: k.GetMore(),
		}
	}
	return keys, resp.GetNextPageToken(), nil
}

// ResumeKey lets a key go on that waits for a decision, without its dead letter,
// which stays where it is. It fails with CodeFailedPrecondition where the key does not
// wait.
func (c *Client) ResumeKey(ctx context.Context, queue, key string) error {
	_, err := call(ctx, c, "resume key", c.letters.Resume, &fenfav1.ResumeKeyRequest{Queue: queue, Key: key})
	return err
}
