package fenfa

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	fenfav1 "github.com/fenfa/fenfa/api/fenfa/v1"
)

// HistoryOptions say which changes HistoryPage returns.
type HistoryOptions struct {
	Newest bool      // the newest first; else the oldest
	Since  time.Time // only changes then or later; zero: from the first
	Until  time.Time // only changes before; zero: to the last
	Size   int       // 0: 100; at most 1000
	// After and Token are of the page before: HistoryPage.After with the oldest first,
	// HistoryPage.Token with the newest first.
	After uint64
	Token string
}

// HistoryPage is some changes of a record. It may have few, or none, and not be the
// last.
type HistoryPage struct {
	Changes []Change
	After   uint64 // HistoryOptions.After of the next page; 0: there is none
	Token   string // HistoryOptions.Token of the next page; empty: there is none
}

// More reports whether there is another page.
func (p *HistoryPage) More() bool { return p.After != 0 || p.Token != "" }

// HistoryPage lists the changes of a record, or of all records of the key where name
// is empty, from the op log. The changes of one record are found one from the other,
// whatever else the op log holds.
func (s *State) HistoryPage(ctx context.Context, key, name string, opts HistoryOptions) (HistoryPage, error) {
	resp, err := call(ctx, s.client, "read history", s.client.records.History, &fenfav1.RecordHistoryRequest{
		Key: key, Name: name, AfterSeq: opts.After, PageSize: clampUint32(opts.Size), NewestFirst: opts.Newest,
		Since: optionalTime(opts.Since), Until: optionalTime(opts.Until), PageToken: opts.Token,
	})
	if err != nil {
		return HistoryPage{}, err
	}
	page := HistoryPage{Changes: make([]Change, len(resp.GetChanges())), After: resp.GetNextAfterSeq(), Token: resp.GetNextPageToken()}
	for i, w := range resp.GetChanges() {
		page.Changes[i] = changeOf(w)
	}
	return page, nil
}

// optionalTime leaves the zero time unset.
func optionalTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
